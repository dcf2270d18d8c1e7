"""The one writer: a batch in, through the rules, into one commit, then answers and events out.

Owns the order of things: bytes were stamped on receipt, wait in the inbox, are decoded (or counted and
dropped), then `roll.expire(at)` and `roll.receive(message, at)`, then the commit. Must not know MQTT, SQL or
HTTP. Everything runs in the event loop's thread, and whoever drives it (the loop, a simulator) calls `drain`
and `tick`; no moment is read anywhere but from the injected clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import structlog

from whosin import wire
from whosin.engine.committer import Batch, Committer, Slot
from whosin.engine.outbox import Outbox
from whosin.engine.restore import restore
from whosin.engine.rows import Rows
from whosin.errors import BadInput, StoreError
from whosin.messages import BARE_HEARTBEAT, Heartbeat, LockRequest
from whosin.messages import Batch as Gathered
from whosin.model import Ended, Event, Policy, Session, Status
from whosin.observe.counts import Counts, bump
from whosin.ports import Changes, Clock, EventRow, Loaded, Peer, Received, Store, Transport
from whosin.rules import paths
from whosin.rules.outcome import Outcome
from whosin.rules.roll import Roll, Sender

INBOX_BOUND = 50_000  # messages received and not yet taken through the rules
PENDING_BOUND = 200_000  # what waits to be durable before it leaves: a failing disk must not fill the memory
CHUNK = 2_000  # deadlines taken at once, so that heartbeats flow between
PAUSE_MS = 500  # a loop that stood still for longer than a tick and this: the time does not count
BLIND_MS = 2_000  # and for this: people's connections may have broken, they get a grace
DOUBT_MS = 1_000  # a proof asked for and not given for so long: blind
TOMBS = 20_000
QUEUING = ("lock", "unlock")  # verbs by which one session's turn depends on another's
PARTING = ("lost", "logout")  # those that are no sign of life
LOOK_UP_MS = 1_000  # a look-up that takes longer keeps nobody waiting who is known
FENCE = "fence"  # where the store keeps from which token on new companies begin
CLOSE_S = 2.0  # a store that hangs must not keep the process from ending

log = structlog.get_logger("whosin.engine")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the engine looks at time, and writes what only heartbeats changed."""

    tick_ms: int = 250
    flush_ms: int = 5_000


class _Bare(NamedTuple):
    """A message with a topic and nothing else, as `Received`."""

    topic: bytes
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    packet_id: int = 0


@dataclass(slots=True, eq=False)
class Item:
    """One message from its receipt to its acknowledgement."""

    source: str
    at_ms: int
    peer: Peer
    heard: wire.Heard
    slot: Slot | None


