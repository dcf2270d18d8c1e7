"""An installation to be looked at: settings of its own, nothing of the machine that runs the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.ports import free_port
from whosin.doctor.patient import Patient
from whosin.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from whosin.doctor import Finding, Level


class Found(list["Finding"]):
    """What checks said."""

    def of(self, check: str) -> list[tuple[str, str, str]]:
        return [(str(one.level), one.found, one.advice) for one in self if one.check == check]

    def levels(self, check: str) -> list[Level]:
        return [one.level for one in self if one.check == check]


@pytest.fixture
def patient(tmp_path: Path) -> Callable[..., Patient]:
    """With these settings, and what is said besides of the patient; the daemon does not run."""
    (tmp_path / "data").mkdir(mode=0o700)

    def made(text: str = "", **more: Any) -> Patient:
        file = tmp_path / "whosin.toml"
        mqtt = "" if "[mqtt]" in text else f'[mqtt]\nlisten = "127.0.0.1:{free_port()}"\n'
        http = "" if "[http]" in text else f'[http]\nlisten = "127.0.0.1:{free_port()}"\n'
        file.write_text(f'[daemon]\nname = "test"\ndata_dir = "{tmp_path / "data"}"\n{mqtt}{http}{text}')
        return Patient(load(file, {}), **more)

    return made


@pytest.fixture
def look() -> Callable[[Iterator[Finding]], Found]:
    return Found
