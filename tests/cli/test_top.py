"""`whosin top`: one frame for every state, the pace, and the real thing on a terminal."""

from __future__ import annotations

import io
import os
import select
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.cli.fake_daemon import TOKEN, blocked, event, fallen, stats
from whosin.cli.pace import Pace
from whosin.cli.top_view import Seen, frame, hurt

NOW = datetime.now(UTC)


def picture(seen, width=80, height=24, at=NOW):
    screen = Console(width=width, height=height, file=io.StringIO(), legacy_windows=False)
    screen.print(frame(seen, at, width, height, keys="q quits"))
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


def seen(fallen_count=3, events=5, **more):
    people = [
        fallen(f"s-{n}", 100 * n, user=f"user{n}", blocks=[blocked("ben")] * (n == 0))
        for n in range(fallen_count)
    ]
    found = {
        "stats": stats(), "answered": NOW, "fallen": people, "fallen_total": fallen_count,
        "recent": [event(n) for n in range(events)],
    }  # fmt: skip
    return Seen(**(found | more))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(24, 60), st.integers(60, 200))
def test_a_frame_never_overflows_the_screen(fallen_count, events, height, width):
    lines = picture(seen(fallen_count, events), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_a_frame_tells_the_state_the_fallen_and_what_happened():
    text = "\n".join(picture(seen(rate=12.4, lag_s=0.25), 120, 40))
    for words in ("vienna-1 is ready", "q quits", "41 active, 3 disconnected", "12 messages/s",
                  "lag 0.25 s", "3 disconnected logins, 1 of them blocking others", "1: ben",
                  "What happened last"):  # fmt: skip
        assert words in text


def test_both_lists_have_half_of_a_small_screen():
    lines = picture(seen(60, 60))
    middle = lines.index("What happened last")
    assert 10 <= middle <= 16
    assert "(the worst" in lines[5]


def test_a_quiet_house_is_said_to_be_quiet():
    assert "Nobody is disconnected." in picture(seen(0, 0))


def test_what_is_wrong_stands_on_top():
    lines = picture(seen(stats=stats(ready=False, blind=True, problems=["blind: nothing is received"])))
    assert "vienna-1 is blind" in lines[0]
    assert "blind: nothing is received" in lines


def test_a_daemon_that_restarts_is_waited_for_with_the_last_picture_kept():
    lines = picture(
        seen(trouble="http://x cannot be reached: Connection refused."), at=NOW + timedelta(seconds=9)
    )
    assert lines[0].startswith("vienna-1 has not answered for 9 s; asking on")
    assert lines[1] == "http://x cannot be reached: Connection refused."
    assert "What happened last" in lines


def test_an_answer_that_does_not_come_is_noticed_too():
    assert "has not answered for 8 s" in picture(seen(), at=NOW + timedelta(seconds=8))[0]


def test_before_the_first_answer_it_says_what_it_waits_for():
    assert picture(Seen())[0].startswith("asking the daemon")
    assert picture(Seen(trouble="no"))[0].startswith("waiting for the daemon")


def test_those_who_block_the_most_people_come_first_and_then_the_oldest():
    many = fallen("many", 10, blocks=[blocked("a"), blocked("b")])
    same = fallen("same", 500, blocks=[blocked("a"), blocked("a", "vat")])
    old, young = fallen("old", 900), fallen("young", 20)
    assert [item["id"] for item in sorted([young, old, same, many], key=hurt)] == [
        "many",
        "same",
        "old",
        "young",
    ]


# --- pace ------------------------------------------------------------------------------------------


def metrics(beats, logins=0, lag=0.0, found=0):
    return (
        "# TYPE whosin_messages_total counter\n"
        f'whosin_messages_total{{verb="heartbeat"}} {beats}\n'
        f'whosin_messages_total{{verb="login"}} {logins}.0\n'
        f'whosin_detection_lag_seconds_bucket{{le="0.1"}} 9\n'
        f"whosin_detection_lag_seconds_sum {lag}\nwhosin_detection_lag_seconds_count {found}\n"
    )


def test_the_rate_is_what_came_between_two_moments_over_all_verbs():
    pace = Pace()
    pace.take(10.0, metrics(100, 5))
    assert (pace.rate, pace.lag_s) == (None, None)
    pace.take(12.0, metrics(130, 15, lag=1.5e0, found=3))
    assert (pace.rate, pace.lag_s) == (20.0, 0.5)


def test_counters_of_a_daemon_that_started_anew_tell_nothing():
    pace = Pace()
    pace.take(1.0, metrics(100))
    pace.take(2.0, metrics(150))
    pace.take(3.0, metrics(3))
    assert pace.rate == 50.0
    pace.take(4.0, metrics(10))
    assert pace.rate == 7.0


def test_without_metrics_there_is_no_pace():
    pace = Pace()
    pace.take(1.0, "")
    pace.take(2.0, "")
    assert (pace.rate, pace.lag_s) == (None, None)


# --- the command -----------------------------------------------------------------------------------


def fill(daemon):
    daemon.answers |= {
        "GET stats": lambda *_: stats(),
        "GET sessions": [fallen("s-1", blocks=[blocked("ben")])],
        "GET history": [event(1, user="zoe")],
    }


def test_without_a_terminal_one_picture_is_printed(daemon, whosin):
    fill(daemon)
    found = whosin("top")
    assert found.exit_code == 0
    for words in ("vienna-1 is ready", "1 disconnected login", "1: ben", "zoe"):
        assert words in found.stdout
    assert "\x1b" not in found.stdout


def test_a_wrong_token_is_said_before_the_screen_is_taken(daemon, whosin):
    found = whosin("top", WHOSIN_TOKEN="wrong")
    assert (found.exit_code, found.stdout) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_on_a_terminal_it_follows_the_events_and_q_leaves_it_as_it_was(daemon):
    import pty  # noqa: PLC0415 - not on Windows

    fill(daemon)
    env = os.environ | {
        "WHOSIN_URL": daemon.url,
        "WHOSIN_TOKEN": TOKEN,
        "TERM": "xterm",
        "COLUMNS": "100",
        "LINES": "30",
    }
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-m", "whosin", "top"], env)
    try:
        read_until(terminal, b"zoe")
        daemon.events.put(event(2, user="newcomer"))
        read_until(terminal, b"newcomer")
        os.write(terminal, b"q")
        assert b"\x1b[?1049l" in read_until(terminal, b"\x1b[?1049l")
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        daemon.events.put(None)
        os.close(terminal)


def read_until(terminal, wanted, within_s=30):
    """What the terminal shows, up to what is wanted."""
    shown = b""
    until = time.monotonic() + within_s
    while wanted not in shown and time.monotonic() < until:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)
    assert wanted in shown, shown.decode(errors="replace")
    return shown
