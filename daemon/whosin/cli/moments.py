"""Times as people type them, as the API wants them. Knows click; not what is asked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from whosin.cli.words import now

UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPAN = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")


def stamp(at: datetime) -> str:
    """As the API takes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day(text: str, at: datetime) -> datetime | None:
    """The beginning of a day, where the reader sits: `today`, `yesterday`, a weekday (the last one, today
    included) or its first three letters, a date. None for anything else."""
    today = at.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    word = text.strip().lower()
    if word in ("today", "yesterday"):
        return _here(today - timedelta(days=word == "yesterday"))
    if len(word) >= 3 and (found := [n for n, name in enumerate(WEEKDAYS) if name.startswith(word)]):
        return _here(today - timedelta(days=(today.weekday() - found[0]) % 7))
    if re.fullmatch(r"\d{4}-\d\d-\d\d", word):
        try:
            return _here(datetime.fromisoformat(word))
        except (ValueError, OverflowError):
            return None
    return None


def _here(naive: datetime) -> datetime:
    """With the zone that is in force here on that day, summer time included."""
    return naive.astimezone()


class Moment(click.ParamType[str]):
    """How long ago (`90min`, `2h`, `3d`), a day, or a date and time; local without a zone."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if ago := _SPAN.fullmatch(value):
            return stamp(now() - timedelta(**{UNITS[ago[2]]: int(ago[1])}))
        try:
            found = day(value, now()) or datetime.fromisoformat(value)
            return stamp(found)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time; expected one as in 2h, 3d, friday, 2026-03-02 or 2026-03-02T08:30.",
                param,
                ctx,
            )


class Day(click.ParamType[tuple[str, str]]):
    """A whole day, from midnight to midnight where the reader sits."""

    name = "day"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        begins = day(value, now())
        if begins is None:
            self.fail(f"{value!r} is no day; expected one as in friday, yesterday or 2026-03-02.", param, ctx)
        return stamp(begins), stamp(_here(begins.replace(tzinfo=None) + timedelta(days=1)))


class Span(click.ParamType[timedelta]):
    """A length of time: `90min`, `2h`, `3d`."""

    name = "how long"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = _SPAN.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no length of time; expected one as in 90min or 2h.", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


class Ahead(click.ParamType[datetime]):
    """A moment to come: `17:00` (tomorrow if that is over today), `+20min`, a date and time; local without a
    zone."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if value.startswith("+") and (span := _SPAN.fullmatch(value[1:])):
            return now() + timedelta(**{UNITS[span[2]]: int(span[1])})
        if clock := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value):
            here = now().astimezone()
            at = here.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0, tzinfo=None)
            return _here(at + timedelta(days=_here(at) <= here))
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time to come; expected one as in 17:00, +20min or 2026-03-02T17:00.",
                param,
                ctx,
            )
