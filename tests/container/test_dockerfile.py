"""The container's file: what it promises, and that the daemon runs and is healthy the way it says.

No engine is needed, and none is used: the image itself is not built here.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs import arguments, pages
from tests.house import repository
from tests.support.daemon import WHOSIN
from tests.support.ports import free_port
from whosin.service.unit import STOP_S

TEXT = (repository.ROOT / "config/container/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
STEPS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
PAGE = "docs/install-container.md"
COMMANDS = [words for one in pages.blocks(PAGE) for words in arguments.simple_commands(one.text)]


def last(step: str) -> str:
    return [text for name, text in STEPS if name == step][-1]


def test_it_runs_as_a_user_that_is_not_root_and_stores_in_one_folder():
    assert int(last("USER")) > 0
    assert json.loads(last("VOLUME")) == ["/data"]


def test_packages_are_those_of_the_lock():
    installs = [text for name, text in STEPS if name == "RUN" and "pip install" in text]
    assert "--require-hashes -r /build/requirements.lock" in installs[0]
    assert all("--no-deps" in text for text in installs)
    assert all("--require-hashes" in text or "--no-index" in text for text in installs)


def test_what_it_copies_is_there():
    for name, text in STEPS:
        if name == "COPY" and not text.startswith("--from"):
            for source in text.split()[:-1]:
                assert (repository.ROOT / source).exists()


def test_the_page_tells_its_user_publishes_what_it_listens_at_and_keeps_what_it_stores():
    build, run, *_ = [words for words in map(_docker, COMMANDS) if words]
    assert build[build.index("-f") + 1] == "config/container/Dockerfile"
    assert (repository.ROOT / build[build.index("-f") + 1]).exists()
    published = {word.rpartition(":")[2] for word in _after(run, "--publish")}
    assert published == set(last("EXPOSE").split())
    assert [word.partition(":")[2] for word in _after(run, "--volume")] == json.loads(last("VOLUME"))
    assert f"user {last('USER')}" in (repository.ROOT / PAGE).read_text(encoding="utf-8")
    assert int(*_after(run, "--stop-timeout")) >= STOP_S


def _docker(words: list[str]) -> list[str]:
    return words[1:] if words[0] == "docker" else []


def _after(words: list[str], option: str) -> list[str]:
    return [after for word, after in pairwise(words) if word == option]


@pytest.fixture
def environ(tmp_path):
    """Its variables, on ports and in a folder of ours, and nothing else: no home, no terminal."""
    found = dict(re.findall(r"(\w+)=(\S+)", last("ENV")))
    assert set(found) >= {"WHOSIN_DAEMON__DATA_DIR", "WHOSIN_MQTT__LISTEN", "WHOSIN_HTTP__LISTEN"}
    return {
        **found,
        "PATH": f"{Path(WHOSIN).parent}:/usr/bin:/bin",
        "WHOSIN_DAEMON__DATA_DIR": str(tmp_path / "data"),
        "WHOSIN_MQTT__LISTEN": f"0.0.0.0:{free_port()}",
        "WHOSIN_HTTP__LISTEN": f"0.0.0.0:{free_port()}",
    }


def test_with_its_settings_the_daemon_runs_and_its_health_check_says_so(environ, tmp_path):
    check = json.loads(last("HEALTHCHECK").partition("CMD")[2])
    start = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    process = subprocess.Popen(
        start, env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 60
        while (
            done := subprocess.run(check, env=environ, capture_output=True, text=True, check=False)
        ).returncode:
            assert process.poll() is None
            assert time.monotonic() < end, done.stderr
            time.sleep(0.2)
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
    assert subprocess.run(check, env=environ, capture_output=True, check=False).returncode == 3
