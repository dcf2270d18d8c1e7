"""What is told: what survives and is not explained, what is explained for nothing, the table."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.mutation.explained import Explanation, Key, draft
from tests.mutation.mutants import Mutant
from tests.mutation.rooms import HERE
from tests.mutation.trial import Verdict

COLUMNS = ("mutants", "killed", "survived", "explained")


class Report:
    """`every` are all mutants of the files asked for; `verdicts` are on those that were tried."""

    def __init__(self, every: list[Mutant], verdicts: list[Verdict], explanations: list[Explanation]) -> None:
        self.verdicts = sorted(verdicts, key=lambda it: (it.mutant.file, it.mutant.lines.start))
        alive = {key_of(it.mutant) for it in verdicts if it.killer is None}
        died = {key_of(it.mutant) for it in verdicts} - alive
        known = {key_of(it) for it in every}
        files = {key[0] for key in known}
        explained = [key for one in explanations for key in one.keys]
        self.stale = [key for key in explained if key[0] in files and (key not in known or key in died)]
        self.died = died
        self.explained = alive & {*explained}
        self.open = [
            it for it in self.verdicts if it.killer is None and key_of(it.mutant) not in self.explained
        ]

    @property
    def good(self) -> bool:
        return not self.open and not self.stale

    def show(self, seconds: float, *, drafts: bool) -> None:
        if drafts:
            print("\n" + draft([replace(it.mutant, file=name(it.mutant.file)) for it in self.open]))
        for key in self.stale:
            file, function, before, after = key
            what = "killed by now" if key in self.died else "no such mutant"
            print(f"\nstale explanation ({what}): {file} in {function}\n- {before}\n+ {after}")
        self._table()
        spent = sum(os.times()[:4])
        each = spent / max(1, len(self.verdicts))
        print(f"in {seconds:.0f} s ({spent:.0f} s of CPU, {each:.2f} s each); killed by {self._ways()}")

    def _table(self) -> None:
        rows: dict[str, Counter[str]] = {}
        for it in self.verdicts:
            row = rows.setdefault(name(it.mutant.file), Counter())
            row["mutants"] += 1
            if it.killer is not None:
                row["killed"] += 1
            else:
                row["explained" if key_of(it.mutant) in self.explained else "survived"] += 1
        rows["all"] = sum(rows.values(), Counter())
        print(f"\n{'file':<40}" + "".join(f"{column:>11}" for column in COLUMNS))
        for file, row in rows.items():
            print(f"{file:<40}" + "".join(f"{row[column]:>11}" for column in COLUMNS))

    def _ways(self) -> str:
        ways = Counter(it.way for it in self.verdicts if it.killer is not None)
        return ", ".join(f"{way} {count}" for way, count in ways.most_common()) or "nothing"


def name(file: str) -> str:
    """As it is called in reports and explanations."""
    path = Path(file)
    return path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else path.name


def key_of(mutant: Mutant) -> Key:
    """As explanations name it."""
    return name(mutant.file), mutant.function, mutant.before, mutant.after


def show(verdict: Verdict) -> None:
    mutant = verdict.mutant
    reached = f"reached by {verdict.tests} tests" if verdict.tests else "reached by no test"
    print(f"\n{name(mutant.file)}:{mutant.lines.start} in {mutant.function}, {reached}")
    print(f"- {mutant.before}\n+ {mutant.after}", flush=True)
