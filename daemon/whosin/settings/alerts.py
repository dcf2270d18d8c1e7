"""The settings of alerts: when one is sent, and the channels it is sent by.

Owns which keys go with which kind of channel. Must not know how anything is sent.
"""

# ruff: noqa: RUF009 - key() makes a dataclasses.field

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from whosin.settings.keys import HOST, LINE, READABLE, key
from whosin.settings.kinds import (
    Address,
    Choices,
    Names,
    Text,
    choice,
    seconds,
    seconds_between,
    whole,
)
from whosin.settings.urls import HiddenUrl, SecretUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = (
    "blocking", "guidance", "mass_silence", "cleanup", "storage", "blind", "shared_account", "seats",
)  # fmt: skip
"""What alerts are about; a test holds them to the table in `alerts.kinds`."""
MOST_CHANNELS = 32

_ADDRESS = re.compile(r"(?=.{3,254}\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,189}")
_ID = re.compile(r"[A-Za-z0-9._~:-]{1,64}")
_PLACE = re.compile(r"(?:[A-Za-z0-9._~:-]{1,64}/)?[A-Za-z0-9._~:-]{1,64}")


@dataclass(frozen=True)
class Alerts:
    """Messages to people about what needs them. Without any channel they go to the log."""

    group_s: float = key(
        30, seconds_between(0), "What befalls one company within this time is one alert.", "live"
    )
    again_s: float = key(
        300,
        seconds_between(0),
        "The next alert of the same kind and company comes no sooner than this after the one before.",
        "live",
    )
    remind_s: float = key(
        14_400, seconds_between(0), "What is still so after this time is told again; 0: never.", "live"
    )
    blind_after_s: float = key(
        60, seconds_between(0), "Not to hear clients, or the broker, for this long is an alert.", "live"
    )
    storage_after_s: float = key(
        10, seconds_between(0), "Not to be able to store anything for this long is an alert.", "live"
    )
    give_up_s: float = key(
        86_400, seconds(), "For this long a message that a target does not take is tried again.", "live"
    )


@dataclass(frozen=True)
class Channel:
    """One way by which alerts reach people, and which of them go by it.

    email needs host, sender and to; webhook and apprise need url or url_file; apprise, which knows Teams,
    Slack and a hundred more, needs `pip install 'whosin[alerts]'` and one channel for each target.
    """

    kind: str = key("log", choice("log", "email", "webhook", "apprise"), "How it is sent.", "live")
    url: HiddenUrl | None = key(
        None,
        SecretUrl(),
        "webhook: where to POST. apprise: the target. It may be a secret: see url_file.",
        "live",
    )
    url_file: Path | None = key(None, READABLE, "The file whose first line is the url.", "live")
    host: str | None = key(
        None, Text("a host name or address", HOST, optional=True), "email: the SMTP server.", "live"
    )
    port: int = key(
        0, whole(0, 65_535), "email: its port.", "live", derived='587; 465 with tls = "on", 25 with "off"'
    )
    tls: str = key(
        "starttls",
        choice("starttls", "on", "off"),
        "email: starttls asks for TLS and sends nothing without; on speaks TLS from the start.",
        "live",
    )
    ca_file: Path | None = key(
        None, READABLE, "email, webhook: certificates (PEM) to check the target's with.", "live"
    )
    username: str | None = key(
        None, Text("1 to 128 printable characters", LINE, optional=True), "email: who signs in.", "live"
    )
    password_file: Path | None = key(
        None,
        READABLE,
        "The file whose first line is the password (email), or the secret that signs each message (webhook).",
        "live",
    )
    sender: str | None = key(
        None, Text("an e-mail address", _ADDRESS, optional=True), "email: who it is from.", "live"
    )
    to: tuple[str, ...] = key(
        (), Names("a list of e-mail addresses", _ADDRESS), "email: who gets it.", "live"
    )
    sites: tuple[str, ...] = key(
        (), Names("a list of sites", _ID), "Only of these sites; empty: of all, and of the daemon.", "live"
    )
    companies: tuple[str, ...] = key(
        (),
        Names("a list of company or site/company", _PLACE),
        "Only of these companies; empty: of all.",
        "live",
    )
    roles: tuple[str, ...] = key(
        (),
        Choices(("operator", "administrator")),
        "Only what asks something of these roles; empty: everything.",
        "live",
    )
    kinds: tuple[str, ...] = key((), Choices(KINDS), "Only these kinds; empty: all.", "live")
    at_least: str = key("info", choice("info", "warning", "critical"), "Nothing less severe.", "live")
    cleared: str = key(
        "auto",
        choice("auto", "on", "off"),
        "Whether it is told, too, when it is over. auto: to log and webhook.",
        "live",
    )


_COMMON = frozenset({"kind", "sites", "companies", "roles", "kinds", "at_least", "cleared"})
_OF_KIND = {
    "log": frozenset[str](),
    "email": frozenset({"host", "port", "tls", "ca_file", "username", "password_file", "sender", "to"}),
    "webhook": frozenset({"url", "url_file", "ca_file", "password_file"}),
    "apprise": frozenset({"url", "url_file"}),
}
_NEEDED = {"email": ("host", "sender", "to")}


def channel_clashes(prefix: str, channel: Channel) -> Iterator[tuple[tuple[str, ...], str]]:
    """What does not go together: the keys, and a sentence that begins with the first of them."""
    kind = f"{prefix}.kind"
    for item in fields(Channel):
        name = item.name
        if name not in _COMMON | _OF_KIND[channel.kind] and getattr(channel, name) != item.default:
            kinds = " or ".join(f'"{one}"' for one, its in _OF_KIND.items() if name in its)
            said = f'{prefix}.{name} is set and kind is "{channel.kind}"'
            yield (f"{prefix}.{name}", kind), f"{said}; expected it only where kind is {kinds}"
    for name in _NEEDED.get(channel.kind, ()):
        if not getattr(channel, name):
            yield (f"{prefix}.{name}", kind), f'{prefix}.{name} is not set; expected it as kind is "email"'
    if channel.kind in ("webhook", "apprise"):
        yield from _target(prefix, channel)
    if channel.kind == "email":
        yield from _password(prefix, channel)


def _target(prefix: str, channel: Channel) -> Iterator[tuple[tuple[str, ...], str]]:
    both = (f"{prefix}.url", f"{prefix}.url_file", f"{prefix}.kind")
    if (channel.url is None) == (channel.url_file is None):
        said = "neither set" if channel.url is None else "both set"
        yield both, f"{prefix}.url and url_file are {said}; expected one of them"
    elif (
        channel.kind == "webhook" and channel.url is not None and channel.url.scheme not in ("http", "https")
    ):
        yield both, f"{prefix}.url is {channel.url}; expected http:// or https:// for a webhook"


def _password(prefix: str, channel: Channel) -> Iterator[tuple[tuple[str, ...], str]]:
    if (channel.username is None) != (channel.password_file is None):
        there, missing = (
            ("username", "password_file") if channel.username is not None else ("password_file", "username")
        )
        yield (
            (f"{prefix}.{there}", f"{prefix}.{missing}"),
            f"{prefix}.{there} is set and {missing} is not; expected both or neither",
        )
    local = channel.host is not None and Address(channel.host.strip("[]"), 1).loopback
    if channel.password_file is not None and channel.tls == "off" and not local:
        said = f'{prefix}.tls is "off" and password_file is set, which would send it in clear'
        yield (f"{prefix}.tls", f"{prefix}.password_file"), f'{said}; expected "starttls" or "on"'


__all__ = ["KINDS", "MOST_CHANNELS", "Alerts", "Channel", "channel_clashes"]
