"""When silence may count (rule 8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whosin.rules.sight import Sight


def seeing(at: int = 0) -> Sight:
    sight = Sight(at)
    sight.begin(at)
    return sight


def test_it_starts_blind_and_proofs_do_not_change_that():
    sight = Sight(100)
    assert sight.blind
    assert not sight.proof(200)
    assert sight.blind
    assert sight.proof_ms == 100


def test_beginning_with_nobody_heard_before_misses_nothing():
    sight = seeing(50)
    assert not sight.blind
    assert sight.due(60, 100, 1_000) == 160
    assert sight.blind_total_ms(500) == 0
    assert not sight.in_grace(51, 1_000)


def test_a_proof_never_goes_back():
    sight = seeing()
    sight.proof(100)
    sight.proof(90)
    assert sight.proof_ms == 100


def test_blindness_begins_at_the_last_proof_not_when_it_is_noticed():
    sight = seeing()
    sight.proof(100)
    assert sight.blind_now()
    assert not sight.blind_now()
    assert sight.blind_since_ms == 100
    assert sight.blind_total_ms(400) == 300
    assert sight.regain(500) == 400
    assert sight.blind_total_ms(9_000) == 400


def test_time_in_blindness_does_not_count():
    sight = seeing()
    sight.proof(100)
    sight.blind_now()
    sight.regain(1_100)
    assert sight.due(50, 300, 0) == 50 + 300 + 1_000


def test_a_sign_of_life_after_the_blindness_is_not_extended_by_it():
    sight = seeing()
    sight.proof(100)
    sight.blind_now()
    sight.regain(1_100)
    assert sight.due(1_100, 300, 0) == 1_400


def test_nobody_falls_sooner_than_the_grace_after_blindness_whenever_last_seen():
    sight = seeing()
    sight.proof(100)
    sight.blind_now()
    sight.regain(1_100)
    assert sight.due(99, 10, 500) == 1_600
    assert sight.due(1_100, 10, 500) == 1_600
    assert sight.due(1_100, 500, 500) == 1_600
    assert sight.due(1_100, 501, 500) == 1_601


def test_what_had_run_out_and_was_proven_before_the_blindness_stays_so():
    sight = seeing()
    sight.proof(100)
    sight.blind_now()
    sight.regain(1_100)
    assert sight.due(50, 50, 500) == 100
    assert sight.due(51, 50, 500) == 1_600


def test_after_a_restart_even_that_gets_the_grace_since_the_last_beats_may_not_be_stored():
    sight = Sight(100)
    sight.regain(1_100)
    assert sight.due(20, 50, 500) == 1_600
    sight.proof(2_000)
    sight.blind_now()
    sight.regain(3_000)
    assert sight.due(1_500, 200, 500) == 1_700


def test_a_doubt_is_ended_by_the_next_proof_and_blindness_only_by_being_told():
    sight = seeing()
    sight.proof(100)
    assert sight.doubt()
    assert not sight.doubt()
    assert sight.blind
    assert sight.proof(300)
    assert not sight.blind
    assert sight.due(50, 100, 0) == 350
    sight.doubt()
    sight.blind_now()
    assert not sight.proof(400)
    assert sight.blind


def test_a_doubt_lasts_until_the_proof_comes_whatever_moment_that_proves():
    sight = seeing()
    sight.proof(100)
    sight.doubt()
    assert sight.proof(150, 900)
    assert sight.blind_total_ms(900) == 800
    assert sight.due(50, 100, 0) == 950


def test_a_stall_counts_as_blindness_and_only_a_long_one_gives_a_grace():
    sight = seeing()
    sight.proof(100)
    sight.stall(1_000, graced=False)
    assert sight.due(50, 100, 10_000) == 1_050
    assert not sight.in_grace(1_001, 10_000)
    sight.stall(2_000, graced=True)
    assert sight.due(50, 1_000, 10_000) == 12_000
    assert sight.in_grace(11_999, 10_000)
    assert not sight.in_grace(12_000, 10_000)


def test_a_stall_while_blind_adds_nothing():
    sight = seeing()
    sight.blind_now()
    sight.stall(500, graced=True)
    assert sight.regain(900) == 900


def test_a_forgotten_gap_changes_nobodys_deadline():
    sight = seeing()
    sight.proof(1_000)
    sight.blind_now()
    sight.regain(2_000)  # whoever was seen at 900 falls at 900 + 5_000 + 1_000
    sight.proof(6_899)
    sight.forget(6_899 - 5_000)
    assert sight.due(900, 5_000, 100) == 6_900
    sight.proof(7_000)
    sight.forget(7_000 - 5_000)
    assert sight.due(1_999, 5_000, 100) == 7_000
    sight.proof(7_001)
    sight.forget(7_001 - 5_000)
    assert sight._gaps == []


def test_a_gap_is_forgotten_as_soon_as_we_have_seen_again_where_nobody_is_waited_for():
    sight = seeing()
    sight.proof(1_000)
    sight.blind_now()
    sight.regain(2_000)
    sight.forget(5_000)
    assert len(sight._gaps) == 1
    sight.proof(2_001)
    sight.forget(5_000)
    assert sight._gaps == []


def test_gaps_are_not_forgotten_in_and_just_after_a_long_blindness():
    sight = seeing()
    sight.proof(1_000)
    sight.blind_now()
    sight.regain(4_000)
    sight.proof(4_100)
    sight.blind_now()
    sight.forget(1_000_000)
    sight.regain(1_000_000)
    sight.forget(1_000_000 - 5_000)
    assert sight.due(900, 300, 500) == 1_000_500


@st.composite
def lives(draw):
    """A source's life in milliseconds: stretches of seeing and of blindness, by turns."""
    return draw(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12), st.booleans()), max_size=4))


