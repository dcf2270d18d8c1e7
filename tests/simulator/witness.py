"""What can be seen from outside of the daemon: what was received, answered, acknowledged, published, ordered.

Owns the records, and when there was trouble that the daemon may take for blindness. Judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulator.world import FOR_EVER

if TYPE_CHECKING:
    from tests.simulator.machine import Life
    from tests.simulator.script import Who
    from tests.simulator.world import World


VERBS = ("login", "heartbeat", "logout", "lost", "lock", "unlock")
COMMIT_MS = 1_000  # within which something received is surely stored, where the disk is well
LARGEST = 8 * 1024  # bytes; the portals of these stories send no larger batches


def _sound(body: dict[str, Any]) -> bool:
    """Whether the fields that garbage gets wrong here are of the right kind."""
    return isinstance(body.get("resource", ""), str) and isinstance(body.get("sessions", []), list)


@dataclass(eq=False)
class Sign:
    """Something received from or for one session."""

    at_ms: int
    verb: str
    body: dict[str, Any]
    life: int
    order: int


@dataclass(eq=False)
class Trouble:
    """A stretch in which the daemon may have been blind through this source (None: both)."""

    source: str | None
    began_ms: int
    ended_ms: int = FOR_EVER


@dataclass(eq=False)
class Known:
    """All that is known of one session. Times are the world's."""

    who: Who
    knocks: list[int] = field(default_factory=list)  # signs of life that only others' faults could stop
    slow: list[tuple[int, int]] = field(default_factory=list)  # its own network carried nothing
    unread: list[Trouble] = field(default_factory=list)  # the door may not have read what it said
    signs: list[Sign] = field(default_factory=list)  # received, in order
    losses: list[Sign] = field(default_factory=list)
    logouts: list[Sign] = field(default_factory=list)
    answers: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    accepted: bool = False
    arrived_ms: int | None = None
    left_ms: int | None = None
    died_ms: int | None = None
    logout_acked: bool = False