class Engine:
    """Implements `ports.Intake`; what operators ask is `desk`'s."""

    def __init__(
        self,
        *,
        policy: Policy,
        store: Store,
        clock: Clock,
        counts: Counts,
        record: Callable[[Sequence[Event]], None],
        name: str,
        pace: Pace | None = None,
        soon: Callable[[Callable[[], None]], object] | None = None,
        bad_input: Callable[[str, bytes, str], None] = lambda _reason, _sample, _why: None,
    ) -> None:
        self.roll = Roll(policy)
        self._newborn = True  # nothing was ever stored: nobody can have been heard before
        self.clock = clock
        self.counts = counts
        self.pace = pace or Pace()
        self.store = store
        self.rows = Rows(clock)
        self.committer = Committer(store, counts, self._let_out)
        self.committer.changed = self._storage_changed
        self.outbox = Outbox(store, counts, name)
        self.transports: dict[str, Transport] = {}
        self.listeners: list[Callable[[EventRow], None]] = []
        self.before_commit: list[Callable[[int], None]] = []  # others with something to do at each moment
        self.on_flush: list[Callable[[Changes], None]] = []  # others with something to write behind
        self.stopping = False  # transports that end now are no news
        self.seq = 0
        self.followups: dict[tuple[str, str], int] = {}  # open ones, by site and severity
        self._record = record
        self._bad_input = bad_input
        self._soon = soon
        self._inbox: deque[tuple[int, int, Callable[[], None]]] = deque()  # how many, when, what to do
        self._depth = 0
        self._lines: list[Callable[[], None]] = []  # how far connections are read, behind all that
        self._broken: deque[tuple[int, str, int, int]] = (
            deque()
        )  # ended unread: until when it counts, and when
        self._scheduled = False
        self._acks: dict[Peer, deque[Slot]] = {}
        self._parked: deque[Item] = deque()  # in order of receipt, until their ids are looked up
        self._parked_of: set[str] = set()  # their ids
        self._unreadable = False
        self._asked_ms = 0
        self._looking: asyncio.Task[None] | None = None
        self._waiting_for_room: list[Callable[[], None]] = []
        self._pulse_ms = clock.now_ms()
        self._slept_ms: int | None = None
        self._flushed_ms = self._pulse_ms
        self._flushing = 0  # beats of the flush that is under way, or was the last
        self._unwritten: list[Session] = []  # those of them still to be written
        self._seen_so_far: dict[str, str] | None = None  # and how far we saw when it began
        self._more = False
        self._behind = False  # more was due before the message in hand than one go takes
        self._degraded_ms = 0

    # --- beginning ------------------------------------------------------------------------------------

    def begin(self, loaded: Loaded, transports: Sequence[Transport]) -> None:
        """Take up what was stored; every source is blind since its last stored proof."""
        now = self.clock.now_ms()
        proofs = {key[6:]: int(value) for key, value in loaded.meta.items() if key.startswith("proof.")}
        self._newborn = not proofs
        self.rows.restoring(max(int(loaded.meta.get("clock", 0)), *proofs.values(), 0), now)
        for transport in transports:
            self.transports[transport.source] = transport
            # A new one takes over whom another heard that is no more, and so what that has seen.
            proof = proofs.get(transport.source) or max(proofs.values(), default=0)
            self.roll.watch(transport.source, min(now, self.rows.line(proof)) if proof else now)
        self.roll.room.floor = int(loaded.meta.get(FENCE, 0))
        restore(self.roll, loaded, self.rows, now)
        self.seq = loaded.last_seq
        self.roll.next_followup = loaded.last_followup + 1
        self.followups = dict(loaded.open_followups)
        cursors = {key[10:]: int(value) for key, value in loaded.meta.items() if key.startswith("published.")}
        self.outbox.begin(loaded.store_id, loaded.last_seq, cursors, transports)
        self._pulse_ms = self._flushed_ms = now
        self.committer.open.changes.meta.update(self._sight(), **self.outbox.cursors())
        for key in cursors.keys() - self.transports.keys():  # a way out that is no more keeps no history back
            self.committer.open.changes.meta[f"published.{key}"] = str(loaded.last_seq)

    # --- Intake ---------------------------------------------------------------------------------------

    def deliver(self, source: str, at_ms: int, peer: Peer, messages: Sequence[Received]) -> None:
        self._arrived(len(messages), at_ms, partial(self._take, source, at_ms, peer, messages))

    def deliver_bare(self, source: str, at_ms: int, peer: Peer, topics: Sequence[str]) -> None:
        self._arrived(len(topics), at_ms, partial(self._take_bare, source, at_ms, peer, topics))

    def _arrived(self, count: int, at_ms: int, take: Callable[[], None]) -> None:
        self._alive(at_ms)
        self._inbox.append((count, at_ms, take))
        self._depth += count
        if self._depth >= INBOX_BOUND:
            self.drain()  # thousands of sockets may be readable in one turn of the loop
        else:
            self._drain_soon()

    def _drain_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            (self._soon or asyncio.get_running_loop().call_soon)(self._drain_some)

    def proof(self, source: str, at_ms: int) -> None:
        self._prove(source, at_ms)
        if self.roll.watches[source].deadlines.next_ms <= at_ms:
            self._drain_soon()  # what it proves silent need not wait for the next tick

    def _prove(self, source: str, at_ms: int) -> None:
        sight = self.roll.watches[source].sight
        since, now = sight.blind_since_ms, max(at_ms, self.clock.now_ms())
        if sight.proof(at_ms, now) and since is not None:
            self._regained(source, max(0, now - since), now)

    def behind(self, source: str, line: int, since_ms: int) -> None:
        if line in self.roll.watches[source].lags:
            self._lines.append(partial(self.roll.behind, source, line, since_ms))  # behind its inbox
            self._drain_soon()
        else:
            self.roll.behind(source, line, since_ms)

    def caught_up(self, source: str, line: int, *, unread: bool = False) -> None:
        if line in self.roll.watches[source].lags:
            over = partial(self._broke, source, line, self.clock.now_ms())
            self._lines.append(over if unread else partial(self.roll.caught_up, source, line))
            self._drain_soon()

    def _broke(self, source: str, line: int, at_ms: int) -> None:
        self.roll.broke(source, line, at_ms)
        self._broken.append((at_ms + self._grace_ms(), source, line, at_ms))

    def _give_up_the_broken(self, now: int) -> None:
        """Those heard through a connection that ended unread have had the time to come back."""
        while self._broken and self._broken[0][0] <= now:
            _, source, line, broke_ms = self._broken.popleft()
            self.roll.give_up(source, line, broke_ms)

    def sighted(self, source: str, at_ms: int) -> None:
        self._alive(at_ms)
        sight = self.roll.watches[source].sight
        if not sight.blind:
            return
        if self._newborn and sight.silent_ms < 0:
            sight.begin(at_ms)
        else:
            self._regained(source, sight.regain(at_ms), at_ms)

    def blinded(self, source: str) -> None:
        watch = self.roll.watches[source]
        self.drain()
        self.roll.expire(watch.sight.proof_ms)  # what was proven before counts
        if watch.sight.blind_now() and not self.stopping:
            log.warning("source.blind", source=source)
            self._note("source.blind", watch.sight.proof_ms, {"source": source})
        self.collect()

    def _regained(self, source: str, blind_ms: int, at_ms: int) -> None:
        log.info("source.regained", source=source, blind_s=round(blind_ms / 1000, 1))
        self.counts.blind_ms += blind_ms
        self._note("source.regained", at_ms, {"source": source, "blind_s": round(blind_ms / 1000, 3)})

    def _note(self, kind: str, at_ms: int, data: dict[str, object]) -> None:
        self.roll.out.events.append(Event(kind, at_ms, None, None, None, None, data))

    def rejected(self, reason: str, sample: bytes) -> None:
        bump(self.counts.rejected, reason)
        self._bad_input(reason, sample, "")

    @property
    def full(self) -> bool:
        return self._depth >= INBOX_BOUND or self.committer.pending >= PENDING_BOUND

    def when_free(self, call: Callable[[], None]) -> None:
        self._waiting_for_room.append(call)

    @property
    def depth(self) -> int:
        return self._depth

    # --- time -----------------------------------------------------------------------------------------

    def _alive(self, at_ms: int) -> None:
        """The loop runs. If it did not for a while, that while does not count as anybody's silence."""
        gap_ms = at_ms - self._pulse_ms
        self._pulse_ms = max(at_ms, self._pulse_ms)
        if gap_ms <= self.pace.tick_ms + PAUSE_MS:
            return
        graced = gap_ms >= BLIND_MS
        for name, watch in self.roll.watches.items():
            if not watch.sight.blind:
                watch.sight.stall(at_ms, graced=graced)
                if graced:
                    self._regained(name, gap_ms, at_ms)

    def tick(self) -> None:
        """Everything that time alone brings. Called every `tick_ms`; again at once while it says `more`."""
        now = self.clock.now_ms()
        self._alive(now)
        self._woke(now)
        for name, transport in self.transports.items():
            asked_ms = getattr(transport, "asked_ms", 0)
            if asked_ms and now - asked_ms >= DOUBT_MS and self.roll.watches[name].sight.doubt():
                log.warning("source.doubted", source=name, asked_s=(now - asked_ms) / 1000)
        self._drain_some()
        self._more = bool(self._inbox)
        if not self._more:
            self._come_to(now)
        self._write_behind(now)
        self.collect()
        self.outbox.pump()
        if self._parked:
            if self._looking is not None and now - self._asked_ms > LOOK_UP_MS and not self._unreadable:
                self._free_the_known()
            self._look_up()

    def _come_to(self, now: int) -> None:
        """All that was received is taken: so nobody who has come back, or asked first, is passed over."""
        self._give_up_the_broken(now)
        for name in list(self.roll.unproven(now)):
            self.transports[name].prove()  # the door can at once, a broker's proof comes by a later tick
        self._more = self.roll.expire(now, CHUNK) >= CHUNK
        self.roll.tick(now)
        for call in self.before_commit:
            call(now)

    @property
    def more(self) -> bool:
        """There is more due than one tick takes."""
        return self._more

    def hurry(self) -> None:
        """Somebody called by this tick has more to do: tick again at once."""
        self._more = True

    def _woke(self, now: int) -> None:
        """The machine slept: the monotonic clock stood still, but people's connections may have broken."""
        slept_ms: int = getattr(self.clock, "suspended_ms", lambda: 0)()
        if self._slept_ms is not None and slept_ms - self._slept_ms > PAUSE_MS:
            for name, watch in self.roll.watches.items():
                if not watch.sight.blind:
                    watch.sight.blind_now()
                    watch.sight.regain(now)
                    self._regained(name, slept_ms - self._slept_ms, now)
        self._slept_ms = slept_ms

    def _write_behind(self, now: int) -> None:
        """A flush every `flush_ms`. One of many beats is begun after half that time and spread over the other
        half, so that nobody waits for it and no beat waits longer."""
        half_ms = self.pace.flush_ms // 2
        if not self._unwritten:
            wait_ms = self.pace.flush_ms if len(self.roll.beats) <= CHUNK else half_ms
            if now - self._flushed_ms < wait_ms:
                return
            self._begin_flush(now)
        self._go_on_flushing(max(CHUNK, self._flushing * self.pace.tick_ms // max(half_ms, 1)))

    def flush(self, now: int) -> None:
        """Write what heartbeats changed, how far we saw and what was published (rule 10: every `flush_s`)."""
        if self._unwritten:
            self._go_on_flushing(self._flushing)
        self._begin_flush(now)
        self._go_on_flushing(self._flushing)

    def _begin_flush(self, now: int) -> None:
        self._flushed_ms = now
        if self.committer.trouble is not None:
            return  # they stay marked, and bounded by the number of sessions
        for transport in self.transports.values():
            transport.prove()
        self._seen_so_far = self._sight()
        self._unwritten, self.roll.beats = self.roll.beats, []
        self._unwritten.reverse()  # taken from its end
        self._flushing = len(self._unwritten)

    def _go_on_flushing(self, most: int) -> None:
        """So many more beats; with the last ones goes how far we saw when this began, never ahead of them."""
        if self.committer.trouble is not None or self._seen_so_far is None:
            return
        changes, beats = self.committer.open.changes, self._unwritten
        for _ in range(min(most, len(beats))):
            session = beats.pop()
            session.dirty = False
            if session.key in changes.sessions:  # of before this beat, and it would win
                changes.sessions[session.key] = self.rows.session(session)
            elif not session.status.final:
                changes.beats.append(self.rows.beat(session))
        if beats:
            return
        for write in self.on_flush:
            write(changes)
        for watch in self.roll.watches.values():
            watch.sight.forget(self._flushed_ms - self._longest_ms())
        changes.meta.update(self._seen_so_far, **self.outbox.cursors())
        self._seen_so_far = None

    def _sight(self) -> dict[str, str]:
        """How far we have seen: where the next start goes on."""
        meta = {"clock": str(self.clock.wall_ms(self.clock.now_ms()))}
        for name, watch in self.roll.watches.items():
            meta[f"proof.{name}"] = str(self.clock.wall_ms(watch.sight.proof_ms))
        return meta

    def _longest_ms(self) -> int:
        """Nobody active has been silent for longer, gaps apart."""
        policy = self.roll.policy
        return (
            sum(max(kind.timeout_ms, policy.grace_ms(name)) for name, kind in policy.types.items())
            + 3_600_000
        )

    # --- messages -------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take all that has arrived through the rules, each after what fell due before it."""
        while self._inbox:
            self._behind = self.roll.expire(self._inbox[0][1], CHUNK) >= CHUNK
            self._take_next()
        self._drain_some()

    def _drain_some(self) -> None:
        """The same, but where more fell due before the next message than one go takes, it waits, and all
        behind it: so what fell is stored and told meanwhile, and not in one piece a second later."""
        self._scheduled = self._behind = False
        while self._inbox:
            if self.roll.expire(self._inbox[0][1], CHUNK) >= CHUNK:
                self._drain_soon()
                break
            self._take_next()
        else:
            lines, self._lines = self._lines, []
            for call in lines:
                call()
            self.roll.expire(self._pulse_ms, CHUNK)
        self.collect()
        self._offer_room()

    def _take_next(self) -> None:
        count, _, take = self._inbox.popleft()
        self._depth -= count
        take()

    def _offer_room(self) -> None:
        if self._waiting_for_room and not self.full:
            calls, self._waiting_for_room = self._waiting_for_room, []
            for call in calls:
                call()

    def _take(self, source: str, at_ms: int, peer: Peer, messages: Sequence[Received]) -> None:
        for message in messages:
            found: list[Session] = []
            if not message.payload and not message.retain:
                found, _ = self._beating(iter([message.topic.decode("latin-1")]), peer)
            if not found:
                self._decode(source, at_ms, peer, message)
                continue
            self._beat(found, source, at_ms, peer)
            if message.qos:
                self._slot(peer, message.packet_id)

    def _take_bare(self, source: str, at_ms: int, peer: Peer, topics: Sequence[str]) -> None:
        """The hot path: heartbeats that only say whose they are, and now and then something else."""
        left = iter(topics)
        other: str | None = ""
        while other is not None:
            found, other = self._beating(left, peer)
            if found:
                self._beat(found, source, at_ms, peer)
            if other is not None:
                self._decode(source, at_ms, peer, _Bare(other.encode()))

    def _beating(self, topics: Iterator[str], peer: Peer) -> tuple[list[Session], str | None]:
        """The sessions whose bare heartbeats these are, up to the first topic that needs a closer look; and
        that one."""
        sessions, parked = self.roll.sessions.get, self._parked_of
        judged = peer.account is not None and peer.account.user is not None  # each message of one user
        found: list[Session] = []
        for topic in topics:
            try:
                place, ident, verb = topic.rsplit("/", 2)
            except ValueError:
                return found, topic
            session = sessions(ident)
            if (
                session is None
                or session.company.prefix != place
                or verb != "heartbeat"
                or judged
                or (parked and ident in parked)
            ):
                return found, topic
            found.append(session)
        return found, None

    def _beat(self, found: list[Session], source: str, at_ms: int, peer: Peer) -> None:
        self.roll.beats_of(found, at_ms, source, peer.line)
        self.counts.heartbeats += len(found)
        bump(self.counts.messages, "heartbeat", len(found))

    def _slot(self, peer: Peer, packet_id: int) -> Slot:
        slot = Slot(packet_id)
        self._acks.setdefault(peer, deque()).append(slot)
        self.committer.open.slots.append(slot)
        return slot

    def _decode(self, source: str, at_ms: int, peer: Peer, message: Received) -> None:
        try:
            heard = wire.decode(message.topic, message.payload, retain=message.retain)
        except BadInput as bad:
            bump(self.counts.rejected, bad.reason)
            self._bad_input(bad.reason, message.topic + b" " + message.payload[:200], str(bad))
            if message.qos:
                self._slot(peer, message.packet_id)
            return
        bump(self.counts.messages, heard.verb)
        if isinstance(heard.message, Gathered):
            self._gathered(source, at_ms, peer, heard, heard.message)
            if message.qos:
                self._slot(peer, message.packet_id)
            return
        if heard.verb == "heartbeat":
            self.counts.heartbeats += 1
        if not self._must_wait(heard):
            slot = self._slot(peer, message.packet_id) if message.qos else None
            self._receive(Item(source, at_ms, peer, heard, slot))
            return
        slot = None
        if message.qos:
            slot = Slot(message.packet_id)
            self._acks.setdefault(peer, deque()).append(slot)
        self._park(Item(source, at_ms, peer, heard, slot))

    def _must_wait(self, heard: wire.Heard, looked_up: Container[str] = frozenset()) -> bool:
        """Its id has to be looked up; or what its id said before; or, as locks are granted first come first
        served, what somebody else said before (unless the store cannot be read, which may take long)."""
        ident = heard.session
        known = ident in self.roll.sessions or ident in self.roll.tombs or ident in looked_up
        if not known or ident in self._parked_of:
            return True
        return bool(self._parked) and heard.verb in QUEUING and not self._unreadable

    def _gathered(self, source: str, at_ms: int, peer: Peer, heard: wire.Heard, batch: Gathered) -> None:
        """Every id of a gateway's batch is one heartbeat."""
        sessions, beat = self.roll.sessions, self.roll.beat
        prefix = f"{wire.UP}{heard.site}/{heard.company}"
        one_user = peer.account is not None and peer.account.user is not None
        self.counts.heartbeats += len(batch.sessions)
        for ident in batch.sessions:
            session = sessions.get(ident)
            if session is not None and not one_user and session.company.prefix == prefix:
                beat(session, at_ms, source, peer.line)
                continue
            one = wire.Heard(heard.site, heard.company, ident, "heartbeat", BARE_HEARTBEAT)
            item = Item(source, at_ms, peer, one, None)
            if session is not None or ident in self.roll.tombs:
                self._receive(item)
            else:
                self._park(item)

    def _receive(self, item: Item) -> None:
        heard = item.heard
        peer = item.peer
        sender = Sender(item.source, heard.site, heard.company, heard.session, peer.account, peer.line)
        assert not isinstance(heard.message, Gathered)
        self._count_foreign(item.peer, heard.session)
        if isinstance(heard.message, LockRequest) and not paths.valid(heard.message.resource):
            bump(self.counts.rejected, "schema")  # and refused with a code, so that the client learns of it
        if self._behind and not isinstance(heard.message, Heartbeat):  # it may be about others' locks
            self._behind = False
            self.roll.expire(item.at_ms)
        try:
            self.roll.receive(sender, heard.message, item.at_ms)
        except Exception:  # a bug of ours must not cost the others their messages
            log.exception("engine.bug", verb=heard.verb)

    def _count_foreign(self, peer: Peer, ident: str) -> None:
        """An account of one user speaks for somebody else's session: the rules will not hear it."""
        session = self.roll.sessions.get(ident)
        if session is not None and not self.roll.speaks_for(peer.account, session):
            self.rejected("forbidden", ident.encode())

    # --- ids that are not on the roll: are they of sessions that are over? --------------------------------

    def _park(self, item: Item) -> None:
        self._keep(item)
        self._look_up()

    def _keep(self, item: Item) -> None:
        """It waits. A sign of life of somebody on the roll counts now, not only when its turn comes."""
        heard = item.heard
        session = self.roll.sessions.get(heard.session)
        if session is not None and heard.verb not in PARTING and item.at_ms > session.seen_ms:
            company = session.company
            if (company.site, company.name) == (heard.site, heard.company):
                self.roll.beat(session, item.at_ms, item.source, item.peer.line)
        self._parked.append(item)
        self._parked_of.add(item.heard.session)
        self._depth += 1

    def _look_up(self) -> None:
        if self._looking is None and self._parked:
            self._looking = asyncio.get_running_loop().create_task(self._find(), name="look up")

    async def _find(self) -> None:
        asked = set(self._parked_of)
        self._asked_ms = self.clock.now_ms()
        try:
            found = await self.store.find_ended(asked)
            self._unreadable = False
        except StoreError as error:
            log.warning("store.unreadable", problem=str(error))
            self._free_the_known()
            return  # the next tick tries again
        finally:
            self._looking = None
        for ident, row in found.items():
            ended = Ended(
                row.id,
                row.site,
                row.company,
                Status(row.status),
                self.clock.timeline_ms(row.ended),
                row.ended_by,
                row.reason,
            )
            self.roll.tombs.setdefault(ident, ended)
        self._unpark(asked)
        self.collect()
        self._look_up()
        self._offer_room()

    def _free_the_known(self) -> None:
        """Looking up takes too long: only who has to be looked up waits on."""
        self._unreadable = True
        self._unpark(frozenset())
        self.collect()
        self._offer_room()

    def _unpark(self, looked_up: Container[str]) -> None:
        """Take what waits and need not any more, in order; what came meanwhile waits for the next look."""
        waiting, self._parked = self._parked, deque()
        self._parked_of.clear()
        for item in waiting:
            self._depth -= 1
            if self._must_wait(item.heard, looked_up):
                self._keep(item)
                continue
            self._receive(item)
            if item.slot is not None:
                self.committer.open.slots.append(item.slot)

    # --- out ------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Put what the rules brought forth into the open batch, and see to its commit."""
        out, batch, rows = self.roll.out, self.committer.open, self.rows
        changes = batch.changes
        if out.events:
            for event in out.events:
                try:
                    row = rows.event(self.seq + 1, event)
                except Exception:  # a bug of ours in one must not keep back all that follows
                    log.exception("engine.bug", kind=event.type)
                    continue
                self.seq += 1
                changes.events.append(row)
                batch.events.append((row, event))
            out.events.clear()
        if out.sessions or out.entered:
            self._collect_sessions(out, changes)
        if out.locks:
            for lock in out.locks:
                place = (lock.company.site, lock.company.name, lock.token)
                changes.locks[place] = None if lock.released else rows.lock(lock)
            out.locks.clear()
        if out.wants:
            for want, kept in out.wants.items():
                spot = (want.company.site, want.company.name, want.order)
                changes.wants[spot] = rows.want(want) if kept else None
            out.wants.clear()
        if out.gone:
            changes.companies.update(dict.fromkeys(out.gone))
            changes.meta[FENCE] = str(self.roll.room.floor)
            out.gone.clear()
        if out.companies:
            for company in out.companies:
                changes.companies[company.site, company.name] = company.token
            out.companies.clear()
        if out.holds:
            for key3 in out.holds:
                hold = self.roll.silence.holds.get(key3)
                changes.holds[key3] = rows.hold(hold) if hold else None
            out.holds.clear()
        if out.followups:
            for left in out.followups:
                changes.followups[left.id] = rows.followup(left)
                bump(self.followups, (left.session.site, left.severity))
            out.followups.clear()
        if out.answers:
            batch.answers += out.answers
            out.answers.clear()
        self.counts.lock_refusals = self.roll.locks.refused_total
        self.counts.answers_suppressed = self.roll.limiter.suppressed
        self.committer.kick()

    def _collect_sessions(self, out: Outcome, changes: Changes) -> None:
        """Whole rows of who entered; of the others only the turn, unless beats have changed them, too."""
        whole, rows = changes.sessions, self.rows
        for key, session in out.entered.items():
            whole[key] = rows.session(session)
            changes.turns.pop(key, None)
        for key, session in out.sessions.items():
            if key in out.entered:
                continue
            if session.dirty or key in whole:
                whole[key] = rows.session(session)
                changes.turns.pop(key, None)
            else:
                changes.turns[key] = rows.turn(session)
        out.sessions.clear()
        out.entered.clear()

    def _let_out(self, batch: Batch) -> None:
        """The batch is durable: now the world may know."""
        for answer in batch.answers:
            transport = self.transports.get(answer.source)
            if transport is not None:
                self._try(lambda to, it: to.answer(*wire.answer(it, self.clock)), transport, answer)
        for slot in batch.slots:
            slot.ready = True
        if batch.slots:
            self._acknowledge()
        if batch.events:
            rows = [row for row, _ in batch.events]
            self._try(self._record, [event for _, event in batch.events])
            self._try(self._measure, batch)
            self._try(self.outbox.add, rows)
            for listener in self.listeners:
                for row in rows:
                    self._try(listener, row)
        self._trim_tombs()
        self._offer_room()

    @staticmethod
    def _try(call: Callable[..., object], *given: object) -> None:
        """What is durable must be told: a bug in one teller must not silence the others."""
        try:
            call(*given)
        except Exception:
            log.exception("engine.bug")

    def _acknowledge(self) -> None:
        """In order of receipt per connection, whatever was committed first."""
        for peer in list(self._acks):
            slots = self._acks.get(peer)  # acknowledging one may close another, whose will is taken at once
            while slots and slots[0].ready:
                peer.ack(slots.popleft().packet_id)
            if not slots:
                self._acks.pop(peer, None)

    def _measure(self, batch: Batch) -> None:
        now = self.clock.now_ms()
        for _, event in batch.events:
            if event.type == "session.disconnected":
                self.counts.detection_lag.observe(max(0, now - event.at_ms) / 1000)

    def _trim_tombs(self) -> None:
        tombs = self.roll.tombs
        changes = self.committer.open.changes
        if len(tombs) > TOMBS and not changes.sessions and not changes.turns:
            for ident in list(tombs)[: len(tombs) - TOMBS]:
                del tombs[ident]

    def _storage_changed(self, problem: StoreError | None) -> None:
        now = self.clock.now_ms()
        if problem is not None:
            self._degraded_ms = now
            log.error("store.degraded", kind=problem.kind, problem=str(problem))
        else:
            failed_s = (now - self._degraded_ms) / 1000
            log.warning("store.recovered", failed_s=failed_s)
            self._note("store.recovered", now, {"failed_s": failed_s})

    # --- asked by others ------------------------------------------------------------------------------

    def settle(self) -> int:
        """Bring everything up to now; the moment that is."""
        now = self.clock.now_ms()
        self._alive(now)
        self.drain()
        self.roll.expire(now)
        self.roll.tick(now)
        return now

    async def durable(self) -> None:
        """What was decided so far is durable on return. Raises StoreError."""
        self.collect()
        await self.committer.durable()

    @property
    def blind(self) -> list[str]:
        return [name for name, watch in self.roll.watches.items() if watch.sight.blind]

    def in_grace(self, now: int) -> bool:
        """Some of the live may still be on their way back after a blindness."""
        grace_ms = self._grace_ms()
        return any(watch.sight.in_grace(now, grace_ms) for watch in self.roll.watches.values())

    def _grace_ms(self) -> int:
        """The longest of those who are live."""
        live = {label for (_, label), count in self.roll.tally.items() if count}
        return max((self.roll.policy.grace_ms(label) for label in live), default=0)

    def live(self, ident: str) -> Session | None:
        return self.roll.sessions.get(ident)

    async def close(self) -> None:
        """After the transports have stopped: write all that is known, and wait for it, but not for ever."""
        self.drain()
        try:
            async with asyncio.timeout(CLOSE_S):
                while self._looking is not None:
                    await self._looking
                self.flush(self.clock.now_ms())
                self.collect()
                await self.committer.close()
                await self.outbox.close()
        except TimeoutError:
            log.error("store.hangs", waited_s=CLOSE_S)  # noqa: TRY400 - what was let out is stored
