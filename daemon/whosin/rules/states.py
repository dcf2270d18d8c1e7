"""The session's life as one literal table: status and trigger give the next status. Knows nothing else.

`python -m whosin.rules.states` prints the diagram that ARCHITECTURE.md shows; a test keeps both alike.
"""

from __future__ import annotations

from enum import StrEnum

from whosin.model import Status


class Trigger(StrEnum):
    """What can happen to a session."""

    __hash__ = str.__hash__  # as of `Status`

    SIGN = "sign of life"
    WEAK_SIGN = "sign of life while idle"  # the program lives, not the person (rule 4)
    LOST = "lost"
    SILENCE = "deadline"
    IDLE = "idle limit"
    LOGOUT = "logout"
    REMOVE = "removal"


A, D, L, R = Status.ACTIVE, Status.DISCONNECTED, Status.LOGGED_OFF, Status.REMOVED

TRANSITIONS: dict[tuple[Status, Trigger], Status] = {
    (A, Trigger.SIGN): A,
    (A, Trigger.WEAK_SIGN): A,
    (A, Trigger.LOST): A,
    (A, Trigger.SILENCE): D,
    (A, Trigger.IDLE): D,
    (A, Trigger.LOGOUT): L,
    (A, Trigger.REMOVE): R,
    (D, Trigger.SIGN): A,
    (D, Trigger.WEAK_SIGN): D,
    (D, Trigger.LOST): D,
    (D, Trigger.LOGOUT): L,
    (D, Trigger.REMOVE): R,
}
"""Whatever is not in the table is refused by it: final statuses have no way out (rule 3)."""


class IllegalMove(Exception):  # noqa: N818 - says what it is
    """A bug of ours: no input may lead here."""


def after(status: Status, trigger: Trigger) -> Status:
    """The next status. Raises IllegalMove where the table has no row; nothing has changed then."""
    try:
        return TRANSITIONS[status, trigger]
    except KeyError:
        raise IllegalMove(f"a {status} session cannot take {trigger!r}") from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> active: login"]
    moves: dict[tuple[Status, Status], list[str]] = {}
    for (status, trigger), following in TRANSITIONS.items():
        if status is not following:
            moves.setdefault((status, following), []).append(trigger.value)
    lines += [f"    {a} --> {b}: {', '.join(why)}" for (a, b), why in moves.items()]
    lines += [f"    {status} --> [*]" for status in Status if status.final]
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())  # noqa: T201
