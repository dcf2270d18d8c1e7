"""TCP as it behaves: bytes in order, late, split or merged; connections reset, half-open, held up.

Owns lanes, connections and the daemon's end of them as asyncio sees it (`Socket`). Must not know MQTT. TCP
loses or reorders nothing within a connection; what is lost with a connection is lost at both ends' cost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tests.simulator.loop import SimLoop
    from tests.simulator.world import World

WINDOW = 65_536  # bytes that the systems on the way take before a writer notices that nobody reads
READ_AT_ONCE = 262_144  # asyncio's


class End(Protocol):
    """Whoever sits at one end of a connection."""

    def data(self, data: bytes) -> None: ...
    def lost(self, *, reset: bool) -> None: ...


class Lane:
    """One direction of a connection."""

    __slots__ = ("_armed", "_conn", "_last", "_queue", "_side", "broken", "held_ms", "outstanding")

    def __init__(self, conn: Conn, side: int) -> None:
        self._conn = conn
        self._side = side  # of the receiver
        self._queue: deque[tuple[int, bytes | None]] = deque()
        self._last = 0
        self._armed = False
        self.broken = False
        self.held_ms = 0
        self.outstanding = 0

    def send(self, data: bytes | None) -> None:
        """None: nothing more will follow (FIN)."""
        if self.broken:
            return
        conn, random = self._conn, self._conn.random
        due = max(self._last, self.held_ms, conn.world.now + conn.delay())
        if data is not None:
            self.outstanding += len(data)
            if len(data) > 1 and random.random() < 0.03:
                cut = random.randrange(1, len(data))
                self._queue.append((due, data[:cut]))
                data = data[cut:]
                due += random.randrange(1, 40)
        self._queue.append((due, data))
        self._last = due
        if not self._armed:
            self._armed = True
            conn.world.at(self._queue[0][0], self._deliver)

    def drop(self) -> None:
        self.broken = True
        self._queue.clear()

    def hold(self, until_ms: int) -> None:
        """What is on its way arrives not before then (lost and sent again below)."""
        self.held_ms = max(self.held_ms, until_ms)
        self._queue = deque((max(due, until_ms), data) for due, data in self._queue)
        self._last = max(self._last, until_ms)

    def _deliver(self) -> None:
        self._armed = False
        now, parts = self._conn.world.now, []
        ended = False
        while self._queue and self._queue[0][0] <= now:
            data = self._queue.popleft()[1]
            if data is None:
                ended = True
            else:
                parts.append(data)
        if self._queue:
            self._armed = True
            self._conn.world.at(self._queue[0][0], self._deliver)
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            self.outstanding -= len(data)
            self._conn.arrive(self._side, data)
        if ended:
            self._conn.finished(self._side)


class Conn:
    """A connection between the one that dialled (side 0) and the one that was dialled (side 1)."""

    def __init__(self, world: World, random: Random, slowness_ms: int = 0) -> None:
        self.world = world
        self.random = random
        self._base = random.randrange(1, 12) + slowness_ms
        self._jitter = random.choice((1, 4, 4, 30))
        self.ends: list[End | None] = [None, None]
        self.lanes = [Lane(self, 0), Lane(self, 1)]
        self.sick = False  # it carries nothing any more, and nobody was told
        self.host_up: Callable[[int], bool] = lambda _side: True  # may the system at that side answer?

    def delay(self) -> int:
        return self._base + int(self.random.random() * self._jitter)

    def send(self, side: int, data: bytes) -> None:
        self.lanes[1 - side].send(data)

    def finish(self, side: int) -> None:
        """This end closes; what it wrote arrives first."""
        self.ends[side] = None
        self.lanes[1 - side].send(None)

    def reset(self, side: int) -> None:
        """This end is gone, at once; the other is told if the network still carries it."""
        self.ends[side] = None
        other = self.lanes[1 - side]
        if not other.broken:
            other.drop()
            self.world.after(self.delay(), self._tell, 1 - side)

    def leave(self, side: int) -> None:
        """This end is gone without a word (its machine has no power)."""
        self.ends[side] = None

    def cut(self) -> None:
        """Both ends are told that the connection is broken; what was on its way is lost."""
        for lane in self.lanes:
            lane.drop()
        for side in (0, 1):
            self.world.after(self.delay(), self._tell, side)

    def vanish(self) -> None:
        """Half-open: it carries nothing from now on, and nobody is told."""
        self.sick = True
        for lane in self.lanes:
            lane.drop()

    def hold(self, until_ms: int) -> None:
        for lane in self.lanes:
            lane.hold(until_ms)

    # --- for lanes ------------------------------------------------------------------------------------

    def arrive(self, side: int, data: bytes) -> None:
        end = self.ends[side]
        if end is not None:
            end.data(data)
        elif self.host_up(side) and not self.sick and self.ends[1 - side] is not None:
            self.world.after(self.delay(), self._tell, 1 - side)  # nobody there: reset

    def finished(self, side: int) -> None:
        end = self.ends[side]
        if end is not None:
            end.lost(reset=False)

    def _tell(self, side: int) -> None:
        end = self.ends[side]
        if end is not None:
            self.ends[side] = None
            end.lost(reset=True)


class Socket(asyncio.Transport):
    """The daemon's end, as asyncio's transport; `conn` side `side`."""

    def __init__(self, loop: SimLoop, conn: Conn, side: int) -> None:
        super().__init__()
        self._loop = loop
        self._conn = conn
        self._side = side
        self._protocol: asyncio.Protocol | asyncio.BufferedProtocol | None = None
        self._inbox = bytearray()
        self._reading = True
        self._closing = False
        self._over = False
        self._ended: bool | None = None  # by the peer; True: reset
        self._high = WINDOW
        self._full = False
        self.tap: Callable[[], None] | None = None
        conn.ends[side] = self

    # --- from the network -----------------------------------------------------------------------------

    def data(self, data: bytes) -> None:
        self._inbox += data
        self._wake()

    def lost(self, *, reset: bool) -> None:
        self._ended = reset
        if reset:
            self._inbox.clear()
        self._wake()

    def _wake(self) -> None:
        if self._protocol is not None and self._reading and not self._over and not self._loop.dead:
            self._loop.readable[self] = None

    # --- asyncio's side -------------------------------------------------------------------------------

    @property
    def unread(self) -> bool:
        """Something has arrived, or is on its way, that the daemon has not read; if only the end."""
        return bool(self._inbox or self._conn.lanes[self._side].outstanding or self._ended is not None)

    @property
    def heard_out(self) -> bool:
        """The peer's end was reached behind all that it had said."""
        return self._ended is False and not self._inbox

    @property
    def over(self) -> bool:
        return self._over or self._closing or self._loop.dead

    def take_up(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self.begin(factory())

    def begin(self, protocol: asyncio.Protocol) -> None:
        self._loop.call_soon(protocol.connection_made, self)
        self._loop.call_soon(self._read_on, protocol)

    def _read_on(self, protocol: asyncio.Protocol) -> None:
        if not self._over:
            self._protocol = protocol
            if self._inbox or self._ended is not None:
                self._wake()
        self._made = protocol

    def read(self) -> None:
        """In the turn after it became readable."""
        protocol = self._protocol
        if protocol is None or self._over or not self._reading:
            return
        if self._inbox:
            if isinstance(protocol, asyncio.BufferedProtocol):
                buffer = protocol.get_buffer(-1)
                count = min(len(buffer), len(self._inbox))
                buffer[:count] = self._inbox[:count]
                del self._inbox[:count]
                protocol.buffer_updated(count)
            else:
                data = bytes(self._inbox[:READ_AT_ONCE])
                del self._inbox[: len(data)]
                protocol.data_received(data)
            if self._inbox or self._ended is not None:
                self._wake()
        elif self._ended is not None:
            if self._ended:
                self._force(ConnectionResetError("reset by peer"))
            else:
                self.close()

    def write(self, data: Any) -> None:
        if self._over or self._closing or self._ended:
            return
        self._conn.send(self._side, bytes(data))
        if not self._full and self.get_write_buffer_size() > self._high and self._protocol is not None:
            self._full = True
            self._protocol.pause_writing()
            self._loop.call_later(0.05, self._look)

    def _look(self) -> None:
        if self._over or self._protocol is None:
            return
        if self.get_write_buffer_size() > self._high // 4:
            self._loop.call_later(0.05, self._look)
        else:
            self._full = False
            self._protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = WINDOW if high is None else high

    def get_write_buffer_size(self) -> int:
        return max(0, self._conn.lanes[1 - self._side].outstanding - WINDOW)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        self._reading = False
        self._loop.readable.pop(self, None)

    def resume_reading(self) -> None:
        self._reading = True
        if self._inbox or self._ended is not None:
            self._wake()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.readable.pop(self, None)
            if not self._ended:
                self._conn.finish(self._side)
            self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        self._force(None)

    def _force(self, error: Exception | None) -> None:
        if self._over:
            return
        if not self._closing:
            self._closing = True
            self._loop.readable.pop(self, None)
            self._conn.reset(self._side)
            self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        if not self._over:
            self._over = True
            self._loop.readable.pop(self, None)
            protocol = self._protocol or getattr(self, "_made", None)
            if protocol is not None:
                protocol.connection_lost(error)


class Network:
    """Who can reach whom. `reach_door` and `reach_broker` are told by the machine and the broker."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random("network")
        self.slowness_ms = 0
        self.machine_on = True  # the daemon's machine has power
        self.link_gone = False  # between daemon and broker nothing passes
        self.link: Conn | None = None
        self.broker: Any = None
        self._loop: SimLoop | None = None
        self._conns: list[tuple[Conn, int]] = []  # the daemon's, with its side

    def listen(self, loop: SimLoop | None) -> None:
        self._loop = loop

    def machine_answers(self, _side: int) -> bool:
        return self.machine_on

    def conn(self, random: Random) -> Conn:
        return Conn(self.world, random, self.slowness_ms)

    def process_gone(self, *, power: bool) -> None:
        """The daemon's process is gone, or its whole machine."""
        self._loop = None
        for conn, side in self._conns:
            if conn.ends[side] is not None:
                if power:
                    conn.leave(side)
                elif self.random.random() < 0.7:
                    conn.finish(side)  # the system sends what was written, and then the end
                else:
                    conn.reset(side)  # something was unread
        self._conns.clear()

    def _remember(self, conn: Conn, side: int) -> None:
        if len(self._conns) > 200:
            self._conns = [one for one in self._conns if one[0].ends[one[1]] is not None]
        self._conns.append((conn, side))

    def dial_door(self, end: End, random: Random, done: Callable[[Conn | None], None]) -> None:
        """`done` gets the connection, or None if refused; nothing happens if nobody answers."""
        rtt = random.randrange(2, 30)
        if not self.machine_on:
            return
        loop = self._loop
        if loop is None or loop.listening is None:
            self.world.after(rtt, done, None)
            return
        conn = self.conn(random)
        conn.ends[0] = end
        conn.host_up = self.machine_answers
        socket = Socket(loop, conn, 1)
        self._remember(conn, 1)
        loop.arrived.append(socket)
        self.world.after(rtt, done, conn)

    def dial_out(self, loop: SimLoop, made: asyncio.Future[Socket]) -> None:
        """The daemon dials the broker."""
        if not self.link_gone:
            self.world.after(self.random.randrange(1, 20), self._dialled, loop, made)

    def _dialled(self, loop: SimLoop, made: asyncio.Future[Socket]) -> None:
        if made.done() or loop.dead or self.link_gone:
            return
        if not self.broker.reachable:
            made.set_exception(ConnectionRefusedError(111, "Connection refused"))
            return
        conn = self.conn(self.random)
        conn.host_up = lambda side: side == 1 or self.machine_on
        self.link = conn
        self._remember(conn, 0)
        socket = Socket(loop, conn, 0)
        self.broker.accept(conn)
        made.set_result(socket)

    def dial_broker(self, end: End, random: Random, done: Callable[[Conn | None], None]) -> None:
        rtt = random.randrange(2, 30)
        if not self.broker.reachable:
            self.world.after(rtt, done, None)
            return
        conn = self.conn(random)
        conn.ends[0] = end
        self.broker.accept(conn)
        self.world.after(rtt, done, conn)
