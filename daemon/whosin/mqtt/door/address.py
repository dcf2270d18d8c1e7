"""Where the door listens.

Owns what an address may be, and that without sign-in only this machine may reach it. Must not know sockets.
"""

from __future__ import annotations

import contextlib
import ipaddress

from whosin.errors import SettingsError


def address_of(listen: str, *, signed_in: bool) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise SettingsError([f"mqtt.listen is {listen!r}; expected host:port, for example 127.0.0.1:1883"])
    loopback = host == "localhost"
    with contextlib.suppress(ValueError):
        loopback = ipaddress.ip_address(host).is_loopback
    if not loopback and not signed_in:
        raise SettingsError(
            [f"mqtt.listen is {listen!r} with sign-in off; without sign-in only loopback is allowed"]
        )
    return host, int(port)
