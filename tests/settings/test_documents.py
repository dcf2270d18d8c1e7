"""The documents are those of the code."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.settings.helpers import ENVIRON, read
from whosin.settings import __main__ as command
from whosin.settings import documents, load
from whosin.settings.schema import SECTIONS, TYPE_DEFAULTS, keys

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("file", "make"), [("docs/settings.md", documents.markdown), ("config/whosin.toml", documents.toml)]
)
def test_the_file_is_up_to_date(file, make):
    assert (ROOT / file).read_text(encoding="utf-8") == make(), "make it anew with python -m whosin.settings"


def test_every_key_of_the_file_with_its_hash_removed_has_its_default(tmp_path):
    text, count = re.subn(
        r"(?m)^#([a-z_]+ = )", r"\1", (ROOT / "config/whosin.toml").read_text(encoding="utf-8")
    )
    plain = [shape for section, shape in SECTIONS.items() if section != "alerts.channels"]
    assert count == sum(len(keys(shape)) for shape in plain) + (len(TYPE_DEFAULTS) - 1) * 5
    found = dataclasses.replace(read(tmp_path, text), file=None, origins={})
    assert found == load(None, ENVIRON)


def test_the_file_as_it_is_sets_nothing():
    assert load(ROOT / "config/whosin.toml", ENVIRON).origins == {}


def test_every_key_is_in_the_table():
    table = documents.markdown()
    for section, shape in SECTIONS.items():
        assert f"## `[{section}" in table
        for name in keys(shape):
            assert f"| `{name}` |" in table


def test_the_command_prints_either(capsys, monkeypatch):
    monkeypatch.setattr(command.sys.stdout, "reconfigure", lambda **_: None, raising=False)
    assert command.main(["--markdown"]) == 0
    assert capsys.readouterr().out == documents.markdown()
    assert command.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_importing_the_settings_brings_no_heavy_library():
    code = (
        "import sys, whosin.settings\n"
        "heavy = {'pydantic', 'asyncio', 'structlog', 'logging', 'rich', 'msgspec'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
