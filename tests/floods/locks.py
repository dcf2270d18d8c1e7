"""Locks by the ten thousand: held, waited for, in circles, deep, and given back all at once."""

from __future__ import annotations

import contextlib
import time

from tests.floods.crowds import WEB, message
from tests.floods.stage import Stage
from tests.support.lines import dial, say


def lock(session: str, resource: str, packet_id: int, **more: object) -> bytes:
    return message(session, "lock", {"resource": resource, **more}, packet_id)


def locks(stage: Stage) -> None:
    """20 sessions take 500 locks each at 16 levels; 5,000 wait in queues, others ask in circles and for too
    much; then the holders leave and everything is free."""
    holders = [f"h-{nth}" for nth in range(20)]
    each = stage.many(500)
    waiters = [f"w-{nth}" for nth in range(stage.many(5_000))]
    with contextlib.closing(dial(stage.port, "locks", account=stage.account("gateway"))) as line:

        def all_of(messages: list[bytes]) -> None:
            say([line], [b"".join(messages)], [len(messages)])

        all_of(
            [
                message(one, "login", {**WEB, "user": one}, nth % 60_000 + 1)
                for nth, one in enumerate([*holders, *waiters])
            ]
        )
        begun = time.monotonic()
        all_of(
            [lock(one, _deep(nth, turn), turn + 1) for nth, one in enumerate(holders) for turn in range(each)]
        )
        held = stage.counted("whosin_locks")
        neighbours = 20  # they lock and unlock meanwhile
        stage.check(abs(held - len(holders) * each) <= neighbours, f"{held} locks are held")
        first = time.monotonic() - begun
        begun = time.monotonic()
        places = [(nth % 20, nth % each) for nth in range(len(waiters))]
        all_of(
            [
                lock(one, _deep(*place), nth % 60_000 + 1, wait_s=600)
                for nth, (one, place) in enumerate(zip(waiters, places, strict=True))
            ]
        )
        queued = time.monotonic() - begun
        refusals = stage.counted("whosin_lock_refusals_total")
        begun = time.monotonic()
        # each waits for the next one, the last would close the circle; each holds much and many wait for it
        all_of([lock(holders[nth], _deep((nth + 1) % 20, 0), nth + 1, wait_s=600) for nth in range(20)])
        circled = time.monotonic() - begun
        deadlocks = stage.counted("whosin_lock_refusals_total") - refusals
        stage.check(deadlocks >= 1, "the circle was not refused")
        all_of([lock("h-0", f"more/{nth}", nth + 1) for nth in range(1_200)])
        all_of([lock("h-1", path, 1) for path in ("/".join("d" * 17), "a//b", "*/x", "", "x" * 600)])
        all_of([lock("h-2", "*", 1, wait_s=600), lock("h-3", "deep", 2)])
        begun = time.monotonic()
        all_of([message(one, "logout", None, nth + 1) for nth, one in enumerate(holders)])
        freed = time.monotonic() - begun
        all_of([message(one, "logout", None, nth % 60_000 + 1) for nth, one in enumerate(waiters)])
    stage.check(
        stage.settled(lambda: stage.counted("whosin_locks") <= 20, 20),
        f"{stage.counted('whosin_locks')} locks are left",
    )
    stage.tell(
        f"{len(holders) * each:,} locks at 16 levels in {first:.1f} s, {len(waiters):,} "
        f"waiters in {queued:.1f} s, a circle of the 20 holders in {circled:.2f} s, "
        f"all given back and passed on in {freed:.1f} s; "
        f"refused {stage.counted('whosin_lock_refusals_total'):,}; "
        f"rejected {stage.by('whosin_messages_rejected_total', 'reason')}"
    )


def _deep(nth: int, turn: int) -> str:
    return "/".join(["deep", *(f"level-{level}" for level in range(13)), f"h-{nth}", f"r-{turn}"])
