"""Observers that outlive the process: what they have left after a restart."""

from __future__ import annotations

from tests.mqtt.door.fakes import FakeClock, FakeIntake
from whosin.mqtt.door import Door
from whosin.ports import ObserverRow


def restarted(*, acked: int = 7) -> tuple[Door, FakeClock]:
    """A door that starts now with one observer of before, which has a minute left."""
    clock = FakeClock()
    door = Door("127.0.0.1:0", clock=clock, name="test")
    door.restore([ObserverRow("/watcher", None, '{"whosin/v1/events/#": 1}', acked, 60_000)])
    return door, clock


async def test_our_absence_takes_nothing_from_what_an_observer_has_left() -> None:
    door, clock = restarted()
    door.begin(FakeIntake())
    door.announce("whosin/v1/events/north/books/lock.granted", b"{}", lambda: None, 8)
    row = door.observer_rows()["/watcher"]
    assert row.acked == 7  # it waits for the eighth
    assert 59_000 <= row.left_ms <= 61_000
    for _ in range(45 * 5):
        clock.ms += 200
        door.tick()
    assert 14_000 <= door.observer_rows()["/watcher"].left_ms <= 16_000
    for _ in range(20 * 5):
        clock.ms += 200
        door.tick()
    assert not door.observer_rows()


async def test_what_is_owed_stays_owed_if_we_die_before_it_is_queued_again() -> None:
    door, _ = restarted(acked=4)
    before = door.observer_rows()["/watcher"]
    assert before.acked == 4  # the fifth to the seventh are still to be read back
    door.owe(before, 6, "whosin/v1/events/north/books/lock.granted", b"{}")
    door.owed_until(7)
    assert door.observer_rows()["/watcher"].acked == 5


async def test_who_is_owed_nothing_has_got_all() -> None:
    door, _ = restarted(acked=4)
    door.owed_until(7)
    assert door.observer_rows()["/watcher"].acked == 7
