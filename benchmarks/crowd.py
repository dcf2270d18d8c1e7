"""Sessions by the hundred thousand, and what they say, as bytes that were made beforehand.

Must not know sockets. Every session has a topic of its own; ids look like the UUIDs that clients use.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator

from whosin.mqtt.codec import V311, Version, encode_publish

SITE = "head-office"


class Crowd:
    """`count` sessions in `companies` companies of one site; every third tells its os_session."""

    def __init__(self, count: int, companies: int = 1_000, site: str = SITE, client: str = "desktop") -> None:
        self.count = count
        self.companies = min(companies, count)
        self.site = site
        self.client = client
        self._mark = zlib.crc32(site.encode()) & 0xFFF

    def ident(self, nth: int) -> str:
        """No other site's crowd has it."""
        return f"{nth:08x}-1b7e-4{self._mark:03x}-a4c2-{nth * 7919 % (1 << 48):012x}"

    def company(self, nth: int) -> str:
        return f"company-{nth % self.companies:04}"

    def topic(self, nth: int, verb: str = "heartbeat") -> bytes:
        return f"whosin/v1/up/{self.site}/{self.company(nth)}/{self.ident(nth)}/{verb}".encode()

    def who(self, nth: int) -> bytes:
        says: dict[str, object] = {
            "user": f"user{nth:06}@example.com", "client": self.client, "machine": f"PC-{nth % 50_000:05}",
        }  # fmt: skip
        if nth % 3 == 0:
            says["os_session"] = f"rdp-{nth % 97}"
        return json.dumps(says).encode()

    def logins(self, chosen: Iterable[int]) -> bytes:
        return _join((self.topic(nth, "login"), self.who(nth)) for nth in chosen)

    def heartbeats(self, chosen: Iterable[int], qos: int = 0) -> bytes:
        return _join(((self.topic(nth), b"") for nth in chosen), qos)

    def locks(self, chosen: Iterable[int]) -> bytes:
        return _join(
            (self.topic(nth, "lock"), json.dumps({"resource": f"sales-order/SO-{nth:07}"}).encode())
            for nth in chosen
        )


def _join(messages: Iterable[tuple[bytes, bytes]], qos: int = 1, version: Version = V311) -> bytes:
    return b"".join(
        encode_publish(topic, payload, qos=qos, packet_id=nth % 65_535 + 1 if qos else 0, version=version)
        for nth, (topic, payload) in enumerate(messages)
    )


def shares(count: int, parts: int) -> Iterator[range]:
    """`count` things dealt to `parts` hands."""
    for part in range(parts):
        yield range(part, count, parts)
