"""The table of a session's life."""

from __future__ import annotations

import subprocess
import sys

import pytest

from whosin.model import Status
from whosin.rules.states import TRANSITIONS, IllegalMove, Trigger, after, diagram

FINAL = [status for status in Status if status.final]


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("status", FINAL)
def test_nothing_leads_out_of_a_final_status(status, trigger):
    with pytest.raises(IllegalMove, match=f"a {status} session cannot take"):
        after(status, trigger)


@pytest.mark.parametrize(("move", "following"), TRANSITIONS.items())
def test_the_table_is_what_happens(move, following):
    assert after(*move) is following


@pytest.mark.parametrize("trigger", [Trigger.SILENCE, Trigger.IDLE])
def test_who_is_disconnected_cannot_fall_again(trigger):
    with pytest.raises(IllegalMove):
        after(Status.DISCONNECTED, trigger)


def test_only_a_logout_logs_off_and_only_a_removal_removes():
    assert {t for (_, t), to in TRANSITIONS.items() if to is Status.LOGGED_OFF} == {Trigger.LOGOUT}
    assert {t for (_, t), to in TRANSITIONS.items() if to is Status.REMOVED} == {Trigger.REMOVE}


def test_only_a_real_sign_of_life_brings_a_disconnected_session_back():
    back = {t for (at, t), to in TRANSITIONS.items() if at is Status.DISCONNECTED and to is Status.ACTIVE}
    assert back == {Trigger.SIGN}


def test_the_diagram_names_every_way_and_both_ends():
    text = diagram()
    assert text.startswith("stateDiagram-v2")
    assert "[*] --> active: login" in text
    assert "disconnected --> active: sign of life\n" in text
    for status in FINAL:
        assert f"{status} --> [*]" in text


def test_the_module_prints_its_diagram():
    shown = subprocess.run(
        [sys.executable, "-m", "whosin.rules.states"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == diagram()
