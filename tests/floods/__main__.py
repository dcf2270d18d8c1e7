"""Floods and hostility against the installed daemon: `python -m tests.floods [NAME...] [--scale X]`.

Without a name all are played. Exit code 1 if one failed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.floods.scenarios import SCENARIOS
from tests.floods.stage import play


def main() -> int:
    listed = "\n".join(f"  {one.name:12} {one.about}" for one in SCENARIOS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.floods",
        description=f"{(__doc__ or '').strip()}\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*SCENARIOS, []])
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each flood (1.0)")
    parser.add_argument("--seed", type=int, default=None, help="of what is drawn (drawn itself)")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}, scale {options.scale:g}\n")
    begun = time.monotonic()
    failed = []
    for name in options.names or SCENARIOS:
        result = play(SCENARIOS[name], options.scale, seed)
        print("\n".join(result.lines()), end="\n\n", flush=True)
        if not result.passed:
            failed.append(name)
    played = len(options.names or SCENARIOS)
    verdict = f"FAILED: {', '.join(failed)} (--seed {seed})" if failed else "all passed"
    print(f"{played} floods, {verdict}, in {time.monotonic() - begun:.0f} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