@given(lives(), st.integers(0, 30), st.integers(1, 20), st.integers(0, 15))
def test_patience_runs_out_when_it_has_been_seen_to_for_long_enough(life, since, patience, grace):
    """Told millisecond by millisecond: one that was seen uses up patience, after blindness the grace too."""
    sight, now, blind, starts, regains = seeing(), 0, set(), set(), set()
    for sees, misses, graced in life:
        now += sees
        sight.proof(now)
        blind |= set(range(now, now + misses))
        starts.add(now)
        now += misses
        if graced:
            sight.blind_now()
            sight.regain(now)
            regains.add(now)
        else:
            sight.stall(now, graced=False)
    at = since
    left = max([patience, *(end + grace - since for end in regains if end <= since)])
    while left > 0 or (at in blind and at not in starts):
        left -= at not in blind
        at += 1
        if at in regains:
            left = max(left, grace)
    assert sight.due(since, patience, grace) == at


# --- what is known moment by moment ----------------------------------------------------------------------


def test_seeing_begins_with_a_proof_and_regaining_what_was_not_lost_is_nothing():
    sight = Sight(10)
    sight.begin(50)
    assert sight.proof_ms == 50
    assert sight.regain(60) == 0
    assert not sight.proof(70), "it ended no doubt"
    assert sight.proof_ms == 70


def test_a_stall_is_time_not_seen_and_ends_with_a_proof():
    sight = seeing()
    sight.proof(1_000)
    sight.stall(1_500, graced=False)
    assert sight.proof_ms == 1_500
    sight.stall(1_800, graced=False)
    assert sight.blind_total_ms(9_000) == 800
    assert sight.due(900, 1_000, 0) == 900 + 1_000 + 800
    assert sight.due(0, 500, 10_000) == 500, "that had run out before, and it was proven"
    sight.stall(1_800, graced=True)
    assert sight.blind_total_ms(9_000) == 800


def test_blindness_lasts_no_time_at_the_moment_it_begins():
    sight = seeing()
    sight.proof(100)
    sight.blind_now()
    assert sight.blind_total_ms(100) == 0
    assert sight.blind_total_ms(99) == 0
    assert sight.blind_total_ms(101) == 1


def test_a_doubt_that_was_ended_by_regaining_leaves_no_trace():
    sight = seeing()
    sight.doubt()
    sight.regain(100)
    assert sight.blind_now()
    assert not sight.proof(200), "blindness that is certain does not end by a proof"
    assert sight.blind


def test_what_had_run_out_when_we_stood_still_stays_so_whatever_the_grace():
    sight = seeing()
    sight.proof(100)
    sight.stall(1_100, graced=True)
    assert sight.due(50, 50, 500) == 100
    assert sight.due(51, 50, 500) == 1_600


def test_what_runs_out_just_as_a_short_restart_begins_stays_so():
    sight = Sight(100)
    sight.regain(1_100, graced=False)
    assert sight.due(50, 50, 500) == 100
    assert sight.due(51, 50, 500) == 1_101
