"""When to ping, what a reply proves, when silence means a dead connection."""

from __future__ import annotations

from whosin.mqtt.link.pulse import FULL_READ, LAG_MS, STALL_MS, Pulse


def pulse() -> Pulse:
    return Pulse(1_000, every_ms=3_000, patience_ms=5_000, keep_alive_ms=10_000)


def run_to(pulse: Pulse, start: int, end: int) -> None:
    for now in range(start, end + 1, 500):
        pulse.tick(now)


def test_a_ping_is_due_every_so_often_however_much_is_heard():
    it = pulse()
    assert not it.due(3_999)
    it.heard(3_999, 100)
    assert it.due(4_000)
    it.pinged(4_000)
    assert it.asked_ms == 4_000
    assert not it.due(7_000)


def test_an_unanswered_ping_is_followed_by_another_before_the_broker_gives_us_up():
    it = pulse()
    it.pinged(1_000)
    assert not it.due(5_999)
    assert it.due(6_000)


def test_a_reply_proves_what_was_sent_before_the_ping():
    it = pulse()
    it.pinged(1_000)
    assert it.answered(1_030) == 1_000
    assert it.asked_ms == 0
    assert it.answered(1_031) == 0


def test_a_proof_wanted_while_a_ping_is_on_its_way_is_asked_for_behind_it():
    it = pulse()
    it.want()
    assert it.due(1_000)
    it.pinged(1_000)
    it.want()
    assert not it.due(1_010)
    it.answered(1_020)
    assert it.due(1_020)
    it.pinged(1_020)
    it.answered(1_040)
    assert not it.due(1_040)


def test_what_is_heard_is_current_unless_a_backlog_may_be_behind_it():
    it = pulse()
    it.heard(1_100, FULL_READ - 1)
    assert it.current(1_100)
    it.heard(1_200, FULL_READ)
    assert not it.current(1_200)
    assert it.due(1_200)


def test_only_a_prompt_reply_to_a_later_ping_ends_doubt():
    it = pulse()
    it.pinged(1_000)
    it.doubt(1_050)
    assert it.answered(1_100) == 1_000
    assert not it.current(1_100)
    it.pinged(1_100)
    assert it.answered(1_100 + LAG_MS + 1) == 1_100
    assert not it.current(2_101)
    it.pinged(2_101)
    it.answered(2_101 + LAG_MS)
    assert it.current(3_101)


def test_while_a_reply_is_late_nothing_is_taken_as_current():
    it = pulse()
    it.pinged(1_000)
    assert it.current(1_000 + LAG_MS)
    assert not it.current(1_000 + LAG_MS + 1)


def test_having_stood_still_is_a_reason_to_doubt():
    it = pulse()
    it.heard(1_000 + STALL_MS, 10)
    assert it.current(2_500)
    it.heard(2_500 + STALL_MS + 1, 10)
    assert not it.current(4_001)


def test_dead_is_a_ping_unanswered_and_nothing_heard_for_the_patience():
    it = pulse()
    it.pinged(1_000)
    run_to(it, 1_000, 5_500)
    assert not it.dead(5_999)
    assert it.dead(6_000)
    it.heard(6_000, 10)
    assert not it.dead(6_000)
    assert it.dead(11_000)


def test_silence_while_we_stood_still_or_did_not_read_is_ours():
    it = pulse()
    it.pinged(1_000)
    it.tick(9_000)
    assert not it.dead(9_000)
    it.pause(9_100, paused=True)
    run_to(it, 9_500, 60_000)
    assert not it.dead(60_000)
    it.pause(60_000, paused=False)
    assert not it.dead(64_999)
    assert it.dead(65_000)


def test_a_reply_that_comes_late_raises_doubt_until_a_prompt_one():
    it = pulse()
    it.pinged(1_000)
    assert it.answered(1_001 + LAG_MS) == 1_000
    assert not it.current(1_002 + LAG_MS)
    assert it.due(1_002 + LAG_MS)
    it.pinged(1_010 + LAG_MS)
    it.answered(1_020 + LAG_MS)
    assert it.current(1_030 + LAG_MS)
