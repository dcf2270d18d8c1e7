"""The door: an MQTT endpoint inside the daemon, for Whosin's topics only. Not a broker.

Owns the listening socket, the connections and their sessions, wills, and who hears what goes out. Must not
know the domain: what a topic's verb or a payload means is the engine's matter. Implements `ports.Transport`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from whosin.listening import READS_AHEAD, TURNS_TO_READ, listen
from whosin.mqtt.codec import Bare, Publish, Reason
from whosin.mqtt.door import observers
from whosin.mqtt.door.access import ROOT
from whosin.mqtt.door.address import address_of
from whosin.mqtt.door.backlog import Backlog
from whosin.mqtt.door.connection import INTAKE, Connection
from whosin.mqtt.door.filters import AS_PUBLISHED, QOS, FilterTree
from whosin.mqtt.door.limits import DoorLimits
from whosin.mqtt.door.sealed import Handshakes
from whosin.mqtt.door.session import Queued, Room, Session, queued
from whosin.mqtt.door.wheel import GRAIN_MS, Timer, Wheel

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from whosin.listening import Listener
    from whosin.model import Account
    from whosin.mqtt.codec import Will
    from whosin.mqtt.door.session import Key
    from whosin.ports import Clock, Intake, ObserverRow, Peer

TICK_S: Final = 0.2
STALL_MS: Final = 2_000
"""A tick later than this means that we did not run (suspended, stopped): no peer is blamed for that time."""

STOP_S: Final = 2
_PROOF_TICKS: Final = 5


class Door:
    """`authenticate` None switches sign-in off, which only a loopback address allows.

    `listen` is `host:port`, `[address]:port` for IPv6; port 0 takes a free one, `port` then tells which.
    `context` switches TLS on and is asked for each connection. `certified` gives the account of the name in a
    certificate that the context has accepted.
    """

    source = "door"
    trouble = ""

    def __init__(
        self,
        listen: str,
        *,
        clock: Clock,
        name: str,
        authenticate: Callable[[str, bytes], Account | None] | None = None,
        context: Callable[[], ssl.SSLContext] | None = None,
        certified: Callable[[str], Account | None] = lambda _name: None,
        limits: DoorLimits | None = None,
        store_observer: Callable[[str, ObserverRow | None], None] = lambda _name, _row: None,
    ) -> None:
        self.host, self.port = address_of(listen, signed_in=authenticate is not None)
        self.clock = clock
        self.authenticate = authenticate
        self.limits = limits or DoorLimits()
        self.status_topic = f"{ROOT}daemon/{name}"
        self.status = b"online"
        self.heard_by: FilterTree[Session] = FilterTree()
        self.counts: Counter[str] = Counter()
        self.room = Room(self.limits.queue_bytes_in_all)
        self.piece = memoryview(bytearray(self.limits.piece))
        self.backlog = Backlog(self)
        self.holding = False
        self._held_since_ms = 0
        self.crowded: dict[Session, int] = {}  # who has half a queue of events to read, and since when
        self._owed: list[Callable[[], None]] = []  # for events handed over meanwhile
        self._store_observer = store_observer
        self._last_seq = 0
        self._context = context
        self.seals = context is not None
        self.certified = certified
        self.handshakes = Handshakes(self)
        self._ticked_ms = clock.now_ms()
        self._stalled_ms = 0
        self.wheel = Wheel(self._ticked_ms)
        self._sessions: dict[Key, Session] = {}
        self._waiting: dict[Key, Session] = {}  # without a connection, the oldest first
        self._wills: dict[Key, tuple[Peer, Will]] = {}
        self._connections: set[Connection] = set()
        self._leaving: set[Connection] = set()
        self._dirty: list[Connection] = []
        self._intake: Intake | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._proving = False
        self._stopped = False  # reading did, since this proof was asked for
        self._everyone_left: asyncio.Event | None = None

    # --- ports.Transport

    @property
    def ready(self) -> bool:
        return self._listener is not None

    async def start(self, intake: Intake) -> None:
        """Listen. An address in use or not ours raises OSError."""
        self.begin(intake)
        assert self._loop is not None
        self._listener = await listen(lambda: Connection(self), self.host, self.port, backlog=1024)
        self.port = self._listener.port
        intake.sighted(self.source, self.clock.now_ms())
        self._ticker = self._loop.call_later(TICK_S, self._tick)

    def begin(self, intake: Intake) -> None:
        """Everything of `start` but the socket and the ticking."""
        self._loop = asyncio.get_running_loop()
        self._intake = intake
        self._ticked_ms = self.clock.now_ms()

    def answer(self, topic: str, payload: bytes) -> None:
        self._fan_out(topic, payload)

    def announce(self, topic: str, payload: bytes, done: Callable[[], None], seq: int = 0) -> int:
        self._last_seq = max(self._last_seq, seq)
        hearers = self._fan_out(topic, payload, seq=seq)
        if self.crowded:
            self._owed.append(done)
        else:
            done()
        return hearers

    def prove(self) -> None:
        """So many turns of the loop that every socket that had data is read, and the last says so."""
        if self._proving or self._loop is None or self.holding:
            return
        self._proving, self._stopped = True, False
        self.backlog.asked()
        at_ms = self.clock.now_ms()
        self._loop.call_soon(self._turned, TURNS_TO_READ, at_ms)

    def _turned(self, left: int, at_ms: int) -> None:
        if left and self._loop is not None:
            self._loop.call_soon(self._turned, left - 1, at_ms)
            return
        self._proving = False
        if self._intake is not None and not self._stopped:
            self._intake.proof(self.source, at_ms)
            self.backlog.proven(at_ms)

    async def stop(self) -> None:
        """Say offline and goodbye, give the last bytes two seconds, close. No will is published."""
        if self._intake is None:
            return
        intake, self._intake = self._intake, None
        self._wills.clear()
        if self._ticker is not None:
            self._ticker.cancel()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        intake.blinded(self.source)
        self.status = b"offline"
        self._fan_out(self.status_topic, self.status, retain=True)
        for connection in list(self._connections):
            connection.end(Reason.SERVER_SHUTTING_DOWN, "stop", willing=False)
        if self._leaving:
            self._everyone_left = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._everyone_left.wait(), STOP_S)
        for connection in list(self._leaving):
            connection.abort()

    # --- more for whoever runs it

    @property
    def asked_ms(self) -> int:
        """Since when reading has been held up because the inbox is full; 0 if it is not."""
        return self._held_since_ms

    def restore(self, rows: Sequence[ObserverRow]) -> None:
        """Before `start`: the durable observers of before, which now wait for their clients. What is owed to
        them comes by `owe`; until `owed_until` says that this was all, they have got what their rows say. The
        time since these were stored is our absence, not theirs.
        """
        limits = self.limits
        for row in rows:
            key = observers.key_of(row)
            session = Session(key, limits.observer_queue, limits.observer_queue_bytes, self.room)
            session.expiry_ms, session.stored, session.known_seq = row.left_ms, True, row.acked
            session.filters = observers.filters_of(row)
            for pattern, options in session.filters.items():
                self.heard_by.add(pattern, session, options)
            self._sessions[key] = self._waiting[key] = session
            self._wait(session, 0)

    def owe(self, row: ObserverRow, seq: int, topic: str, payload: bytes) -> None:
        """An event of before the restart that this observer has not acknowledged."""
        session = self._sessions.get(observers.key_of(row))
        if session is not None:
            self._give(session, queued(topic, payload, seq=seq))

    def owed_until(self, last_seq: int) -> None:
        """Every event up to this one has been given back to whom it was owed."""
        self._last_seq = max(self._last_seq, last_seq)

    def note(self, session: Session) -> None:
        """Its subscriptions or its expiry changed: it may have become durable, or cease to be."""
        if observers.durable(session):
            if not session.stored:
                session.stored, session.known_seq = True, self._last_seq
            self._store_observer(observers.name_of(session.key), self._row(session))
        elif session.stored:
            session.stored = False
            self._store_observer(observers.name_of(session.key), None)

    def observer_rows(self) -> dict[str, ObserverRow]:
        """How far each durable observer has come."""
        durable = (session for session in self._sessions.values() if session.stored)
        return {observers.name_of(session.key): self._row(session) for session in durable}

    def _row(self, session: Session) -> ObserverRow:
        left_ms = session.expiry_ms
        if session.connection is None and session.timer is not None and session.timer.slot >= 0:
            left_ms = session.timer.slot * GRAIN_MS - self.awake_ms()
        return observers.row_of(session, self._last_seq, max(1, left_ms))

    def dismiss(self, account: str) -> int:
        """The account is gone: close its connections and forget its sessions. How many connections."""
        found = [one for one in self._connections if one.account is not None and one.account.name == account]
        for connection in found:
            connection.end(Reason.ADMINISTRATIVE_ACTION, "dismissed")
        for key in [key for key in self._sessions if key[0] == account]:
            self.forget(self._sessions[key])
        return len(found)

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def sessions(self) -> int:
        """With and without a connection."""
        return len(self._sessions)

    # --- time

    def awake_ms(self, now_ms: int | None = None) -> int:
        """The clock without the times that we did not run; what peers' patience is measured in.

        After such a time sockets may be read before the next tick: that time is not counted then either.
        """
        if now_ms is None:
            now_ms = self.clock.now_ms()
        late_ms = self._late_ms(now_ms)
        return now_ms - self._stalled_ms - (late_ms if late_ms > STALL_MS else 0)

    def _late_ms(self, now_ms: int) -> int:
        return now_ms - self._ticked_ms - round(TICK_S * 1000)

    def tick(self) -> None:
        """Look at the clock: keep-alives, time-outs, wills, expiries. Called every `TICK_S`."""
        now_ms = self.clock.now_ms()
        late_ms = self._late_ms(now_ms)
        self._ticked_ms = now_ms
        if late_ms > STALL_MS:
            self._stalled_ms += late_ms
        self.wheel.turn(self.awake_ms(now_ms))
        for session, since_ms in list(self.crowded.items()):
            if now_ms - since_ms > self.limits.crowded_ms:
                session.slow = True
                self._not_crowded(session)
        self._ticks += 1
        if self._ticks % _PROOF_TICKS == 0:
            self.prove()

    def _tick(self) -> None:
        if self._loop is not None and self._intake is not None:
            self._ticker = self._loop.call_later(TICK_S, self._tick)
            self.tick()

    # --- for connections

    def context(self) -> ssl.SSLContext:
        assert self._context is not None, "asked for by connections that speak TLS"
        return self._context()

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        if self._intake is None:
            return False
        if len(self._connections) >= self.limits.connections:
            self.count("refused_connections")
            return False
        pending = len(self._connections) - (len(self._sessions) - len(self._waiting))
        if pending >= self.limits.pending:
            self.count("refused_pending")
            return False
        self._connections.add(connection)
        return True

    def deliver(self, peer: Peer, at_ms: int, said: Sequence[Publish] | Bare) -> None:
        intake = self._intake
        if intake is None:
            return
        if isinstance(said, Bare):
            intake.deliver_bare(self.source, at_ms, peer, said.topics)
        else:
            intake.deliver(self.source, at_ms, peer, said)
        if self.holding:
            return
        if intake.full:
            self.holding = self._stopped = True
            self._held_since_ms = self.clock.now_ms()
            self.count("paused_for_inbox")
            for connection in self._connections:
                connection.pause(INTAKE)
            intake.when_free(self._release)
        elif READS_AHEAD:
            self.prove()
        else:  # all that is readable in this turn is read before the inbox is
            intake.proof(self.source, at_ms)

    def _release(self) -> None:
        self.holding = False
        self._held_since_ms = 0
        for connection in list(self._connections):
            connection.resume(INTAKE)

    def next_turn(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon(call)

    def tell_behind(self, line: int, since_ms: int) -> None:
        if self._intake is not None:
            self._intake.behind(self.source, line, since_ms)

    def tell_caught_up(self, line: int, *, unread: bool = False) -> None:
        if self._intake is not None:
            self._intake.caught_up(self.source, line, unread=unread)

    def rejected(self, reason: str, sample: bytes) -> None:
        if self._intake is not None:
            self._intake.rejected(reason, sample)

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def soon(self, connection: Connection) -> None:
        """Flush this connection at the end of this turn of the loop."""
        if not self._dirty and self._loop is not None:
            self._loop.call_soon(self.flush)
        self._dirty.append(connection)

    def flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    # --- sessions

    def take_over(self, key: Key, *, forget: bool) -> Session | None:
        """The session of this client, free of its old connection; None if there is none or it is unwanted."""
        session = self._sessions.get(key)
        if session is None:
            return None
        old = session.connection
        self._wills.pop(key, None)  # the client is back: no will (section 3.1.3.2.2)
        if old is not None:
            expiry_ms = session.expiry_ms
            old.end(Reason.SESSION_TAKEN_OVER, "taken_over", willing=False)
            if not expiry_ms or key not in self._sessions:
                return None
        if forget:
            self.forget(session)
            return None
        self._waiting.pop(key, None)
        self._disarm(session)
        return session

    def remember(self, session: Session) -> None:
        self._sessions[session.key] = session

    def forget(self, session: Session) -> None:
        """End of the session; a will that waited is due now (section 3.1.3.2.2)."""
        if self._sessions.get(session.key) is not session:
            return
        del self._sessions[session.key]
        session.clear()
        self._waiting.pop(session.key, None)
        self._disarm(session)
        for pattern in session.filters:
            self.heard_by.remove(pattern, session)
        if session.stored:
            session.stored = False
            self._store_observer(observers.name_of(session.key), None)
        self._publish_will(session.key)

    def _disarm(self, session: Session) -> None:
        for timer in (session.timer, session.will_timer):
            if timer is not None:
                self.wheel.cancel(timer)

    def gone(self, connection: Connection, *, willing: bool) -> None:
        """The connection ended; its session waits for the client, or ends too."""
        self._connections.discard(connection)
        self._leaving.add(connection)
        self.backlog.over(connection)
        session = connection.session
        if session is None or session.connection is not connection:
            return
        session.connection = None
        self._not_crowded(session)
        self._waiting[session.key] = session
        delay_ms = 0
        if willing and connection.will is not None and self._intake is not None:
            self._wills[session.key] = connection, connection.will
            delay_ms = (connection.will.properties.will_delay_interval or 0) * 1000
        if not session.expiry_ms:
            self.forget(session)
            return
        self._wait(session, delay_ms)
        if len(self._waiting) > self.limits.sessions:
            self.count("evicted_sessions")
            self.forget(next(iter(self._waiting.values())))

    def _wait(self, session: Session, will_delay_ms: int) -> None:
        now_ms = self.awake_ms()
        if session.timer is None:
            session.timer = Timer(lambda: self.forget(session))
            session.will_timer = Timer(lambda: self._publish_will(session.key))
        self.wheel.arm(session.timer, now_ms + session.expiry_ms)
        if not will_delay_ms:
            self._publish_will(session.key)
        elif session.will_timer is not None:
            self.wheel.arm(session.will_timer, now_ms + will_delay_ms)

    def _publish_will(self, key: Key) -> None:
        found = self._wills.pop(key, None)
        if found is not None:
            peer, will = found
            message = Publish(will.topic, will.payload, min(will.qos, 1), will.retain)
            self.deliver(peer, self.clock.now_ms(), [message])

    def left(self, connection: Connection) -> None:
        """Its last byte has left, or never will."""
        self._connections.discard(connection)
        self._leaving.discard(connection)
        if not self._leaving and self._everyone_left is not None:
            self._everyone_left.set()

    def has_read(self, session: Session) -> None:
        """It acknowledged something. With most of it read there is room again: nobody need wait for it."""
        if not session.filled(4):
            session.slow = False
            self._not_crowded(session)

    def _not_crowded(self, session: Session) -> None:
        """Events wait for those who read, each for so long, and for nobody else."""
        if self.crowded.pop(session, None) is not None and not self.crowded:
            owed, self._owed = self._owed, []
            for done in owed:
                done()

    # --- what goes out

    def _fan_out(self, topic: str, payload: bytes, *, retain: bool = False, seq: int = 0) -> int:
        """How many hear it."""
        plain = queued(topic, payload, seq=seq)  # one for all who hear it: many may have to wait for it
        hearers = self.heard_by.match(topic)
        for session, options in hearers.items():
            kept = retain and bool(options & AS_PUBLISHED)
            if options & QOS:
                if seq and session.stored and seq <= session.known_seq:
                    continue  # it had this before a crash
                self._give(session, plain._replace(retain=True) if kept else plain)
            elif session.connection is not None:
                session.connection.send_lossy(plain.topic, payload, retain=kept)
        return len(hearers)

    def _give(self, session: Session, message: Queued) -> None:
        """Queue it; a session that cannot hold it ends, so that its client notices the gap."""
        if session.hold(message):
            if session.connection is not None:
                session.connection.pump()
                if message.seq and not session.slow and session.filled(2):
                    self.crowded.setdefault(session, self.clock.now_ms())
            return
        self.count("overflowed_sessions")
        if session.connection is not None:
            session.connection.end(Reason.QUOTA_EXCEEDED, "slow")
        self.forget(session)
