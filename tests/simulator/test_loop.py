"""The simulated event loop: what a process that dies leaves behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.simulator.loop import SimLoop
from tests.simulator.network import Network
from tests.simulator.world import World

if TYPE_CHECKING:
    import pytest


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def begins_something_as_it_closes() -> None:
    try:
        await for_ever()
    finally:
        await asyncio.shield(asyncio.create_task(for_ever()))


def test_what_is_begun_while_a_process_dies_ends_with_it(recwarn: pytest.WarningsRecorder) -> None:
    world = World(1)
    failed: list[str] = []
    loop = SimLoop(world, Network(world), failed.append)
    task = loop.create_task(begins_something_as_it_closes())
    loop.turn()
    loop.die()
    del task
    assert [str(it.message) for it in recwarn] == []
    assert failed == []
    assert not loop.busy()
