"""What the tests of settings share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from whosin.errors import SettingsError
from whosin.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"HOME": "/home/jane"}


def read(tmp_path: Path, text: str | bytes, **environ: str) -> Settings:
    """The settings of a file with this text."""
    file = tmp_path / "whosin.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(file, {**ENVIRON, **environ})


def problems(tmp_path: Path, text: str | bytes, **environ: str) -> list[str]:
    """The sentences that refuse this text, the folder taken off."""
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text, **environ)
    return [sentence.replace(f"{tmp_path}{os.sep}", "") for sentence in refused.value.problems]


def problem(tmp_path: Path, text: str | bytes, **environ: str) -> str:
    """The one sentence that refuses this text."""
    (only,) = problems(tmp_path, text, **environ)
    return only
