"""All settings: sections, keys, defaults, what each takes and what it does.

Owns the one list that the loader, `docs/settings.md`, `config/whosin.toml` and the code read.
Must not know: files, environment variables, or how wrong values are told.
"""

# ruff: noqa: RUF009 - key() makes a dataclasses.field

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from whosin.settings.alerts import Alerts, Channel
from whosin.settings.keys import HOST, LINE, READABLE, Effect, Key, key, keys
from whosin.settings.kinds import (
    MANY,
    Address,
    Broker,
    BrokerUrl,
    Flag,
    Listen,
    Location,
    Names,
    NotYet,
    Number,
    OrOff,
    StoreUrl,
    Text,
    choice,
    seconds,
    seconds_between,
    whole,
)
from whosin.settings.urls import WebUrl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TYPE_NAME = re.compile(r"[a-z0-9_-]{1,32}")
_ID = Text("1 to 64 letters, digits or ._~:-", re.compile(r"[A-Za-z0-9._~:-]{1,64}"), optional=True)


@dataclass(frozen=True)
class Daemon:
    """The daemon itself."""

    name: str = key("", _ID, "Its name in its own topic and in answers.", derived="the host's name")
    data_dir: Path = key(
        "",
        Location("the path of a folder"),
        "Where the database, the administrator's token and the like are kept.",
        derived="systemd's state directory, else whosin in the user's data folder",
    )


@dataclass(frozen=True)
class Mqtt:
    """How clients are heard: the door that the daemon itself opens, the link to a broker, or both."""

    listen: Address | None = key(
        Address("127.0.0.1", 1883),
        Listen(),
        "Where the door listens for MQTT 3.1.1 and 5.",
        derived='"127.0.0.1:1883"; "off" once url is set',
    )
    listen_tls_cert: Path | None = key(
        None, READABLE, "The door's certificate chain (PEM): it then speaks TLS."
    )
    listen_tls_key: Path | None = key(None, READABLE, "The private key (PEM) of listen_tls_cert.")
    listen_client_ca: Path | None = key(
        None,
        READABLE,
        "Certificates (PEM) of who signs clients' own; one that names an account stands for its password.",
    )
    listen_client_crl: Path | None = key(
        None, READABLE, "Their list (PEM) of what they took back; an outdated one lets no certificate in."
    )
    listen_client_cert: str = key(
        "optional",
        choice("optional", "required"),
        "Whether a client may come in without a certificate, by its password.",
    )
    sign_in: str = key(
        "auto",
        choice("auto", "on", "off"),
        "Whether the door asks for the name and password of an account. auto: not on loopback, "
        "everywhere else. off is refused where others can reach the door.",
    )
    url: Broker | None = key(
        None, BrokerUrl(), "The broker to link to, as in mqtt://host:1883 or mqtts://host:8883."
    )
    username: str | None = key(
        None,
        Text("1 to 128 printable characters", LINE, optional=True),
        "The daemon's name at the broker.",
    )
    password_file: Path | None = key(
        None, READABLE, "The file whose first line is its password at the broker."
    )
    ca_file: Path | None = key(
        None, READABLE, "Certificates (PEM) to check the broker's with, instead of the system's."
    )
    cert_file: Path | None = key(None, READABLE, "The daemon's own certificate (PEM) at the broker.")
    key_file: Path | None = key(None, READABLE, "The private key (PEM) of cert_file.")
    client_id: str = key("", _ID, "Its MQTT client id at the broker.", derived="whosin- and daemon.name")


@dataclass(frozen=True)
class ClientType:
    """How patient the daemon is with one kind of program.

    `default` serves all types without a section of their own, and lends a new type what that leaves out;
    desktop and web have defaults of their own.
    """

    timeout_s: float = key(
        300,
        seconds(),
        "Silent this long, a session is disconnected. At least twice heartbeat_every_s.",
        "live",
    )
    heartbeat_every_s: float = key(60, seconds(), "How often its clients are told to beat.", "live")
    lost_grace_s: float = key(
        75,
        seconds(),
        "Silent this long after its connection broke, it is disconnected. More than heartbeat_every_s.",
        "live",
    )
    idle_limit_s: int = key(
        0,
        whole(0, MANY),
        "Seconds without a keystroke from which its user counts as idle; 0: never.",
        "live",
    )
    idle_action: str = key(
        "flag",
        choice("flag", "disconnect"),
        "What happens then: the session is marked, or disconnected.",
        "live",
    )


