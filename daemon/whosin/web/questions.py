"""What can be asked: filters of lists, and commands; checked against these before the engine sees them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

STATUSES = ("active", "disconnected", "logged_off", "removed")

Word = Annotated[str, Field(min_length=1, max_length=256)]
Asked = Annotated[str, Field(max_length=256)]
Text = Annotated[str, Field(max_length=1000)]
Limit = Annotated[int, Field(ge=1, le=1000, description="How many items at most.")]
Cursor = Annotated[str | None, Field(max_length=512, description='"next" of the answer before.')]
Place = Annotated[str | None, Field(pattern="^[0-9]{0,15}$", description='"next" of the answer before.')]
Name = Annotated[str, Field(pattern="^[A-Za-z0-9._@+-]{1,64}$", description="Letters, digits and . _ @ + -")]
SiteId = Annotated[str, Field(pattern="^[A-Za-z0-9._~:-]{1,64}$", examples=["north"])]
Role = Literal["viewer", "operator", "administrator"]
AccountRole = Literal["client", "gateway", "observer"]


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)")


def _instant(given: Any) -> Any:
    """A number would be taken for seconds since 1970, which nobody means."""
    if isinstance(given, str) and not _RFC3339.fullmatch(given):
        raise ValueError("expected a moment as in 2026-11-02T08:15:00Z")
    return given


def _when(given: Any) -> Any:
    """In a body only text is a moment."""
    if not isinstance(given, str):
        raise ValueError("expected text with a moment, as in 2026-11-02T08:15:00Z")  # noqa: TRY004 - pydantic's
    return _instant(given)


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
When = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_when)]


class Filter(BaseModel):
    """Query parameters: an empty one counts as absent, an unknown one is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, given: Any) -> Any:
        return (
            {name: value for name, value in given.items() if value != ""}
            if isinstance(given, dict)
            else given
        )


class NoFilter(Filter):
    """Nothing can be asked for, so a parameter that is given is a mistake worth telling."""


class Paged(Filter):
    limit: Limit = 1000
    cursor: Place = None


class SessionFilter(Filter):
    status: Annotated[
        str | None,
        Field(
            description=f"Some of {', '.join(STATUSES)}; commas between. Default: active,disconnected.",
            examples=["active,disconnected"],
        ),
    ] = None
    site: Asked | None = None
    company: Asked | None = None
    user: Asked | None = None
    client: Annotated[Asked | None, Field(description="Client type.", examples=["desktop"])] = None
    q: Annotated[
        Asked | None, Field(description="Text found in id, user, machine, company, or a locked resource.")
    ] = None
    sort: Annotated[
        Asked | None,
        Field(
            description='A field; "-" before it for descending. "hurt": first who keeps most people waiting, '
            "then who has critical guidance, then who fell first.",
            examples=["-last_seen", "hurt"],
        ),
    ] = None
    limit: Limit = 100
    cursor: Cursor = None

    @field_validator("status")
    @classmethod
    def _known_statuses(cls, given: str | None) -> str | None:
        for name in (given or "").split(","):
            if given is not None and name.strip() not in STATUSES:
                raise ValueError(f'"{name.strip()}" is not a status; allowed: {", ".join(STATUSES)}')
        return given

    @property
    def statuses(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.strip() for name in self.status.split(","))) if self.status else ()


class LockFilter(Paged):
    site: Asked | None = None
    company: Asked | None = None
    resource: Annotated[Asked | None, Field(examples=["sales-order/SO-1001"])] = None


class HistoryFilter(Filter):
    site: Asked | None = None
    company: Asked | None = None
    session: Asked | None = None
    user: Asked | None = None
    type: Annotated[
        Asked | None,
        Field(
            description='A type, or the beginning of types ending in ".".',
            examples=["session.removed", "lock."],
        ),
    ] = None
    actor: Annotated[Asked | None, Field(description="Who did it.")] = None
    resource: Annotated[
        Asked | None,
        Field(
            description="This resource, or one below it; also what became of the logins that held it.",
            examples=["sales-order/SO-1001"],
        ),
    ] = None
    q: Annotated[Asked | None, Field(description="Text found anywhere in the event.")] = None
    since: Annotated[Instant | None, Field(description="From this moment on, itself included.")] = None
    until: Annotated[Instant | None, Field(description="Before this moment.")] = None
    limit: Limit = 100
    cursor: Place = None


class FollowupFilter(Filter):
    status: Annotated[Literal["open", "done"] | None, Field(description="Default: both.")] = None
    site: Asked | None = None
    company: Asked | None = None
    session: Asked | None = None
    q: Annotated[
        Asked | None,
        Field(description="Text found in user, session, machine, resource, rule, text, or note."),
    ] = None
    limit: Limit = 100
    cursor: Place = None


