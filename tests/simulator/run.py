"""Seeds run one by one or by several processes; failing ones are told, replayed, shrunk.

Owns the command line. Must not know what happens in a run.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import multiprocessing
import os
import shutil
import time
import traceback
from dataclasses import dataclass, replace

from tests.simulator import script as script_room
from tests.simulator import without as without_room
from tests.simulator.disk import scratch
from tests.simulator.script import Script
from tests.simulator.stage import Stage

TAIL = 40


@dataclass
class Result:
    """`digest` is of the whole story: two runs of a seed have the same."""

    seed: int
    violations: list[str]
    digest: str
    story: list[str]
    virtual_s: float
    events: int
    judged: int
    exact: int


def play(script: Script) -> Result:
    """One run from beginning to end, always the same."""
    folder = scratch(f"whosin-simulator-{os.getpid()}")
    collecting = gc.isenabled()
    gc.disable()
    stage = Stage(script, folder)
    try:
        try:
            stage.run()
        except Exception:  # noqa: BLE001 - a run that breaks off is a failing one
            stage.world.wrong(traceback.format_exc())
        world = stage.world
        story = [f"{at / 1000:9.3f} {who:10s} {what}" for at, who, what in world.story]
        seen = stage.witness.published
        digest = hashlib.sha256(
            "\n".join(story + [repr(sorted(seen[where].items())) for where in seen]).encode()
        ).hexdigest()
        events = len(seen["broker"]) or len(seen["door"])
        return Result(
            script.seed, world.violations, digest[:16], story, world.now / 1000, events,
            stage.oracle.judged, stage.oracle.exact,
        )  # fmt: skip
    finally:
        stage.close()
        if collecting:
            gc.enable()


def play_seed(seed: int) -> Result:
    return play(script_room.draw(seed))


def shrink(script: Script, *, most_runs: int = 400) -> Script:
    """A shorter script that fails as well: acts and people are left out as long as it does (ddmin)."""
    runs = 0

    def fails(candidate: Script) -> bool:
        nonlocal runs
        runs += 1
        return bool(play(candidate).violations)

    acts = list(script.acts)
    pieces = 2
    while len(acts) >= 2 and runs < most_runs:
        size = max(1, len(acts) // pieces)
        for at in range(0, len(acts), size):
            rest = acts[:at] + acts[at + size :]
            if fails(replace(script, acts=rest)):
                acts = rest
                pieces = max(2, pieces - 1)
                break
            if runs >= most_runs:
                break
        else:
            if size == 1:
                break
            pieces = min(len(acts), pieces * 2)
    arrived = {act.who for act in acts}
    people = {ident: who for ident, who in script.people.items() if ident in arrived}
    smaller = replace(script, acts=acts, people=people)
    return smaller if fails(smaller) else replace(script, acts=acts)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="S", help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--story", action="store_true", help="print all that happens")
    parser.add_argument(
        "--shrink", action="store_true", help="look for a short story of the first failing seed"
    )
    parser.add_argument("--most", type=int, default=5, help="stop after so many failing seeds")
    parser.add_argument(
        "--without", choices=without_room.NAMES, help="switch a protection off: then it must fail"
    )
    options = parser.parse_args(argv)
    if options.without:
        without_room.switch_off(options.without)
    began, cpu = time.monotonic(), time.process_time()
    failed: list[int] = []
    done = virtual = events = judged = exact = 0
    for result in _results(options):
        done += 1
        virtual += result.virtual_s
        events += result.events
        judged += result.judged
        exact += result.exact
        if options.story:
            print("\n".join(result.story))
        if result.violations:
            failed.append(result.seed)
            _tell(result, story=not options.story)
        if len(failed) >= options.most:
            break
        if done % 500 == 0:
            print(f"{done} seeds, {len(failed)} failed, {time.monotonic() - began:.0f} s", flush=True)
    _cleanup()
    own = time.process_time() - cpu + sum(os.times()[2:4])
    print(
        f"{done} seeds from {options.first}: {len(failed)} failed {failed or ''}; {virtual / 3600:.1f}"
        f" virtual hours, {events} events published, {judged} disconnects judged, {exact} of them to the"
        " millisecond;"
        f" {own / max(1, done) * 1000:.0f} ms of CPU a seed"
    )
    if failed and options.shrink:
        _shrink(failed[0])
    return 1 if failed else 0


def _results(options: argparse.Namespace):
    seeds = range(options.first, options.first + options.seeds)
    if options.jobs == 1:
        yield from map(play_seed, seeds)
        return
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        yield from pool.imap(_play_briefly, seeds, chunksize=4)


def _play_briefly(seed: int) -> Result:
    result = play_seed(seed)
    if not result.violations:
        result.story = []
    return result


def _tell(result: Result, *, story: bool) -> None:
    print(f"\nseed {result.seed} fails:")
    if story:
        print("\n".join(result.story[-TAIL:]))
    print("\n".join(f"  {claim}" for claim in result.violations[:10]))
    print(f"  again: python -m tests.simulator --from {result.seed} --seeds 1 --story", flush=True)


def _shrink(seed: int) -> None:
    short = shrink(script_room.draw(seed))
    result = play(short)
    print(f"\nseed {seed}, shortened to {len(short.acts)} acts:")
    print("\n".join(map(str, short.acts)))
    print("\n".join(result.story[-TAIL * 2 :]))
    print("\n".join(f"  {claim}" for claim in result.violations[:10]))


def _cleanup() -> None:
    base = scratch("").resolve()
    for folder in base.glob(f"whosin-simulator-{os.getpid()}*"):
        shutil.rmtree(folder, ignore_errors=True)