class Witness:
    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[str, Known] = {}
        self._order = 0
        self._newest: dict[tuple[str, str], int] = {}
        self.shown: list[tuple[int, str, dict[str, Any]]] = []  # to operators: when, to whom, an item
        self.troubles: list[Trouble] = []
        self.disk_troubles: list[Trouble] = []
        self.starts: list[int] = []
        self.ends: dict[int, int] = {}  # when each of the daemon's lives was over
        self.published: dict[str, dict[str, dict[str, Any]]] = {"broker": {}, "door": {}}
        self.orders: list[tuple[int, str, tuple[Any, ...], Any]] = []
        self.ghost: Callable[..., None] = lambda *_args, **_more: None
        self.policies: list[tuple[int, Any]] = []  # (since, kinds) as settings were

    def knows(self, who: Who) -> Known:
        return self.known.setdefault(who.id, Known(who))

    # --- trouble --------------------------------------------------------------------------------------

    def trouble(self, source: str | None, began_ms: int) -> Trouble:
        found = Trouble(source, began_ms)
        self.troubles.append(found)
        return found

    def disk_trouble(self, until_ms: int) -> None:
        self.disk_troubles.append(Trouble(None, self.world.now - 100, until_ms))

    def troubled(self, source: str, since_ms: int, until_ms: int) -> int:
        """How much of the stretch may have been blind."""
        spans = sorted(
            (max(it.began_ms, since_ms), min(it.ended_ms, until_ms))
            for it in self.troubles
            if it.source in (None, source) and it.began_ms < until_ms and it.ended_ms > since_ms
        )
        total, reached = 0, since_ms
        for began, ended in spans:
            if ended > reached:
                total += ended - max(began, reached)
                reached = ended
        return total

    def put_off(self, known: Known, source: str, due_ms: int, grace_ms: int) -> int:
        """Until when one blindness after the other may put off what is due: each begun before, or within the
        grace of the last. What lay unread of its own at the door is one, too."""
        spans = [it for it in self.troubles if it.source in (None, source)] + known.unread
        for it in sorted(spans, key=lambda it: it.began_ms):
            back_ms = min(it.ended_ms, self.world.now) + grace_ms
            if it.began_ms <= due_ms < back_ms:
                due_ms = back_ms
        return due_ms

    def forgettable(self, sign: Sign, life: int) -> bool:
        """Received in an earlier life that ended before it can have been stored: nothing of it need be known
        any more, as nothing of it can have been answered (rule 10)."""
        end = self.ends.get(sign.life)
        if sign.life == life or end is None:
            return False
        reached = sign.at_ms + COMMIT_MS
        for trouble in sorted(self.disk_troubles, key=lambda it: it.began_ms):
            if trouble.began_ms <= reached:
                reached = max(reached, trouble.ended_ms)
        return reached >= end

    @staticmethod
    def unread(known: Known, since_ms: int, until_ms: int) -> bool:
        """May some of what it said then have lain unread at the door, by no fault of its own?"""
        return any(it.began_ms < until_ms and it.ended_ms > since_ms for it in known.unread)

    # --- records --------------------------------------------------------------------------------------

    def heard(self, life: Life, source: str, _at_ms: int, messages: Sequence[Any]) -> None:
        for message in messages:
            if message.retain:
                continue
            levels = message.topic.decode("latin-1").split("/")
            if len(levels) != 7:
                continue
            _, _, _, site, company, ident, verb = levels
            if ident == "@batch" and verb != "heartbeat":
                continue
            try:
                body = json.loads(message.payload) if message.payload else {}
            except ValueError:
                continue
            if not isinstance(body, dict) or len(message.payload) > LARGEST or not _sound(body):
                continue
            if ident == "@batch":
                for one in body.get("sessions", ()):
                    self._sign(life, source, site, company, one, "heartbeat", {})
            else:
                self._sign(life, source, site, company, ident, verb, body)

    def _sign(
        self, life: Life, source: str, site: str, company: str, ident: str, verb: str, body: dict[str, Any]
    ) -> None:
        known = self.known.get(ident)
        if known is None or (known.who.site, known.who.company) != (site, company):
            return
        who = known.who
        if verb == "login" and (body.get("user"), body.get("client"), body.get("machine")) != (
            who.user, who.client, who.machine,
        ):  # fmt: skip
            return
        self._order += 1
        sign = Sign(self.world.now, verb, body, life.number, self._order)
        if verb not in VERBS:
            return
        if verb == "lost":
            known.losses.append(sign)
        elif verb == "logout":
            known.logouts.append(sign)
        else:
            known.signs.append(sign)

    def answered(self, known: Known, kind: str, body: dict[str, Any]) -> None:
        known.answers.append((self.world.now, kind, body))
        self.world.tell(known.who.id, f"hears {kind} {body}")
        if kind == "login" and body.get("accepted"):
            known.accepted = True

    def acknowledged(self, tag: object) -> None:
        if isinstance(tag, tuple) and tag[0] == "logout":
            self.known[tag[1]].logout_acked = True

    def _in_order(self, where: str, body: dict[str, Any]) -> None:
        """What is new of a session comes behind what came of it before."""
        seq = int(body["id"].rpartition("-")[2])
        newest = self._newest.get((where, body["subject"]), 0)
        if seq < newest:
            self.world.wrong(f"{where} hears event {seq} of {body['subject']} behind {newest}")
        self._newest[where, body["subject"]] = max(seq, newest)

    def announced(self, where: str, topic: str, payload: bytes) -> None:
        """An event reached a listener."""
        if topic.startswith("whosin/v1/events/"):
            body = json.loads(payload)
            seen = self.published[where]
            before = seen.get(body["id"])
            if before is not None and before != body:
                self.world.wrong(f"one event id, two facts: {before} and {body}")
            seen[body["id"]] = body
            if before is None and "subject" in body:
                self._in_order(where, body)
