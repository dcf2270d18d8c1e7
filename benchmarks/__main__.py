"""`python -m benchmarks` lists the benchmarks, `python -m benchmarks NAME...` runs them, `all` runs all."""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
import time
from pathlib import Path

from benchmarks import rig

NAMES = (
    "heartbeats",
    "silence",
    "cleanup",
    "restart",
    "memory",
    "login",
    "lock",
    "commit",
    "page",
    "door_ingest",
    "link",
    "store",
    "history",
)


def about(name: str) -> str:
    """The first line of its docstring, without importing it."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def main() -> None:
    listed = "\n".join(f"  {name:12} {about(name)}" for name in NAMES)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{(__doc__ or '').strip()}\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", choices=(*NAMES, "all", []), metavar="NAME")
    parser.add_argument("--sessions", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--repeats", type=int, default=3, help="where that is cheap (3)")
    parser.add_argument("--seconds", type=float, default=5, help="of a steady load (5)")
    parser.add_argument("--history", type=int, default=0, help="store: ended sessions to begin with (0)")
    parser.add_argument("--hold", action="store_true", help="silence: leave the mass silence hold on")
    parser.add_argument("--timeout-s", type=float, default=20, help="silence, cleanup: of the sessions (20)")
    parser.add_argument("--over-s", type=float, default=10, help="silence: the wave that is spread out (10)")
    parser.add_argument("--only", default="", help="ways in, as in door,mosquitto; all unless given")
    options = parser.parse_args()
    if not options.names:
        parser.print_help()
        return
    print(rig.machine())
    for name in NAMES if "all" in options.names else options.names:
        begun = time.monotonic()
        print(f"\n## {name}: {about(name)}\n")
        importlib.import_module(f"benchmarks.{name}").run(options)
        print(f"\n({name} took {time.monotonic() - begun:.0f} s)")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
