"""Suites of the project run by a Windows Python under Wine: the loop, the door, files, the log, the
settings."""

from __future__ import annotations

import os
import re

import pytest

SUITES = {
    "loop and door": [
        "tests/windows/inside_loop.py", "tests/listening", "tests/mqtt/door/test_real_clients.py",
    ],
    "files": [
        "tests/store/test_opening.py", "tests/store/test_backup.py", "tests/store/test_crash.py",
        "tests/observe/test_logs.py", "tests/settings/test_kinds.py", "tests/wire/test_outwards.py",
    ],
}  # fmt: skip


ALONE = "addopts=--strict-markers --strict-config --import-mode=importlib"  # xdist is not there


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_passes_on_windows(windows, name):
    done = windows.run(
        "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-o", ALONE,
        "--basetemp", rf"C:\{name.replace(' ', '-')}-{os.getpid()}", *SUITES[name],
        limit_s=300, environ={"CI": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20
