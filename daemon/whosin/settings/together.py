"""Which values go together, and the defaults that depend on other values or on the machine.

Owns the rules between keys. Must not know: where values came from, or how single values are checked.
"""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from whosin.settings.alerts import channel_clashes
from whosin.settings.effective import Settings, asks_sign_in
from whosin.settings.kinds import Address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whosin.settings.schema import ClientType

NOWHERE = Path("nowhere")  # relative, which no folder that was set is


class Clash(NamedTuple):
    """Values that do not go together; `text` begins with the first of `keys`."""

    keys: tuple[str, ...]
    text: str


def fill(values: dict[str, dict[str, Any]], environ: Mapping[str, str]) -> None:
    """Add the derived defaults to what was given, by section and key."""
    daemon, mqtt, limits = values["daemon"], values["mqtt"], values["limits"]
    if not daemon.get("name"):
        daemon["name"] = re.sub(r"[^A-Za-z0-9._~:-]", "-", platform.node())[:64] or "whosin"
    if daemon.get("data_dir") is None:
        daemon["data_dir"] = data_dir(environ) or NOWHERE
    mqtt.setdefault("listen", None if mqtt.get("url") else Address("127.0.0.1", 1883))
    if not mqtt.get("client_id"):
        mqtt["client_id"] = f"whosin-{daemon['name']}"[:64]
    signed_in = asks_sign_in(mqtt.get("sign_in", "auto"), mqtt["listen"])
    limits.setdefault("messages_per_s", 1000 if signed_in else 0)
    if values["store"].get("url", "") is None:
        del values["store"]["url"]


def data_dir(environ: Mapping[str, str]) -> Path | None:
    """The directory that systemd gives, if it does, else the place where programs of this user keep data."""
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) if sys.platform != "win32" else Path(state)
    try:
        home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    except RuntimeError:  # a user without a home
        return None
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "Whosin"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "Whosin"
    base = Path(environ.get("XDG_DATA_HOME") or "")
    return (base if base.is_absolute() else home / ".local" / "share") / "whosin"


def clashes(settings: Settings) -> Iterator[Clash]:
    """Everything that does not go together."""
    if settings.daemon.data_dir == NOWHERE:
        yield Clash(
            ("daemon.data_dir",),
            "daemon.data_dir is not set and this user has no home folder; expected the path of a folder",
        )
    for name, client in settings.client_types.items():
        yield from _patience(f"client_types.{name}", client)
    yield from _door(settings)
    yield from _link(settings)
    yield from _page(settings)
    for name, channel in settings.alert_channels.items():
        for keys, text in channel_clashes(f"alerts.channels.{name}", channel):
            yield Clash(keys, text)


def _patience(prefix: str, client: ClientType) -> Iterator[Clash]:
    """Rule 8: one lost heartbeat must not look like a death."""
    beat = client.heartbeat_every_s
    if client.lost_grace_s <= beat:
        yield Clash(
            (f"{prefix}.lost_grace_s", f"{prefix}.heartbeat_every_s"),
            f"{prefix}.lost_grace_s is {client.lost_grace_s:.10g} and heartbeat_every_s is {beat:.10g}; "
            f"expected lost_grace_s to be more than {beat:.10g}",
        )
    if client.timeout_s < 2 * beat:
        yield Clash(
            (f"{prefix}.timeout_s", f"{prefix}.heartbeat_every_s"),
            f"{prefix}.timeout_s is {client.timeout_s:.10g} and heartbeat_every_s is {beat:.10g}; "
            f"expected timeout_s to be at least {2 * beat:.10g}, twice heartbeat_every_s",
        )


def _door(settings: Settings) -> Iterator[Clash]:
    mqtt = settings.mqtt
    yield from _pair(mqtt, "mqtt", "listen_tls_cert", "listen_tls_key")
    yield from _client_certificates(settings)
    if mqtt.listen is None:
        for name in ("listen_tls_cert", "listen_tls_key", "listen_client_ca", "listen_client_crl"):
            if getattr(mqtt, name) is not None:
                yield Clash(
                    (f"mqtt.{name}", "mqtt.listen", "mqtt.url"),
                    f"mqtt.{name} is set and mqtt.listen is off; expected mqtt.listen to be host:port",
                )
        if mqtt.url is None:
            yield Clash(
                ("mqtt.listen", "mqtt.url"),
                "mqtt.listen is off and mqtt.url is not set, so nobody is heard; expected one of them",
            )
    elif mqtt.sign_in == "off" and not mqtt.listen.loopback:
        yield Clash(
            ("mqtt.sign_in", "mqtt.listen"),
            f'mqtt.sign_in is "off" and mqtt.listen is {mqtt.listen}, which others can reach; '
            'expected "auto" or "on", or mqtt.listen on loopback',
        )