TYPE_DEFAULTS = {
    "default": ClientType(),
    "desktop": ClientType(),
    "web": ClientType(timeout_s=1200, heartbeat_every_s=240, lost_grace_s=300),
}
"""The types that are always there."""


@dataclass(frozen=True)
class Cleanup:
    """The periodic removal of all disconnected logins in all companies."""

    enabled: bool = key(
        False,
        Flag(),
        "Whether it is on at the very first start; afterwards the switch of page and command line counts.",
        "first",
    )
    every_s: float = key(1800, seconds(), "From one pass to the next.", "live")
    blocking_after_s: float = key(
        0,
        seconds_between(0),
        "With the cleanup on, a disconnected login that blocks somebody is removed this soon after its "
        "deadline; 0: by the next pass.",
        "live",
    )
    account: str = key(
        "cleanup",
        Text("1 to 128 printable characters", LINE),
        "Who the history names for what it removes.",
        "live",
    )


@dataclass(frozen=True)
class Watch:
    """How silence is judged."""

    regain_grace_s: float = key(
        90,
        seconds(),
        "After the daemon could not hear, nobody is disconnected for at least this long.",
        "live",
    )
    tick_s: float = key(0.25, seconds_between(0.01, 1), "How often due deadlines are looked at.", "live")


@dataclass(frozen=True)
class MassSilence:
    """When so many fall silent at once that the trouble is not theirs, and the cleanup holds them back."""

    min: int = key(10, whole(1, MANY), "At least so many sessions of one type in a company or site.", "live")
    share: float = key(0.5, Number("a number", above=0, high=1), "And at least this share of them.", "live")
    window_s: float = key(60, seconds(), "Within this time, and one heartbeat.", "live")
    hold_s: float = key(
        3600, seconds(), "Held back this long after the alert, unless an operator confirms.", "live"
    )


@dataclass(frozen=True)
class Locks:
    """Locks of sessions that ended."""

    lock_delay_s: float = key(
        15,
        seconds_between(0),
        "The locks of a session that was forced out are held on this long after its last sign of life.",
        "live",
    )


@dataclass(frozen=True)
class Limits:
    """What strangers can make the daemon hold, and do."""

    sessions: int = key(200_000, whole(1, MANY), "Active and disconnected sessions.", "live")
    companies: int = key(
        20_000, whole(1, MANY), "Companies of all sites; at the limit an empty one makes room.", "live"
    )
    locks_per_session: int = key(1_000, whole(1, MANY), "Locks that one session holds.", "live")
    waiters: int = key(10_000, whole(1, MANY), "Requests for locks that wait.", "live")
    refusals: int = key(50_000, whole(1, MANY), "Refused requests for locks that are remembered.", "live")
    connections: int = key(10_000, whole(1, MANY), "Connections at the door.", "live")
    messages_per_s: int = key(
        0,
        whole(0, MANY),
        "Messages of one connection at the door in a second; a faster one is read more slowly. 0: no limit.",
        "live",
        derived="1000 where the door asks for sign-in, else 0",
    )
    requests_per_s: int = key(
        100,
        whole(0, MANY),
        "HTTP requests a second of one token, one operator, or all strangers at one address; three seconds' "
        "worth may come at once. 0: no limit.",
        "live",
    )


@dataclass(frozen=True)
class Seats:
    """Limits for users at once. Not available in this version."""

    mode: str = key("off", NotYet(choice("off", "warn", "enforce"), "off"), "Only off in this version.")


@dataclass(frozen=True)
class Directory:
    """The list of users who may log in. Not available in this version."""

    enabled: bool = key(False, NotYet(Flag(), False), "Only false in this version.")


@dataclass(frozen=True)
class SharedAccount:
    """Accounts that several people use. Not available in this version."""

    machines: int = key(
        2, NotYet(whole(1, 1_000), 2), "Only 2 in this version, which does not look for them."
    )


@dataclass(frozen=True)
class Guidance:
    """What to do before and after a login is removed, by what it holds."""

    file: Path | str | None = key(
        None,
        OrOff(Location("a readable file", exists=True)),
        "The rules, as in config/guidance.toml. whosin guidance test shows which one a lock gets.",
        "live",
        derived="the set that ships",
    )