class PassFilter(Paged):
    limit: Limit = 100


class AlertFilter(Filter):
    state: Annotated[Literal["open", "over"] | None, Field(description="Default: both.")] = None
    kind: Annotated[Asked | None, Field(examples=["blocking"])] = None
    site: Asked | None = None
    limit: Limit = 100
    cursor: Place = None


class Command(BaseModel):
    """A body that changes something: types are strict and an unknown field is refused, so that a slip in
    `dry_run` never becomes the real thing."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LogOff(Command):
    ids: Annotated[list[Word], Field(min_length=1, max_length=10_000)]
    force: Annotated[bool, Field(description="Force out active ones too.")] = False
    reason: Text | None = None
    dry_run: Annotated[bool, Field(description="Only tell what would happen.")] = False


class FollowupDone(Command):
    note: Annotated[Text | None, Field(description="What was found, or done.")] = None


class NewMessage(Command):
    text: Annotated[str, Field(min_length=1, max_length=1000, examples=["Please save and leave by 17:00."])]
    site: Word | None = None
    company: Word | None = None
    user: Word | None = None
    sessions: Annotated[list[Word] | None, Field(min_length=1, max_length=10_000)] = None


class NewMaintenance(Command):
    site: SiteId
    company: Annotated[Word | None, Field(description="Default: the whole site.")] = None
    begins: Annotated[When | None, Field(alias="from", description="Default: now.")] = None
    until: When
    text: Annotated[
        str,
        Field(min_length=1, max_length=1000, description="For users: why.", examples=["New version."]),
    ]
    force: Annotated[bool, Field(description="Log off those who are still in at the beginning.")] = False


class FreeLock(Command):
    site: Word
    company: Word
    resource: Annotated[Word, Field(examples=["menu-editor"])]
    reason: Text | None = None


class CleanupSwitch(Command):
    enabled: bool


class CleanupRun(Command):
    dry_run: Annotated[bool, Field(description="Only tell what a pass would do now.")] = False


class CleanupConfirm(Command):
    site: Word
    company: Annotated[Word | None, Field(description="Default: the whole site.")] = None
    client: Annotated[Word | None, Field(description="Client type. Default: every one.")] = None


class TestChannels(Command):
    channel: Annotated[Word | None, Field(description="Default: every channel.", examples=["office"])] = None


class BackupTo(Command):
    path: Annotated[
        str, Field(min_length=1, max_length=4096, description="A new file on the daemon's machine.")
    ]


class NewToken(Command):
    name: Annotated[Name, Field(examples=["till-screen"])]
    role: Role
    site: Annotated[SiteId | None, Field(description="Limit it to one site.")] = None


class NewAccount(Command):
    name: Annotated[Name, Field(examples=["portal-a"])]
    role: AccountRole
    site: SiteId
    user: Annotated[Word | None, Field(description="The only user it may speak for. Default: any.")] = None


Password = Annotated[str, Field(max_length=1024)]  # how long one must and may be, the desk says


class NewOperator(Command):
    name: Annotated[Name, Field(examples=["grace"])]
    role: Role
    site: Annotated[SiteId | None, Field(description="Limit the operator to one site.")] = None
    password: Annotated[
        Password | None, Field(description="Default: the person chooses one, by a one-time link.")
    ] = None


class OperatorChange(Command):
    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    role: Role = "viewer"
    site: Annotated[SiteId | None, Field(description="null: every site.")] = None
    disabled: Annotated[bool, Field(description="Whether the operator is kept out.")] = False


_ONE_WAY: list[JsonValue] = [
    {"required": ["name", "password"], "not": {"required": ["token"]}},
    {"required": ["token"], "not": {"anyOf": [{"required": ["name"]}, {"required": ["password"]}]}},
]


class SignInWith(Command):
    """A name and a password, or a token."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _ONE_WAY})

    name: Annotated[str, Field(max_length=256)] = ""
    password: Password = ""
    token: Annotated[str, Field(max_length=512, description="A bearer token.")] = ""

    @property
    def by_token(self) -> bool:
        return "token" in self.model_fields_set

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.model_fields_set not in ({"name", "password"}, {"token"}):
            raise ValueError("expected name and password, or token alone")
        return self


class SignOut(Command):
    everywhere: Annotated[bool, Field(description="All sessions of the same operator or token.")] = False


class PasswordChange(Command):
    old: Password
    new: Password
