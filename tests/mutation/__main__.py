"""Do the tests notice when the code is wrong? See docs/mutation.md."""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.mutation import explained
from tests.mutation.explained import Key
from tests.mutation.forks import Trouble
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.report import Report, key_of, show
from tests.mutation.rooms import HERE, ROOMS
from tests.mutation.survey import Room
from tests.mutation.trial import Verdict, examine

NAMES = ", ".join(room.name for room in ROOMS)


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets in the same order, so the same verdicts
        again = [sys.executable, "-m", "tests.mutation", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})
    asked = _arguments()
    rooms = _rooms(asked)
    every = {room.name: [*_mutants(room)] for room in rooms}
    chosen = _chosen([it for mutants in every.values() for it in mutants], asked)
    explanations = explained.read(asked.explained)
    known = {key for one in explanations for key in one.keys}
    verdicts: list[Verdict] = []
    started = time.monotonic()
    for room in rooms:
        files = {str(file) for file in room.sources}
        if mine := [it for it in chosen if it.file in files]:
            verdicts += _examined(room, mine, known, asked.jobs)
    report = Report([it for mutants in every.values() for it in mutants], verdicts, explanations)
    report.show(time.monotonic() - started, drafts=asked.draft)
    return 0 if report.good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    add = parser.add_argument
    add("what", nargs="*", help=f"rooms ({NAMES}) or files of theirs; all rooms if none")
    add("--jobs", type=int, default=1, help="processes at once")
    add("--sample", type=int, metavar="N", help="only so many mutants, drawn by --seed")
    add("--seed", type=int, help="of the sample; one drawn, and told, unless given")
    add("--changed-since", metavar="REF", help="only mutants of lines that changed since, as git tells")
    add("--function", metavar="PATTERN", help="only mutants in functions with such a name")
    add("--draft", action="store_true", help="print entries for explained.toml, too")
    add("--explained", type=Path, default=explained.FILE, help="another file of explanations")
    add("--source", type=Path, action="append", default=[], help="a file of no room, with --root and --tests")
    add("--tests", type=Path, action="append", default=[], help="the tests of --source")
    add("--root", type=Path, default=HERE, help="where --source is imported from")
    asked = parser.parse_args()
    if asked.sample is not None and asked.seed is None:
        asked.seed = random.SystemRandom().randrange(1 << 32)
    return asked


def _rooms(asked: argparse.Namespace) -> list[Room]:
    if asked.source:
        return [Room("given", asked.root, tuple(asked.source), tuple(asked.tests))]
    if not asked.what:
        return list(ROOMS)
    names = [one for one in asked.what if one in NAMES.split(", ")]
    files = [Path(one).resolve() for one in asked.what if one not in names]
    found = []
    for room in ROOMS:
        sources = tuple(it for it in room.sources if room.name in names or it in files)
        if sources:
            found.append(replace(room, sources=sources))
    if strange := [str(it) for it in files if not any(it in room.sources for room in found)]:
        raise Trouble(f"{', '.join(strange)}; expected rooms ({NAMES}) or files of theirs")
    return found


def _mutants(room: Room) -> Iterator[Mutant]:
    for file in room.sources:
        yield from mutants_of(file.read_text(), str(file))


def _chosen(mutants: list[Mutant], asked: argparse.Namespace) -> list[Mutant]:
    if asked.function:
        mutants = [it for it in mutants if re.search(asked.function, it.function)]
    if asked.changed_since:
        changed = _changed_since(asked.changed_since)
        mutants = [it for it in mutants if not changed[it.file].isdisjoint(it.lines)]
    if asked.sample is not None and asked.sample < len(mutants):
        print(f"{asked.sample} of {len(mutants)} mutants, by --seed {asked.seed}")
        mutants = random.Random(asked.seed).sample(mutants, asked.sample)
    return mutants


def _changed_since(ref: str) -> defaultdict[str, set[int]]:
    """By file, the lines that are not what they were."""
    command = ["git", "diff", "--unified=0", "--no-ext-diff", ref, "--", "*.py"]
    told = subprocess.run(command, cwd=HERE, check=True, text=True, capture_output=True).stdout
    found: defaultdict[str, set[int]] = defaultdict(set)
    file = ""
    for line in told.splitlines():
        if line.startswith("+++ "):
            file = str(HERE / line[6:])
        elif at := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(at[1]), int(at[2] or 1)
            found[file] |= {*range(start, start + count)}
    return found


def _examined(room: Room, mutants: list[Mutant], known: set[Key], jobs: int) -> list[Verdict]:
    """The verdicts; what survives unexplained is shown at once."""
    print(f"{room.name}: {len(mutants)} mutants", flush=True)
    started = time.monotonic()
    found = []
    for n, verdict in enumerate(examine(room, mutants, jobs), 1):
        found.append(verdict)
        if verdict.killer is None and key_of(verdict.mutant) not in known:
            show(verdict)
        if n % 250 == 0:
            print(f"  {n} after {time.monotonic() - started:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        print(f"cannot tell: {trouble}", file=sys.stderr)
        sys.exit(2)
