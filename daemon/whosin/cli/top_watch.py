"""What `top` shows, kept fresh: one thread asks every second, another listens to the events.

Owns the asking and its failures; the picture is `top_view`'s. Both threads end soon after `stop` is set; one
that still waits for the network then does not keep the program from ending.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whosin.apiclient import ApiClient, ApiRefused, Unreachable
from whosin.cli.pace import Pace
from whosin.cli.top_view import Seen, hurt
from whosin.cli.words import now

if TYPE_CHECKING:
    from whosin.cli.finding import Target

Json = dict[str, Any]
EVERY_S = 1.0
KEPT = 200  # events
MOST_FALLEN = 200
METRICS_EVERY = 3  # rounds: rendering them costs the daemon more than the rest


class Asker(ApiClient):
    def text(self, path: str) -> str:
        """An answer that is not JSON."""
        with self._answer("GET", path) as response:
            return response.read().decode("utf-8", "replace") if response.status == 200 else ""


class Watch:
    """`seen()` is the newest picture, at any time and for any thread."""

    def __init__(self, found: Target) -> None:
        self._api = Asker(found.url, found.token)
        self._seen = Seen()
        self._recent: deque[Json] = deque(maxlen=KEPT)
        self._pace = Pace()
        self._rounds = 0
        self.stop = threading.Event()
        self.refused: ApiRefused | None = None  # asking again would not help

    def seen(self) -> Seen:
        return replace(self._seen, recent=tuple(self._recent.copy()))

    def start(self) -> None:
        for work in (self._ask, self._listen):
            threading.Thread(target=work, daemon=True).start()

    def look(self) -> None:
        """Ask once for everything but the events. Raises Unreachable, ApiRefused."""
        stats = self._api.get("stats")
        page = self._api.get("sessions", {"status": "disconnected", "sort": "-blocks", "limit": MOST_FALLEN})
        if self._rounds % METRICS_EVERY == 0:
            self._pace.take(time.monotonic(), self._api.text("/metrics"))
        self._rounds += 1
        self._seen = Seen(
            stats=stats,
            answered=now(),
            fallen=sorted(page["items"], key=hurt),
            fallen_total=int(page["total"]),
            rate=self._pace.rate,
            lag_s=self._pace.lag_s,
        )

    def look_back(self) -> None:
        """Fill the events with the newest of the history."""
        items = self._api.get("history", {"type": "session.", "limit": KEPT})["items"]
        self._recent = deque(items, maxlen=KEPT)

    def _ask(self) -> None:
        while not self.stop.is_set():
            try:
                self.look()
            except Unreachable as error:
                self._seen = replace(self._seen, trouble=str(error))
            except ApiRefused as error:
                if error.status in {401, 403}:
                    self.refused = error
                    return
                self._seen = replace(self._seen, trouble=str(error))
            self.stop.wait(EVERY_S)

    def _listen(self) -> None:
        while not self.stop.is_set():
            try:
                self.look_back()
                for _, kind, item in self._api.events():
                    if item and not kind.startswith("lock."):  # too many to read
                        self._recent.appendleft(item)
                    if self.stop.is_set():
                        return
            except (Unreachable, ApiRefused):
                pass  # the asking thread tells about it
            self.stop.wait(EVERY_S)
