"""The wire as a client sees it: topics to speak and to listen on, payloads out, answers in.

Owns names and shapes. Must not know connections, tasks or time. An answer that cannot be read is None:
a newer daemon must not break an older client.
"""

from __future__ import annotations

import re
from typing import Any, Final, Self

import msgspec

ROOT: Final = "whosin/v1"
MAX_PAYLOAD: Final = 8 * 1024
MAX_NAME: Final = 256
MAX_RESOURCE: Final = 512
MAX_TEXT: Final = 1024  # characters of an activity, a reason, a guidance
BATCH: Final = "@batch"

_IDENT: Final = re.compile(r"[A-Za-z0-9._~:-]{1,64}\Z")


def ident(what: str, value: str) -> str:
    """The value, if it can stand in a topic; else ValueError."""
    if not _IDENT.match(value):
        raise ValueError(f"{what} is {value!r}; expected 1 to 64 letters, digits or any of . _ ~ : -")
    return value


def name(what: str, value: str | None) -> str | None:
    """The value, if the daemon takes it as a name; else ValueError."""
    if value is not None and not len(value) <= MAX_NAME:
        raise ValueError(f"{what} has {len(value)} characters; at most {MAX_NAME} are allowed")
    return value


def up(site: str, company: str, session: str, verb: str) -> str:
    return f"{ROOT}/up/{site}/{company}/{session}/{verb}"


def down(site: str, company: str = "+", session: str = "+") -> str:
    """The filter under which the answers arrive; by default those to everybody of the site."""
    return f"{ROOT}/down/{site}/{company}/{session}/+"


def address(topic: str) -> tuple[str, str, str] | None:
    """(company, session, kind) of an answer's topic."""
    parts = topic.split("/")
    if len(parts) != 7 or parts[2] != "down":
        return None
    return parts[4], parts[5], parts[6]


def encode(**fields: Any) -> bytes:
    """A payload of the fields that are not None. ValueError above 8 KiB."""
    payload = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"the payload has {len(payload)} bytes; at most {MAX_PAYLOAD} are allowed")
    return payload if len(payload) > 2 else b""


def encode_batch(sessions: list[str]) -> bytes:
    return msgspec.json.encode({"sessions": sessions})


class Holder(msgspec.Struct, frozen=True):
    """Who has what one asked for."""

    user: str = "somebody"
    machine: str | None = None
    client: str | None = None
    status: str | None = None
    since: str | None = None
    activity: str | None = None

    def __str__(self) -> str:
        """For people: who, where, and whether that session is alive."""
        about = ", ".join(part for part in (self.client, self.status) if part)
        text = self.user + (f" on {self.machine}" if self.machine else "") + (f" ({about})" if about else "")
        return text + (f" since {self.since}" if self.since else "")


class LoginAnswer(msgspec.Struct, frozen=True):
    accepted: bool
    status: str = "active"
    heartbeat_every_s: float = 60.0
    timeout_s: float = 300.0
    code: str = "refused"
    message: str = ""


class LockAnswer(msgspec.Struct, frozen=True):
    resource: str
    granted: bool
    token: int = 0
    waiting: bool = False
    holder: Holder | None = None
    code: str | None = None
    message: str = ""


class UnlockAnswer(msgspec.Struct, frozen=True):
    resource: str
    released: bool = False


class EndedAnswer(msgspec.Struct, frozen=True):
    status: str
    at: str | None = None
    by: str | None = None
    reason: str | None = None


class UnknownAnswer(msgspec.Struct, frozen=True):
    pass


class MessageAnswer(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    text: str
    sender: str | None = None
    at: str | None = None


Answer = LoginAnswer | LockAnswer | UnlockAnswer | EndedAnswer | UnknownAnswer | MessageAnswer

_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "login": msgspec.json.Decoder(LoginAnswer),
    "lock": msgspec.json.Decoder(LockAnswer),
    "unlock": msgspec.json.Decoder(UnlockAnswer),
    "ended": msgspec.json.Decoder(EndedAnswer),
    "unknown": msgspec.json.Decoder(UnknownAnswer),
    "message": msgspec.json.Decoder(MessageAnswer),
}


def decode(kind: str, payload: bytes) -> Answer | None:
    """What the daemon said, or None when this client does not understand it."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return None
    try:
        answer: Answer = decoder.decode(payload or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return answer


class Message(str):  # noqa: SLOT000 - a str that carries two more words
    """A text for the user to read; `sender` and `at` tell who wrote it and when."""

    sender: str | None
    at: str | None

    def __new__(cls, text: str, sender: str | None = None, at: str | None = None) -> Self:
        message = super().__new__(cls, text)
        message.sender = sender
        message.at = at
        return message
