"""The settings in force: typed, complete, and able to say where each value came from.

Owns what other rooms read. Must not know: TOML, environment variables, problems.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from whosin.settings.alerts import Alerts, Channel
from whosin.settings.kinds import Address, Broker, hidden
from whosin.settings.schema import (
    Cleanup,
    ClientType,
    Daemon,
    Directory,
    Effect,
    Guidance,
    Http,
    Limits,
    Locks,
    Log,
    Maintenance,
    MassSilence,
    Mqtt,
    Operators,
    Seats,
    SharedAccount,
    Store,
    Watch,
    paths,
    section_of,
)
from whosin.settings.urls import HiddenUrl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whosin import model

DEFAULT = "default"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to tell, not to bind


class Effective(NamedTuple):
    """One value in force. `origin`: "default", the file's name, or the environment variable's."""

    key: str
    value: Any  # fit for JSON
    origin: str


@dataclass(frozen=True)
class Settings:
    """All sections. Made by `load` only, which has checked that they go together."""

    daemon: Daemon
    mqtt: Mqtt
    client_types: Mapping[str, ClientType]
    cleanup: Cleanup
    watch: Watch
    mass_silence: MassSilence
    locks: Locks
    limits: Limits
    store: Store
    http: Http
    operators: Operators
    log: Log
    seats: Seats
    directory: Directory
    shared_account: SharedAccount
    alerts: Alerts
    alert_channels: Mapping[str, Channel]
    guidance: Guidance
    maintenance: Maintenance
    file: Path | None
    origins: Mapping[str, str]  # dotted key -> origin, without the defaults

    @property
    def sign_in(self) -> bool:
        """Whether the door asks who one is."""
        return asks_sign_in(self.mqtt.sign_in, self.mqtt.listen)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.daemon.data_dir / Path(self.store.url.removeprefix("sqlite:///"))

    @property
    def api_url(self) -> str | None:
        """Where this machine reaches the API; None while it is off."""
        listen = self.http.listen
        if listen is None:
            return None
        host = _EVERYWHERE.get(listen.host, listen.host)
        return f"{'https' if self.http.tls_cert else 'http'}://{Address(host, listen.port)}"

    @property
    def page_url(self) -> str:
        """Where people find the page, as far as this machine knows."""
        return self.http.public_url or self.api_url or "http://127.0.0.1:8787"

    def mqtt_password(self) -> str | None:
        """The daemon's password at the broker, read anew each time. Raises OSError."""
        if self.mqtt.password_file is None:
            return None
        text = self.mqtt.password_file.read_text(encoding="utf-8")
        return text.split("\n", 1)[0].removesuffix("\r")

    def policy(self) -> model.Policy:
        """What the rules are told."""
        mass = self.mass_silence
        limits = self.limits
        from whosin import model  # noqa: PLC0415 - its library is not for those who only check settings

        return model.Policy(
            types={name: _client_type(name, kind) for name, kind in self.client_types.items()},
            regain_grace_ms=_ms(self.watch.regain_grace_s),
            lock_delay_ms=_ms(self.locks.lock_delay_s),
            blocking_after_ms=_ms(self.cleanup.blocking_after_s),
            mass=model.MassSilence(
                minimum=mass.min, share=mass.share, window_ms=_ms(mass.window_s), hold_ms=_ms(mass.hold_s)
            ),
            limits=model.Limits(
                sessions=limits.sessions,
                companies=limits.companies,
                locks_per_session=limits.locks_per_session,
                waiters=limits.waiters,
                refusals=limits.refusals,
            ),
            administrators=self.maintenance.administrators,
        )

    def describe(self) -> list[Effective]:
        """Every value in force and where it came from, in the order of the documents, without secrets."""
        return [
            Effective(path, _plain(value), self.origins.get(path, DEFAULT))
            for path, value, _ in _values(self)
        ]

    def warnings(self) -> list[str]:
        """What is allowed and yet worth knowing, one sentence each."""
        found: list[str] = []
        listen, page = self.mqtt.listen, self.http.listen
        if listen and not self.sign_in:
            found.append(
                f"sign-in is off at mqtt.listen {listen}: any program here may speak for any session"
            )
        if listen and not listen.loopback and self.mqtt.listen_tls_cert is None:
            found.append(
                f"mqtt.listen is {listen} without listen_tls_cert: passwords cross the network in clear"
            )
        if self.mqtt.url and not self.mqtt.url.tls and self.mqtt.password_file and not _local(self.mqtt.url):
            found.append(
                f"mqtt.url is {self.mqtt.url} without TLS: the password crosses the network in clear"
            )
        if page and page.host in _EVERYWHERE and not self.http.allowed_hosts:
            found.append(
                f"http.listen is {page} and http.allowed_hosts is empty: only loopback names are answered"
            )
        secrets = {
            "mqtt.listen_tls_key": self.mqtt.listen_tls_key, "mqtt.key_file": self.mqtt.key_file,
            "mqtt.password_file": self.mqtt.password_file, "http.tls_key": self.http.tls_key,
        }  # fmt: skip
        found += [
            f"{key} {file} can be read by everybody on this machine: chmod 600"
            for key, file in secrets.items()
            if file is not None and _open_to_all(file)
        ]
        for name, channel in self.alert_channels.items():
            if channel.kind == "email" and channel.tls == "off" and not _local_host(channel.host):
                found.append(
                    f"alerts.channels.{name}.tls is off: names and companies cross the network in clear"
                )
            if channel.kind == "webhook" and channel.url and not _private(channel.url.text):
                found.append(
                    f"alerts.channels.{name}.url is {channel.url} without TLS: names and companies cross the "
                    "network in clear"
                )
        return found


