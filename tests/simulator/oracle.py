"""The judge of dates: was it right to call this session disconnected, then, and so late? (rules 2, 4 and 8)

Written from the contract, apart from `whosin.rules`, which it must not import. It knows what was really
received, who really lived, and when the daemon, its broker or its machine were in trouble.

*Innocent* is a session whose program lives and kept its duty up to the moment at which it was called
disconnected: it tried to give a sign of life at least every 1.25 heartbeats, each time over a network of its
own that works. What then failed was the daemon, its machine, its disk, its broker, or the way between them.
Faults of a client's own network (held up, half-open) end its innocence from then until two timeouts later; a
connection that is cut does not, since the client notices and comes back within seconds.

*Trouble* is every stretch in which the daemon can have been blind, taken generously. A date must be the
deadline exactly where there was none since the last sign of life; with trouble it may be later by no more
than the trouble and one grace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulator.machine import Life
    from tests.simulator.script import Kind, Script
    from tests.simulator.witness import Known, Sign, Witness
    from tests.simulator.world import World

ANNOUNCED_MS = 1_000
OWN_DELAY_MS = 600  # of a client's own connection, in good times


class Oracle:
    def __init__(self, world: World, witness: Witness, script: Script) -> None:
        self.world = world
        self.witness = witness
        self.script = script
        self.kinds_since: list[tuple[int, dict[str, Kind]]] = [(0, script.kinds)]
        self.grace_ms = round(script.settings["regain_grace_s"] * 1000)
        self.judged = 0
        self.exact = 0
        self.dates: dict[
            int, tuple[int, int]
        ] = {}  # of events by number: in which life, when by its timeline
        self._told: list[int] = []

    def kind(self, client: str) -> list[Kind]:
        """The client type's settings, in all versions."""
        return [kinds.get(client) or kinds["default"] for _, kinds in self.kinds_since]

    def kinds_in(self, client: str, since_ms: int, until_ms: int) -> list[Kind]:
        """Those in force within this stretch."""
        found = []
        for index, (since, kinds) in enumerate(self.kinds_since):
            last = index + 1 == len(self.kinds_since) or self.kinds_since[index + 1][0] + 200 >= since_ms
            if since <= until_ms and last:
                found.append(kinds.get(client) or kinds["default"])
        return found

    def told(self, life: Life, events: Sequence[Any]) -> None:
        for event in events:
            self._told.append(event.at_ms - life.clock._start_ms)
            if event.type == "session.disconnected":
                known = self.witness.known.get(event.session)
                if known is None:
                    self.world.wrong(f"{event.session} is disconnected and never was")
                    continue
                date_ms = self.world.of_mono(event.at_ms - life.clock._start_ms)
                self._judge(life, known, date_ms, event.reason or event.data.get("reason"))
            elif event.type == "session.reconnected":
                self._judge_return(life, event)
            elif event.type == "session.removed" and event.data["cause"] in ("cleanup", "blocking"):
                self._judge_removal(life, event)

    def numbered(self, life: Life, row: Any) -> None:
        """The same events once more, one by one."""
        self.dates[row.seq] = life.number, self._told.pop(0)

    # --- one disconnect -------------------------------------------------------------------------------

    def _judge(self, life: Life, known: Known, date_ms: int, reason: str) -> None:
        now, who = self.world.now, known.who
        self.judged += 1
        if reason == "idle":
            limits = {kind.idle_limit_s for kind in self.kind(who.client)}
            if not any(
                sign.at_ms == date_ms and (sign.body.get("idle_s") or 0) >= min(limits)
                for sign in known.signs
            ):
                self.world.wrong(f"{who.id} is disconnected as idle at {date_ms}, and reported nothing then")
            return
        if date_ms > now:
            self.world.wrong(f"{who.id} is disconnected at {date_ms}, which is to come")
        before = [sign for sign in known.signs if sign.at_ms < date_ms]
        if not before:
            self.world.wrong(f"{who.id} is disconnected and nothing was received from it before")
            return
        last = before[-1]
        self._judge_innocence(known, date_ms)
        kinds = self.kinds_in(who.client, last.at_ms, now)
        due = {it for kind in kinds for it in self._dues(known, last, date_ms, kind, life.number)}
        source = "door" if who.by == "door" else "link"
        restarted = last.life != life.number
        earliest = min(due)
        if not restarted and date_ms < earliest:
            self.world.wrong(
                f"{who.id} is disconnected at {date_ms}, {earliest - date_ms} ms before its deadline"
                f" (last sign {last.at_ms})"
            )
        if restarted and date_ms < self.witness.starts[-1] + self.grace_ms and date_ms not in due:
            self.world.wrong(
                f"{who.id} is disconnected at {date_ms}, within the grace after the start at"
                f" {self.witness.starts[-1]}"
            )
        grace = max(self.grace_ms, *(round(kind.heartbeat_every_s * 1250) for kind in kinds))
        trouble = self.witness.troubled(source, last.at_ms - 50, now)
        graced = self.witness.troubled(source, last.at_ms - grace - 50, now)
        if not graced:
            self.exact += 1
            if date_ms not in due:
                self.world.wrong(f"{who.id} is disconnected at {date_ms}; its deadline was {sorted(due)}")
        latest = max(due) + trouble + (grace if graced else 0)
        latest = max(latest, self.witness.put_off(known, source, max(due), grace))
        if date_ms > latest:
            self.world.wrong(
                f"{who.id} is disconnected at {date_ms}, its deadline was {sorted(due)}, and trouble of"
                f" {trouble} ms and a grace of {grace} ms explain {latest} at the latest"
            )
        self._judge_lag(known, source, date_ms)

    def _dues(self, known: Known, last: Sign, until_ms: int, kind: Kind, life: int) -> set[int]:
        """The deadline by the contract's words, blindness apart; and as it may be where what an earlier life
        was told of lost connections could not be stored."""
        heard = [*known.signs, *known.losses]
        sure = [it for it in heard if not self.witness.forgettable(it, life)]
        return {self._due(known, last, until_ms, kind, known_of) for known_of in (heard, sure)}

    def _due(self, known: Known, last: Sign, until_ms: int, kind: Kind, heard: list[Sign]) -> int:
        due = last.at_ms + round(kind.timeout_s * 1000)
        for loss in known.losses:
            conn, newest = loss.body.get("conn"), self._newest_conn(heard, loss.order)
            if loss.order < last.order or loss not in heard:
                continue
            if loss.at_ms >= until_ms or (conn is not None and newest is not None and conn < newest):
                continue
            due = min(due, loss.at_ms + round(kind.lost_grace_s * 1000))
        return due

    @staticmethod
    def _newest_conn(heard: list[Sign], order: int) -> int | None:
        """Of all that was received before."""
        conns = [it.body["conn"] for it in heard if it.order < order and it.body.get("conn") is not None]
        return max(conns, default=None)

    def _judge_innocence(self, known: Known, date_ms: int) -> None:
        now, who = self.world.now, known.who
        kinds = self.kind(who.client)
        timeout = max(round(kind.timeout_s * 1000) for kind in kinds)
        allowed = min(round(kind.heartbeat_every_s * 1250) for kind in kinds) + 100
        since = max(date_ms - timeout, known.arrived_ms or 0)
        if known.died_ms is not None and known.died_ms < date_ms:
            return
        if any(began < now and ended > since - timeout - 5_000 for began, ended in known.slow):
            return
        knocks = [at for at in known.knocks if at >= since - allowed]
        reached = since
        for at in knocks:
            if at - reached > allowed:
                return
            reached = max(reached, at)
        if now - reached > allowed:
            return
        self.world.wrong(
            f"an innocent: {who.id} tried to give a sign of life at {knocks[-4:]} and is disconnected"
            f" at {date_ms}"
        )

    def _judge_lag(self, known: Known, source: str, date_ms: int) -> None:
        now = self.world.now
        if self.witness.troubled(source, date_ms - 1_500, now):
            return
        if any(it.began_ms < now and it.ended_ms > date_ms - 1_500 for it in self.witness.disk_troubles):
            return
        if any(date_ms - 100 <= since <= now for since, _ in self.kinds_since[1:]):
            return
        if self.witness.unread(known, date_ms - 1_500, now):
            return
        if now - date_ms > ANNOUNCED_MS:
            self.world.wrong(
                f"{known.who.id}: the disconnect of {date_ms} is announced {now - date_ms} ms late"
            )

    def _judge_return(self, life: Life, event: Any) -> None:
        known = self.witness.known.get(event.session)
        mono_ms = event.at_ms - life.clock._start_ms
        date_ms, first_ms = self.world.of_mono(mono_ms), self.world.of_mono(mono_ms, early=True)
        if known is None or not any(sign.at_ms in (date_ms, first_ms) for sign in known.signs):
            self.world.wrong(f"{event.session} came back at {date_ms}, and nothing was received from it then")

    def _judge_removal(self, life: Life, event: Any) -> None:
        """Nothing is removed automatically in the grace after a start (rule 7)."""
        known = self.witness.known.get(event.session)
        if known is None or not known.signs or known.signs[0].life == life.number:
            return
        date_ms = self.world.of_mono(event.at_ms - life.clock._start_ms)
        if date_ms < self.witness.starts[-1] + self.grace_ms - 300:
            self.world.wrong(
                f"{event.session} is removed by the {event.data['cause']} at {date_ms}, in the grace after"
                f" the start at {self.witness.starts[-1]}"
            )

    # --- at the end -----------------------------------------------------------------------------------

    def judge_missed(self, disconnects: dict[str, list[int]]) -> None:
        """A sign of life that came after a deadline found the session disconnected first (rule 2)."""
        for known in self.witness.known.values():
            source = "door" if known.who.by == "door" else "link"
            for last, sign in zip(known.signs, known.signs[1:], strict=False):
                kinds = self.kind(known.who.client)
                if len(kinds) > 1 and len({kind.timeout_s for kind in kinds}) > 1:
                    continue
                dues = self._dues(known, last, sign.at_ms, kinds[0], sign.life)
                due = max(dues)
                if sign.at_ms < due or last.life != sign.life:
                    continue
                if self.witness.troubled(source, last.at_ms - self.grace_ms - 2_000, sign.at_ms + 50):
                    continue
                if self.witness.unread(known, due, sign.at_ms + 50):
                    continue
                if known.who.id in disconnects and not dues & set(disconnects[known.who.id]):
                    self.world.wrong(
                        f"{known.who.id} gave a sign at {sign.at_ms}, after its deadline {due}, and was not"
                        f" disconnected first"
                    )