def _client_certificates(settings: Settings) -> Iterator[Clash]:
    mqtt = settings.mqtt
    if mqtt.listen_client_ca is None:
        if mqtt.listen_client_crl is not None:
            yield Clash(
                ("mqtt.listen_client_crl", "mqtt.listen_client_ca"),
                "mqtt.listen_client_crl is set and mqtt.listen_client_ca is not; expected both or neither",
            )
        if mqtt.listen_client_cert == "required":
            yield Clash(
                ("mqtt.listen_client_cert", "mqtt.listen_client_ca"),
                'mqtt.listen_client_cert is "required" and mqtt.listen_client_ca is not set; expected the '
                "certificates of who signs clients' own in mqtt.listen_client_ca",
            )
        return
    if mqtt.listen_tls_cert is None:
        yield Clash(
            ("mqtt.listen_client_ca", "mqtt.listen_tls_cert"),
            "mqtt.listen_client_ca is set and mqtt.listen_tls_cert is not; expected listen_tls_cert and "
            "listen_tls_key too, since clients show certificates in TLS only",
        )
    elif mqtt.listen is not None and not asks_sign_in(mqtt.sign_in, mqtt.listen):
        yield Clash(
            ("mqtt.listen_client_ca", "mqtt.sign_in", "mqtt.listen"),
            f"mqtt.listen_client_ca is set and sign-in is off at mqtt.listen {mqtt.listen}; "
            'expected mqtt.sign_in to be "on"',
        )


def _link(settings: Settings) -> Iterator[Clash]:
    mqtt = settings.mqtt
    yield from _pair(mqtt, "mqtt", "cert_file", "key_file")
    if mqtt.password_file and not mqtt.username:
        yield Clash(
            ("mqtt.password_file", "mqtt.username"),
            "mqtt.password_file is set and mqtt.username is not; expected both or neither",
        )
    for name in ("username", "password_file", "ca_file", "cert_file", "key_file"):
        if getattr(mqtt, name) is None:
            continue
        if mqtt.url is None:
            yield Clash(
                (f"mqtt.{name}", "mqtt.url"),
                f"mqtt.{name} is set and mqtt.url is not; expected the broker's address in mqtt.url",
            )
        elif name.endswith(("a_file", "t_file", "y_file")) and not mqtt.url.tls:
            yield Clash(
                (f"mqtt.{name}", "mqtt.url"),
                f"mqtt.{name} is set and mqtt.url is {mqtt.url}; expected mqtts:// in mqtt.url",
            )


def _page(settings: Settings) -> Iterator[Clash]:
    http, door = settings.http, settings.mqtt.listen
    yield from _pair(http, "http", "tls_cert", "tls_key")
    if http.listen is None:
        return
    if not (http.listen.loopback or http.tls_cert or http.behind_proxy):
        yield Clash(
            ("http.listen", "http.tls_cert", "http.behind_proxy"),
            f"http.listen is {http.listen}, which others can reach, without TLS; expected http.tls_cert and "
            "http.tls_key, or http.behind_proxy = true, or http.listen on loopback",
        )
    if http.listen.port and http.listen == door:
        yield Clash(
            ("http.listen", "mqtt.listen"),
            f"http.listen and mqtt.listen are both {door}; expected two different addresses",
        )


def _pair(section: object, prefix: str, cert: str, private: str) -> Iterator[Clash]:
    for one, other in ((cert, private), (private, cert)):
        if getattr(section, one) is not None and getattr(section, other) is None:
            yield Clash(
                (f"{prefix}.{one}", f"{prefix}.{other}"),
                f"{prefix}.{one} is set and {prefix}.{other} is not; expected both or neither",
            )
