"""Whatever a file or the environment holds: settings, or SettingsError with one line for each problem."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.settings.helpers import ENVIRON
from whosin.errors import SettingsError
from whosin.settings import Settings, load
from whosin.settings.kinds import shown
from whosin.settings.schema import SECTIONS, keys

NAMES = [(section, name) for section, shape in SECTIONS.items() for name in keys(shape)]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    text,
    st.sampled_from(["off", "auto", "127.0.0.1:0", "mqtt://b", "sqlite:///x", "~", "/", "1e999", "[::1]:1"]),
    st.dates(),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=2)
)
entries = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=8)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(mark):08x}" for mark in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(name)} = {_toml(item)}' for name, item in value.items())}}}"
    return str(value)


def _load(content: bytes, environ: dict[str, str]) -> Settings | None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "whosin.toml"
        file.write_bytes(content)
        try:
            return load(file, environ)
        except SettingsError as error:
            problems = error.problems
    assert problems
    for sentence in problems:
        assert sentence.isprintable(), sentence
        assert "; expected" in sentence or ", expected" in sentence, sentence
    return None


@example([(("mqtt", "listen_tls_cert"), "\x1f")], "desktop")  # a path that cannot be printed
@given(entries, st.sampled_from(["desktop", "kiosk", "-", "A B"]))
def test_any_values_of_the_known_keys(entries, client):
    lines = {}
    for (section, name), value in entries:
        prefix = f'client_types."{client}"' if section == "client_types" else section
        lines[f"{prefix}.{name}"] = _toml(value)
    settings = _load("\n".join(f"{key} = {value}" for key, value in lines.items()).encode(), ENVIRON)
    if settings is not None:
        settings.policy()
        settings.describe()
        settings.warnings()


@given(st.dictionaries(text, values, max_size=5))
def test_any_table(table):
    _load("\n".join(f"{_toml(name)} = {_toml(value)}" for name, value in table.items()).encode(), ENVIRON)


@given(st.binary(max_size=200))
def test_any_bytes(content):
    _load(content, ENVIRON)


@given(st.dictionaries(st.sampled_from(NAMES) | st.tuples(text, text), text, max_size=6))
def test_any_variables(variables):
    environ = {
        f"WHOSIN_{section}__{name}".replace("\0", ""): value for (section, name), value in variables.items()
    }
    with contextlib.suppress(SettingsError):
        load(None, {**ENVIRON, **environ})


@given(values)
def test_any_value_is_shown_on_one_short_line(value):
    assert shown(value).isprintable()
    assert len(shown(value)) <= 80
