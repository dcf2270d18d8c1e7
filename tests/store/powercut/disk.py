"""What a disk may hold after the power went, computed from the record of what a program did.

Owns the model: what was written is certain once the file was synced; until then each sector of it may be
there or not, and the last write may have stopped at any byte. Names change in order, and are certain once the
folder was synced. Must not know SQLite.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

HEAD = struct.Struct("=cHqI")
SECTOR = 512
Image = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to a file: create, write, truncate, sync, unlink, rename, link, by first letter."""

    op: str
    name: str  # relative to the folder; "" is the folder
    where: int
    data: bytes


def read(log: Path, folder: Path) -> Iterator[Step]:
    content = log.read_bytes()
    base = str(folder.resolve())
    at = 0
    while at < len(content):
        op, path, where, count = HEAD.unpack_from(content, at)
        at += HEAD.size
        name = content[at : at + path].decode()
        data = content[at + path : at + path + count]
        at += path + count
        yield Step(op.decode(), name.removeprefix(base).lstrip("/"), where, data)


@dataclass(slots=True)
class Inode:
    """`certain` is what was there at the last sync; `pending` what was written since."""

    certain: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut off there

    def now(self) -> bytes:
        return _applied(self.certain, self.pending)

    def torn(self, at: int) -> bytes:
        """As if the last write had stopped behind so many bytes."""
        *before, (where, data) = self.pending
        return _applied(self.certain, [*before, (where, None if data is None else data[:at])])

    def some(self, random: Random) -> bytes:
        """Any sectors of what was not synced."""
        kept: list[tuple[int, bytes | None]] = []
        for where, data in self.pending:
            if data is None:
                if random.random() < 0.5:
                    kept.append((where, None))
                continue
            start = where
            while start < where + len(data):
                end = min(where + len(data), (start // SECTOR + 1) * SECTOR)
                if random.random() < 0.5:
                    kept.append((start, data[start - where : end - where]))
                start = end
        return _applied(self.certain, kept)


def _applied(content: bytes, changes: list[tuple[int, bytes | None]]) -> bytes:
    found = bytearray(content)
    for where, data in changes:
        if data is None:
            del found[where:]
            found.extend(bytes(where - len(found)))
        else:
            found.extend(bytes(max(0, where - len(found))))
            found[where : where + len(data)] = data
    return bytes(found)


class Disk:
    """Takes the steps one by one; `images` are what may be found if the power goes right behind the last."""

    def __init__(self, image: Image) -> None:
        self.names = {name: Inode(content) for name, content in image.items()}
        self._certain_names = dict(self.names)
        self._name_states: list[dict[str, Inode]] = []

    def take(self, step: Step) -> None:
        getattr(self, f"_{step.op}")(step)

    def _w(self, step: Step) -> None:
        self.names[step.name].pending.append((step.where, step.data))

    def _t(self, step: Step) -> None:
        self.names[step.name].pending.append((step.where, None))

    def _s(self, step: Step) -> None:
        if not step.name:
            self._certain_names, self._name_states = dict(self.names), []
        elif step.name in self.names:
            inode = self.names[step.name]
            inode.certain, inode.pending = inode.now(), []

    def _c(self, step: Step) -> None:
        self.names[step.name] = Inode()
        self._renamed()

    def _u(self, step: Step) -> None:
        del self.names[step.name]
        self._renamed()

    def _r(self, step: Step) -> None:
        self.names[self._target(step)] = self.names.pop(step.name)
        self._renamed()

    def _l(self, step: Step) -> None:
        self.names[self._target(step)] = self.names[step.name]
        self._renamed()

    def _target(self, step: Step) -> str:
        return step.data.decode().rpartition("/")[2]

    def _renamed(self) -> None:
        self._name_states.append(dict(self.names))

    def images(self, last: Step | None, random: Random) -> Iterator[Image]:
        """All of it has reached the disk; the last write in part, unless it is None; nothing that was not
        synced; any of it."""
        yield {name: inode.now() for name, inode in self.names.items()}
        if last is not None and last.op == "w" and len(last.data) > 1:
            for at in {1, random.randrange(len(last.data)), len(last.data) // SECTOR * SECTOR} - {0}:
                torn = self.names[last.name]
                yield {n: it.torn(at) if it is torn else it.now() for n, it in self.names.items()}
        yield {name: inode.certain for name, inode in self._certain_names.items()}
        names = random.choice([self._certain_names, *self._name_states])
        yield {name: inode.some(random) for name, inode in names.items()}
