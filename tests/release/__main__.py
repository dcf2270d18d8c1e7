"""Is the last commit a release, and what would it hand out? See docs/release.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.release import archives, building, facts, installing, licences, pythons
from tests.release.building import ELSEWHERE, CommandFailed
from tests.release.report import Report

ROOT = Path(__file__).parents[2]


def main() -> int:
    asked = _arguments()
    about = facts.read(ROOT)
    report = Report(f"Whosin {about.version} at {about.commit[:12]}")
    _facts(report, about, rehearsal=asked.rehearsal or asked.quick)
    if not asked.facts:
        with tempfile.TemporaryDirectory(prefix="whosin-release-") as ground:
            Check(report, about, Path(ground), asked).all()
    return report.end()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    add = parser.add_argument
    add(
        "--rehearsal",
        action="store_true",
        help="only tell what makes the commit no release yet; write nothing",
    )
    add("--quick", action="store_true", help="a rehearsal on this Python alone, without its tests")
    add("--facts", action="store_true", help="only what git and the changelog say")
    add("--python", type=Path, action="append", default=[], metavar="PATH", help="one more to install it on")
    add("--dist", type=Path, default=ROOT / "dist", metavar="FOLDER", help="where the files of a release go")
    return parser.parse_args()


def _facts(report: Report, about: facts.Facts, *, rehearsal: bool) -> None:
    report.wrong("the version is one", facts.contradictions(about))
    missing = facts.missing_for_a_release(about)
    if rehearsal and missing:
        report.left_out("it is a release", "; ".join(missing))
    else:
        report.wrong("it is a release", missing)
    if not (ROOT / "LICENSE").is_file():
        report.wrong("it has a licence", ["there is no LICENSE: nobody may use or pass on what has none"])


class Check:
    """What is made of the commit, looked at from all sides. `ground` is a folder that goes afterwards."""

    def __init__(self, report: Report, about: facts.Facts, ground: Path, asked: argparse.Namespace) -> None:
        self.report, self.about, self.ground, self.asked = report, about, ground, asked
        self.pythons = pythons.find(asked.python)
        if asked.quick:
            here = sys.version_info[:2]
            self.pythons = {here: self.pythons[here]}

    def all(self) -> None:
        self.report.wrong("every licence is known and allowed", licences.licences()[1])
        try:
            self.source = building.clone(ROOT, self.ground / "source", tag=self.about.tag)
            made = self._built()
            self._built_again(made)
        except CommandFailed as failed:
            self.report.wrong("it can be built", [str(failed)])
            return
        self._contents()
        for number in pythons.supported():
            self._on(number)
        if self.report.good:
            self._hand_out(made)

    def _built(self) -> dict[str, bytes]:
        python = building.builder(
            self.ground / "builder", Path(sys.executable), ROOT / "requirements-build.lock"
        )
        self.handed = self.ground / "handed"
        began = time.time()
        made = building.build(self.source, self.handed, python, self.about.committed_s)
        building.write(made, self.handed)
        building.let_time_pass(began)
        names = [f"whosin-{self.about.version}-py3-none-any.whl", f"whosin-{self.about.version}.tar.gz"]
        self.report.wrong(
            "it can be built", [f"{made.keys()} were built; expected {names}"] * ([*made] != names)
        )
        return made

    def _built_again(self, made: dict[str, bytes]) -> None:
        """By the documented commands, in other circumstances."""
        folder = self.ground / "some where else"
        building.write(made, folder)
        sums, installed, from_archive, from_commit = building.documented()
        unpack = installed.splitlines()[0]
        newest = self.pythons[max(self.pythons)]
        environ = {"VERSION": self.about.version, "REPOSITORY": str(self.source)}
        building.type_in(
            f"{sums}\n{unpack}\n{from_archive}\ncd ..\n{from_commit}", folder, newest, ELSEWHERE, **environ
        )
        for where in ("from-archive", "from-commit"):
            again = building.archives_in(folder / where)
            self.report.wrong(
                f"built again, {where}, it is the same", building.differences(made, again, where)
            )

    def _contents(self) -> None:
        (self.sdist,), (self.wheel,) = self.handed.glob("*.tar.gz"), self.handed.glob("*.whl")
        wheel, sdist = archives.wheel(self.wheel), archives.sdist(self.sdist)
        known = {name: (self.source / name).read_bytes() for name in _known(self.source)}
        runnable = _known(self.source, "100755")
        report, version = self.report.wrong, self.about.version
        report("the wheel has the package and nothing else", archives.wrong_in_wheel(wheel, version, known))
        report("the sdist has the commit and nothing else", archives.wrong_in_sdist(sdist, known, runnable))
        report("all is dated by the commit", archives.wrong_dates(wheel, sdist, self.about.committed_s))
        report("nothing is secret", archives.secrets(wheel) + archives.secrets(sdist))
        places = {ROOT, self.ground, Path.home()}
        report("nothing knows this machine", archives.traces(wheel, places) + archives.traces(sdist, places))

    def _on(self, number: pythons.Number) -> None:
        name = f"Python {number[0]}.{number[1]}"
        if number not in self.pythons:
            why = (
                "left out by --quick"
                if self.asked.quick
                else "not found on this machine; --python PATH names one"
            )
            self.report.left_out(name, why)
            return
        folder = self.ground / name.replace(" ", "-").lower()
        building.write(building.archives_in(self.handed), folder)
        try:
            environment = installing.install(folder, self.pythons[number])
        except CommandFailed as failed:
            self.report.wrong(f"{name}: it installs from the lock", [str(failed)])
            return
        self.report.wrong(
            f"{name}: installed, it runs", installing.wrong(environment, self.about.version, self.source)
        )
        if not self.asked.quick:
            self._more_on(name, folder, environment)

    def _more_on(self, name: str, folder: Path, environment: Path) -> None:
        """What takes long: the tests, from the sdist, and then the extras."""
        source = building.unpacked(self.sdist, folder / "source")
        failed = installing.tests_fail(environment, source, source / "requirements-test.lock")
        self.report.wrong(f"{name}: its tests pass", [failed] * bool(failed))
        wrong = installing.wrong_with_extras(environment, source / "requirements-extras.lock")
        self.report.wrong(f"{name}: with the extras too, it runs", wrong)

    def _hand_out(self, made: dict[str, bytes]) -> None:
        if not (self.asked.rehearsal or self.asked.quick):
            building.write(made, self.asked.dist)
            self.report.say(f"written to {self.asked.dist}:")
        self.report.say(building.sums(made).rstrip())


def _known(source: Path, mode: str = "") -> list[str]:
    """The files of the commit, if wished only those of one mode."""
    lines = facts.git(source, "ls-files", "--stage", "-z").split("\0")
    return [line.partition("\t")[2] for line in lines if line and line.startswith(mode)]


if __name__ == "__main__":
    sys.exit(main())
