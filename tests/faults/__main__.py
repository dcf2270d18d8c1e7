"""`python -m tests.faults --rounds N`: the installed daemon under load while everything around it fails.

Each round draws its faults from its seed; one that fails prints the seed, the faults, what was violated and
where its settings, logs and database are kept. `--seed S` begins with that seed, so `--rounds 1 --seed S`
plays one again. Ends with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.faults.round import BREAKS, Outcome, missing, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=None, metavar="S", help="of the first round")
    parser.add_argument("--jobs", type=int, default=3, metavar="J", help="rounds at a time")
    parser.add_argument("--keep", action="store_true", help="keep the folders of good rounds too")
    parser.add_argument("--break", dest="broken", choices=BREAKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    first = random.randrange(1_000_000) if args.seed is None else args.seed
    print(f"{args.rounds} rounds from seed {first}, {args.jobs} at a time", flush=True)
    for kind, reason in missing().items():
        print(f"left out: {kind}: {reason}", flush=True)
    began = time.monotonic()
    outcomes = []
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, mp_context=fresh) as pool:
        rounds = [pool.submit(play, first + nth, args.keep, args.broken) for nth in range(args.rounds)]
        for done in as_completed(rounds):
            outcome = done.result()
            outcomes.append(outcome)
            tell(outcome, len(outcomes))
    return sum_up(outcomes, time.monotonic() - began)


def tell(outcome: Outcome, number: int) -> None:
    """A line for a good round; all there is about a bad one."""
    what = ", ".join(fault.split(" for ")[0].split("  ")[-1] for fault in outcome.faults)
    verdict = "ok" if not outcome.wrong else "WRONG"
    print(
        f"{number:4} seed {outcome.seed} {verdict} in {outcome.seconds:.1f} s, "
        f"{' and '.join(outcome.ways)}: {what}",
        flush=True,
    )
    for reason in outcome.skipped:
        print(f"     left out {reason}")
    if outcome.wrong:
        for line in outcome.faults:
            print(f"     planned  {line}")
        for line in outcome.windows:
            print(f"     was      {line}")
        for line in outcome.wrong[:20]:
            print(f"     VIOLATED {line}")
        print(f"     {len(outcome.wrong)} in all; see {outcome.folder}", flush=True)
    elif outcome.folder:
        print(f"     kept in {outcome.folder}")


def sum_up(outcomes: list[Outcome], seconds: float) -> int:
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.counts)
    bad = [outcome.seed for outcome in outcomes if outcome.wrong]
    faults = ", ".join(
        f"{key[6:]} {number:.0f}" for key, number in sorted(total.items()) if key.startswith("fault ")
    )
    print(
        f"\n{len(outcomes)} rounds in {seconds:.0f} s: {len(bad)} wrong{f' {sorted(bad)}' if bad else ''}\n"
        f"commands {total['said']:.0f}, answers {total['answers']:.0f}, events heard {total['events']:.0f}; "
        f"dead found {total['found']:.0f}; disconnects put down to this program's own lateness "
        f"{total['excused']:.0f} ({total['late_s']:.0f} s late in all); gone with a broker that was killed "
        f"or forgot {total['gone']:.0f}; dated late by the daemon's own account of its blindness alone "
        f"{total['claimed']:.0f}\nrounds with: {faults}"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
