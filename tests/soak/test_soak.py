"""The soak's judge can tell good from bad, and half a minute of a site leaves nothing behind.

The figures themselves are `python -m tests.soak`'s: they need a machine that does nothing else, and an hour.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import Soak
from tests.soak.meter import MB, Figures, Promise, Reading, judge, slope

PROMISE = Promise()


def hour(
    *,
    share: float = 0.004,
    rss: float = 60 * MB,
    growth: float = 0.0,
    fds: int = 50,
    tasks: int = 5,
    threads: int = 4,
) -> list[Reading]:
    """A reading a minute; `growth` is in bytes an hour."""
    first = Reading(0, 1, round(rss), 14, threads, 4)
    return [first] + [
        Reading(60.0 * n, 1 + share * 60 * n, round(rss + growth * n / 60), fds, threads, tasks)
        for n in range(1, 61)
    ]


def found(readings: list[Reading], connections: int = 40) -> str:
    return "; ".join(judge(readings, [0] + [connections] * (len(readings) - 1), PROMISE))


def test_a_quiet_hour_is_as_promised() -> None:
    assert found(hour()) == ""


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        (hour(share=0.011), "of a core"),
        (hour(rss=81 * MB), "81.0 MB"),
        (hour(growth=3 * MB), "grew by 3.00 MB"),
        (hour(fds=61), "61 file descriptors with 40 connections"),
        (hour(tasks=11), "11 tasks"),
        (hour(threads=9), "9 threads"),
    ],
)
def test_each_bound_is_judged(readings: list[Reading], words: str) -> None:
    assert words in found(readings)


def test_growth_is_that_after_the_warm_up() -> None:
    grown = [one._replace(rss=40 * MB) if one.at_s < 600 else one for one in hour()]
    assert Figures.of(grown, PROMISE).growth_per_hour == pytest.approx(0, abs=1)
    assert Figures.of(hour()[:25], PROMISE).growth_per_hour is None
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == pytest.approx(2)


async def test_half_a_minute_of_a_site_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside_others = Promise(cpu_share=0.2, ready_s=30, exit_s=15)
    soak = Soak(tmp_path, 0.5, seed=7, promise=beside_others)
    as_promised = await soak.run()
    assert as_promised, capsys.readouterr().out
    assert soak.people.said["logins"] > 20
