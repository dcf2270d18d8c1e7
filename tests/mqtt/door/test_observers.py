"""Observers that outlive the process: what they have left after a restart."""

from __future__ import annotations

import pytest

from tests.mqtt.door.fakes import FakeClock, FakeIntake
from whosin.mqtt.door import Door
from whosin.ports import ObserverRow

HOUR_MS = 3_600_000


def restarted(*, stored_ms: int, expires: int, acked: int = 7) -> tuple[Door, dict[str, ObserverRow | None]]:
    """A door that starts now with one observer of before, and what it had stored of it."""
    stored: dict[str, ObserverRow | None] = {}
    door = Door("127.0.0.1:0", clock=FakeClock(), name="test", store_observer=stored.__setitem__)
    row = ObserverRow("/watcher", None, '{"whosin/v1/events/#": 1}', acked, expires)
    door.restore([row], stored_ms)
    return door, stored


@pytest.mark.parametrize("away_ms", [0, 2 * HOUR_MS, -2 * HOUR_MS])
async def test_the_time_of_our_absence_or_a_clock_set_meanwhile_expires_no_observer(away_ms: int) -> None:
    now_ms = FakeClock().ms
    door, stored = restarted(stored_ms=now_ms - away_ms, expires=now_ms - away_ms + 60_000)
    door.begin(FakeIntake())
    assert not stored
    door.announce("whosin/v1/events/north/books/lock.granted", b"{}", lambda: None, 8)
    row = door.observer_rows()["/watcher"]
    assert row.acked == 7  # it waits for the eighth
    assert abs(row.expires - (now_ms + 60_000)) <= 1_000


async def test_an_observer_that_had_expired_before_is_forgotten() -> None:
    now_ms = FakeClock().ms
    door, stored = restarted(stored_ms=now_ms, expires=now_ms)
    assert stored == {"/watcher": None}
    assert not door.observer_rows()


async def test_what_is_owed_stays_owed_if_we_die_before_it_is_queued_again() -> None:
    now_ms = FakeClock().ms
    door, _ = restarted(stored_ms=now_ms, expires=now_ms + 60_000, acked=4)
    before = door.observer_rows()["/watcher"]
    assert before.acked == 4  # the fifth to the seventh are still to be read back
    door.owe(before, 6, "whosin/v1/events/north/books/lock.granted", b"{}")
    door.owed_until(7)
    assert door.observer_rows()["/watcher"].acked == 5


async def test_who_is_owed_nothing_has_got_all() -> None:
    now_ms = FakeClock().ms
    door, _ = restarted(stored_ms=now_ms, expires=now_ms + 60_000, acked=4)
    door.owed_until(7)
    assert door.observer_rows()["/watcher"].acked == 7
