"""One daemon's inside with its desk, on a real file and a clock that is moved by hand."""

from __future__ import annotations

import pytest

from tests.engine.bench import Bench


@pytest.fixture
async def bench(tmp_path):
    made = await Bench(tmp_path / "whosin.db").start()
    yield made
    await made.close()
