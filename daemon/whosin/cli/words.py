"""Times, counts and strangers' text in words for people.

Owns how a value reads on a terminal; knows neither click nor rich nor where values come from.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE, HOUR, DAY = 60, 3600, 86_400


def clean(value: object) -> str:
    """Text of strangers, safe to print: whatever could steer a terminal or turn the reading direction
    (control and format characters, U+202E among them) is shown as an escape. None is empty."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def moment(stamp: str) -> datetime:
    """An RFC 3339 time of the API."""
    return datetime.fromisoformat(stamp)


def now() -> datetime:
    return datetime.now(UTC)


def span(seconds: float, *, brief: bool = False) -> str:
    """A length of time in at most two units: `45 s`, `4 min`, `2 h 10 min`, `3 d 4 h`; `brief`: in
    one, rounded down. Negative is `0 s`."""
    whole = max(0, int(seconds))
    if brief and whole >= HOUR:
        return f"{whole // HOUR} h" if whole < DAY else f"{whole // DAY:,} d"
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return _two(whole, HOUR, "h", MINUTE, "min")
    return _two(whole, DAY, "d", HOUR, "h")


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def age(stamp: str | None, at: datetime, *, brief: bool = False) -> str:
    """How long ago `stamp` was, empty when there is none. Clocks that differ never give a negative age."""
    return span((at - moment(stamp)).total_seconds(), brief=brief) if stamp else ""


def until(stamp: str | None, at: datetime) -> str:
    """How long until `stamp`: `in 4 min`, or `now` when it has come; empty when there is none."""
    if not stamp:
        return ""
    left = (moment(stamp) - at).total_seconds()
    return f"in {span(left)}" if left >= 1 else "now"


def local(stamp: str | None, at: datetime) -> str:
    """The wall-clock time where the reader sits; the date only when it is not today's."""
    if not stamp:
        return ""
    here, today = moment(stamp).astimezone(), at.astimezone().date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%Y-%m-%d %H:%M:%S")


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 lock`, `2 locks`, `1,200 people`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Bytes in decimal units."""
    amount = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def some(names: Sequence[str], most: int = 3) -> str:
    """`anna, ben, carl +2`: each once, in the order given."""
    unique = list(dict.fromkeys(name for name in names if name))
    rest = len(unique) - most
    return ", ".join(unique[:most]) + (f" +{rest}" if rest > 0 else "")


def short_ids(idents: Sequence[str], least: int = 8) -> int:
    """How many characters tell these ids apart: at least `least`, at most the longest id's length."""
    longest = max(map(len, idents), default=least)
    distinct = len(set(idents))
    return next((n for n in range(least, longest) if len({i[:n] for i in idents}) == distinct), longest)
