"""What is examined, and by which tests."""

from __future__ import annotations

from pathlib import Path

from tests.mutation.survey import Room

HERE = Path(__file__).resolve().parents[2]
DAEMON = HERE / "daemon"
WHOSIN = DAEMON / "whosin"


def _all(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(file for file in folder.glob("*.py") if file.name != "__init__.py"))


ROOMS = (
    Room(
        "codec", DAEMON, _all(WHOSIN / "mqtt" / "codec"), (HERE / "tests" / "mqtt" / "codec",),
        without=("takes_time_in_proportion",),
    ),
    Room("wire", DAEMON, (WHOSIN / "wire.py",), (HERE / "tests" / "wire",)),
    Room(
        "rules", DAEMON, _all(WHOSIN / "rules"), (HERE / "tests" / "rules",),
        without=(
            "ten_thousand", "hundred_thousand", "thousands", "a_thousand_locks",  # about time
            "TestAgainstOracle", "TestCrowd",  # long random histories: what they find in a few is luck
        ),
    ),
)  # fmt: skip
