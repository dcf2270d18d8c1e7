"""The department of alerts: looks, decides, writes down, has it delivered.

Owns the order of that, and the rows: an alert, its event in the history and its deliveries are one commit,
and people are told once it is durable (`delivery`). Must not know HTTP, SQL or how a target is reached.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from whosin import wire
from whosin.alerts.conditions import Alert, Conditions, Group, Pace, Step
from whosin.alerts.delivery import Delivery, Outbox, Send, send
from whosin.alerts.kinds import AT_ONCE, KINDS
from whosin.alerts.messages import ACTIONS, Message, Told, compose, summary
from whosin.alerts.routing import Channel, interested, the_log
from whosin.alerts.watch import Thresholds, Watch
from whosin.cleanup import Cleanup
from whosin.engine.engine import Engine
from whosin.model import Event
from whosin.observe.counts import Counts, bump
from whosin.ports import AlertRow, DeliveryRow, Loaded

if TYPE_CHECKING:
    from random import Random

LISTED = 50  # facts kept with an alert
KEYS = 1_000  # conditions of an alert that are remembered over a restart

log = structlog.get_logger("whosin.alerts")
Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """All that alerts are told by settings. Without channels: the log."""

    channels: tuple[Channel, ...] = ()
    pace: Pace = field(default_factory=Pace)
    thresholds: Thresholds = field(default_factory=Thresholds)
    give_up_ms: int = 86_400_000
    page: str = "http://127.0.0.1:8787"
    daemon: str = "whosin"


@dataclass(slots=True)
class Entry:
    """An alert with what it is about, as long as something of it is open or to be delivered."""

    alert: Alert
    facts: list[Json]
    cleared: int = 0  # wall


class Office:
    """`begin`, then `tick` at each moment, then `close`. `random` is for ids and jitter.

    Other departments say `conditions.on` and `conditions.off` of a kind of theirs, and put into `tellers` who
    tells what one is about. After a restart `conditions.keys(kind)` are those that people know of already.
    """

    def __init__(
        self,
        engine: Engine,
        cleanup: Cleanup,
        counts: Counts,
        plan: Plan | None = None,
        *,
        random: Random | None = None,
        ident: Callable[[], str] | None = None,
        send: Send = send,
    ) -> None:
        random = random or secrets.SystemRandom()
        self.plan = plan or Plan()
        self.conditions = Conditions(self.plan.pace, ident or (lambda: f"{random.getrandbits(64):016x}"))
        self.entries: dict[int, Entry] = {}
        self._engine = engine
        self._counts = counts
        self._watch = Watch(engine, cleanup, self.conditions, self.plan.thresholds)
        self.outbox = Outbox(
            durable=engine.durable, now=engine.clock.now_ms, store=self._store, ended=self._ended,
            random=random, give_up_ms=self.plan.give_up_ms, send=send,
        )  # fmt: skip
        self._take_channels()
        engine.before_commit.append(self.tick)

    @property
    def tellers(self) -> dict[str, Callable[[str], Json | None]]:
        """By kind: what a condition is about, {company, problem, since}; None when it is over."""
        return self._watch.tellers

    @property
    def channels(self) -> list[Channel]:
        return list(self.outbox.channels.values())

    def begin(self, loaded: Loaded) -> None:
        """Take up what was open, and what was still to be delivered."""
        self.conditions.number = loaded.last_alert
        rows = {row.number: row for row in loaded.alerts}
        for row in loaded.alerts:
            entry = self.entries[row.number] = self._entry(row)
            if not row.cleared:
                self.conditions.restore(entry.alert)
        line = self._engine.rows.line
        for owed in loaded.deliveries:
            if owed.alert in rows:
                told = Delivery(
                    owed.alert, owed.channel, owed.phase, owed.id, line(owed.since), line(owed.due),
                    partial(self._compose, owed.alert, owed.phase, owed.id), tries=owed.tries,
                    at_ms=line(owed.at) if owed.at else 0, error=owed.error, stored=True,
                )  # fmt: skip
                self.outbox.add(told)
        for alert in list(self.conditions.open.values()):
            self._watch.restore(alert)

    def _entry(self, row: AlertRow) -> Entry:
        line, body = self._engine.rows.line, msgspec.json.decode(row.body)
        alert = Alert(
            row.number, row.id, Group(row.kind, row.site, row.company), row.severity, line(row.raised),
            line(row.told), row.total, dict.fromkeys(body["keys"], row.severity), row.reminders,
        )  # fmt: skip
        return Entry(alert, body["facts"], row.cleared)

    def adopt(self, plan: Plan) -> None:
        """Other settings, at once; what waits goes on with the channel of the same name."""
        self.plan = plan
        self.conditions.set_pace(plan.pace)
        self._watch.thresholds = plan.thresholds
        self.outbox.give_up_ms = plan.give_up_ms
        self._take_channels()

    def _take_channels(self) -> None:
        self.outbox.channels = {one.name: one for one in self.plan.channels or (the_log(),)}

    async def close(self) -> None:
        await self.outbox.close()

    # --- moments --------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """What time and the engine bring. A bug in here must not stop the ticker."""
        try:
            self._watch.look(now)
            for kind, key in list(self.conditions.soon(now)):
                self._watch.look_at(kind, key, now)
            for step in self.conditions.due(now):
                self._tell(step, now)
            self.outbox.tick(now)
        except Exception:
            log.exception("engine.bug")

    def _tell(self, step: Step, now: int) -> None:
        alert, phase = step.alert, step.phase
        if phase == "raised":
            self.entries[alert.number] = Entry(alert, self._facts(alert))
        entry = self.entries[alert.number]
        if phase == "cleared":
            entry.cleared = self._engine.rows.wall(now)
        elif phase == "reminder":
            entry.facts = self._facts(alert) or entry.facts
        self._note(entry, phase, now)
        self._put(entry)
        name = f"reminder {alert.reminders}" if phase == "reminder" else phase
        for channel in interested(self.channels, alert.group, alert.severity, entry.facts):
            if phase == "cleared" and self.outbox.will_tell(alert.number, channel.name):
                continue
            if phase != "cleared" or channel.cleared:
                self._deliver(alert, channel.name, name, now)
        self._let_go(alert.number)

    def _facts(self, alert: Alert) -> list[Json]:
        return self._watch.facts(alert.group.kind, alert.on, LISTED)

    def _deliver(self, alert: Alert, channel: str, phase: str, now: int) -> None:
        ident = f"{alert.id}-{channel}-{phase.replace(' ', '-')}"
        told = Delivery(
            alert.number, channel, phase, ident, now, now, partial(self._compose, alert.number, phase, ident),
            at_once=alert.group.kind in AT_ONCE,
        )  # fmt: skip
        self._store(told)
        self.outbox.add(told)

    def _note(self, entry: Entry, phase: str, now: int) -> None:
        """The event in the history and for observers. Of a mass silence the rules have told that it began."""
        alert, group = entry.alert, entry.alert.group
        if phase == "reminder" or (phase == "raised" and group.kind == "mass_silence"):
            return
        told = self._told(entry, phase)
        data: Json = {"kind": group.kind, "id": alert.id, "severity": alert.severity, "count": alert.total}
        data["message"] = summary(told)
        if phase == "raised":
            data["action"] = ACTIONS[group.kind]
            data["sessions"] = [fact["session"] for fact in entry.facts if "session" in fact]
        else:
            data["raised_ms"] = alert.raised_ms
        self._engine.roll.out.events.append(
            Event(f"alert.{phase}", now, group.site, group.company, None, None, data)
        )

    # --- messages -------------------------------------------------------------------------------------

    def _told(self, entry: Entry, phase: str) -> Told:
        alert = entry.alert
        return Told(
            alert.id, alert.group, alert.severity, self._engine.rows.wall(alert.raised_ms), entry.cleared,
            alert.total, entry.facts, phase.partition(" ")[0],
        )  # fmt: skip

    def _compose(self, number: int, phase: str, ident: str, channel: Channel) -> Message:
        """What this channel may read of it."""
        told = self._told(self.entries[number], phase)
        part = channel.part(told.group, told.facts)
        if len(part) < len(told.facts):
            told = replace(told, facts=part, total=len(part))
        return compose(told, ident, page=self.plan.page, daemon=self.plan.daemon)

    def test_message(self, channel: Channel, ident: str) -> Message:
        """What `alerts test` sends."""
        now = self._engine.rows.wall(self._engine.clock.now_ms())
        facts = [{"problem": f"This message tests the channel {channel.name}"}]
        told = Told(ident, Group("test", None, None), "info", now, 0, 1, facts, "test")
        return compose(told, f"{ident}-{channel.name}-test", page=self.plan.page, daemon=self.plan.daemon)

    # --- rows -----------------------------------------------------------------------------------------

    def row(self, entry: Entry) -> AlertRow:
        alert, wall = entry.alert, self._engine.rows.wall
        body = wire.encode_json({"facts": entry.facts, "keys": list(islice(alert.on, KEYS))})
        return AlertRow(
            alert.number, alert.id, *alert.group, alert.severity, wall(alert.raised_ms), wall(alert.told_ms),
            entry.cleared, alert.reminders, alert.total, body,
        )  # fmt: skip

    def delivery_row(self, told: Delivery) -> DeliveryRow:
        wall = self._engine.rows.wall
        return DeliveryRow(
            told.alert, told.channel, told.phase, told.id, told.state, told.tries, wall(told.since_ms),
            wall(told.at_ms) if told.at_ms else 0, wall(told.due_ms), told.error,
        )  # fmt: skip

    def _put(self, entry: Entry) -> None:
        self._engine.committer.open.changes.alerts[entry.alert.number] = self.row(entry)

    def _store(self, told: Delivery) -> None:
        """With the next tick's commit: what was sent and not noted so before a crash is sent again."""
        changes = self._engine.committer.open.changes
        changes.deliveries[told.alert, told.channel, told.phase] = self.delivery_row(told)
        if told.error is not None and told.state == "pending":
            bump(self._counts.deliveries, (told.channel, "retried"))

    def _ended(self, told: Delivery) -> None:
        bump(self._counts.deliveries, (told.channel, told.state))
        if told.state == "given_up":
            group = self.entries[told.alert].alert.group
            data = {"kind": group.kind, "id": self.entries[told.alert].alert.id, "channel": told.channel,
                    "tries": told.tries, "problem": told.error}  # fmt: skip
            now = self._engine.clock.now_ms()
            self._engine.roll.out.events.append(
                Event("alert.given_up", now, group.site, group.company, None, None, data)
            )
        self._engine.collect()
        self._let_go(told.alert)

    def _let_go(self, number: int) -> None:
        """Of what is over and delivered only the rows are left."""
        entry = self.entries.get(number)
        if entry is not None and entry.cleared and not self.outbox.of(number):
            del self.entries[number]

    # --- counted --------------------------------------------------------------------------------------

    def open_by_kind(self) -> Mapping[str, int]:
        counted = Counter(alert.group.kind for alert in self.conditions.open.values())
        return {kind: counted[kind] for kind in KINDS}