@dataclass(frozen=True)
class Maintenance:
    """Planned closing of a site or company."""

    administrators: tuple[str, ...] = key(
        (),
        Names("a list of users", LINE),
        "Users of the business system who may log in while it is closed, and are not forced out.",
        "live",
    )


@dataclass(frozen=True)
class Store:
    """Where nothing is lost."""

    url: str = key(
        "sqlite:///whosin.db",
        StoreUrl(),
        "The database: sqlite:///file in daemon.data_dir, or sqlite:////folder/file.",
    )
    flush_s: float = key(
        5,
        seconds_between(0.1, 60),
        "How long heartbeats may wait to be written; a crash may lose that much.",
        "live",
    )
    history_days: int = key(400, whole(1, 36_500), "How long history and ended sessions are kept.", "live")


@dataclass(frozen=True)
class Http:
    """The page and the API."""

    listen: Address | None = key(Address("127.0.0.1", 8787), Listen(), "Where they are served.")
    tls_cert: Path | None = key(
        None, READABLE, "Their certificate chain (PEM): they are then served by HTTPS."
    )
    tls_key: Path | None = key(None, READABLE, "The private key (PEM) of tls_cert.")
    behind_proxy: bool = key(
        False, Flag(), "A proxy in front does HTTPS. Without, and without tls_cert, only loopback is allowed."
    )
    allowed_hosts: tuple[str, ...] = key(
        (),
        Names("a list of host names without port", HOST),
        "Host names it is reached by, besides loopback and the address in listen.",
    )
    public_url: str | None = key(
        None,
        WebUrl(),
        "Where people find the page; what is sent to them links there.",
        derived="the address in listen",
    )


@dataclass(frozen=True)
class Operators:
    """People who sign in to the page and the API."""

    idle_s: float = key(
        43_200, seconds(), "Who has asked for nothing this long, with no page open, is signed out.", "live"
    )
    lasts_s: float = key(604_800, seconds(), "This long after signing in one has to sign in again.", "live")
    link_s: float = key(
        3_600,
        seconds_between(60, 604_800),
        "How long a one-time link is good, with which somebody chooses a password.",
        "live",
    )


@dataclass(frozen=True)
class Log:
    """What the daemon writes about itself."""

    level: str = key(
        "info", choice("debug", "info", "warning", "error"), "The least that is written.", "live"
    )
    format: str = key(
        "auto", choice("auto", "console", "json"), "auto: for people on a terminal, JSON lines elsewhere."
    )
    file: Path | None = key(None, Location("the path of a file"), "Also into this file: JSON lines, rotated.")


SECTIONS: dict[str, type[Any]] = {
    "daemon": Daemon, "mqtt": Mqtt, "client_types": ClientType, "cleanup": Cleanup, "watch": Watch,
    "mass_silence": MassSilence, "locks": Locks, "limits": Limits, "store": Store, "http": Http,
    "operators": Operators, "log": Log,
    "seats": Seats, "directory": Directory, "shared_account": SharedAccount, "alerts": Alerts,
    "alerts.channels": Channel, "guidance": Guidance, "maintenance": Maintenance,
}  # fmt: skip
"""By name, in the order of the documents. Those of `TABLES` stand for any number of sections by name."""


class Table(NamedTuple):
    """A table of sections by name, as `[client_types.kiosk]`: what one is called, and a name as an
    example."""

    word: str
    example: str


TABLES = {"client_types": Table("client type", "desktop"), "alerts.channels": Table("channel", "office")}


def section_of(prefix: str) -> str:
    """The section whose keys stand behind `prefix`: itself, or the table that it is in."""
    return prefix if prefix in SECTIONS and prefix not in TABLES else prefix.rpartition(".")[0]


def paths(named: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, Key]]:
    """Every key with its dotted path; of a table's sections, those of `named`."""
    for section, shape in SECTIONS.items():
        for prefix in [f"{section}.{name}" for name in named[section]] if section in TABLES else [section]:
            for name, item in keys(shape).items():
                yield f"{prefix}.{name}", item


__all__ = [
    "SECTIONS",
    "TABLES",
    "TYPE_DEFAULTS",
    "TYPE_NAME",
    "Effect",
    "Key",
    "key",
    "keys",
    "paths",
    "section_of",
]