def asks_sign_in(sign_in: str, listen: Address | None) -> bool:
    """What mqtt.sign_in comes to."""
    return sign_in == "on" or (sign_in == "auto" and listen is not None and not listen.loopback)


def changed(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """The keys whose values differ: those that take effect at once, and those that need a restart.

    `cleanup.enabled` is in neither: it is only the first value of a switch that is kept elsewhere. A client
    type or a channel that came or went is named once.
    """
    was = {path: (value, effect) for path, value, effect in _values(old)}
    now = {path: (value, effect) for path, value, effect in _values(new)}
    found: dict[Effect, list[str]] = {"live": [], "restart": [], "first": []}
    for path in [*now, *(path for path in was if path not in now)]:
        if was.get(path) != now.get(path):
            whole = path if path in was and path in now else path.rsplit(".", 1)[0]
            effect = (now.get(path) or was[path])[1]
            if whole not in found[effect]:
                found[effect].append(whole)
    return found["live"], found["restart"]


def plain(settings: Settings) -> dict[str, Any]:
    """Every value in force by dotted key, fit for JSON and without secrets."""
    return {path: _plain(value) for path, value, _ in _values(settings)}


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of what `plain` gave twice: each key whose value differs, with `before` and `after`; None where there
    was or is no such key."""
    return {
        path: {"before": was.get(path), "after": now.get(path)}
        for path in [*now, *(path for path in was if path not in now)]
        if was.get(path) != now.get(path)
    }


def _values(settings: Settings) -> Iterator[tuple[str, Any, Effect]]:
    named: dict[str, Mapping[str, Any]] = {
        "client_types": settings.client_types,
        "alerts.channels": settings.alert_channels,
    }
    for path, item in paths(named):
        owner = path.rpartition(".")[0]
        section = section_of(owner)
        table = named.get(section)
        holder = getattr(settings, owner) if table is None else table[owner.removeprefix(f"{section}.")]
        yield path, getattr(holder, item.name), item.effect


def _plain(value: Any) -> Any:
    if isinstance(value, Address | Broker | HiddenUrl | Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return hidden(value) if isinstance(value, str) else value


def _client_type(name: str, given: ClientType) -> model.ClientType:
    from whosin import model  # noqa: PLC0415 - as above

    return model.ClientType(
        name=name,
        timeout_ms=_ms(given.timeout_s),
        heartbeat_every_ms=_ms(given.heartbeat_every_s),
        lost_grace_ms=_ms(given.lost_grace_s),
        idle_limit_s=given.idle_limit_s,
        idle_disconnects=given.idle_action == "disconnect",
    )


def _ms(duration_s: float) -> int:
    """Whole milliseconds; what is more than nothing stays so."""
    return max(1, round(duration_s * 1000)) if duration_s else 0


def _open_to_all(file: Path) -> bool:
    """Windows keeps that elsewhere."""
    try:
        return os.name == "posix" and bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _local_host(host: str | None) -> bool:
    return host is not None and Address(host.strip("[]"), 0).loopback


def _private(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or _local_host(parts.hostname)


def _local(broker: Broker) -> bool:
    return Address(broker.host, broker.port).loopback
