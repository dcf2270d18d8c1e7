"""Every line is one line, whoever wrote what is in it, and it goes where it should."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import warnings
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tests.observe.helpers import Clock
from whosin.observe import logs
from whosin.observe.logs import Flood, clean, configure, escaped


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored():
    """The library's global state as it was."""
    root = logging.getLogger()
    level, before = root.level, list(root.handlers)
    yield
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def log():
    return structlog.get_logger("whosin.test")


@pytest.fixture
def out():
    return io.StringIO()


def fail(why: str) -> None:
    raise ValueError(why)


def parsed(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


class TestJson:
    def test_a_line_has_time_level_event_and_logger_first(self, out, log):
        configure(stream=out, environ={})
        log.info("session.disconnected", site="north", reason="silence")
        (line,) = parsed(out)
        assert list(line) == ["timestamp", "level", "event", "logger", "site", "reason"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
        assert (line["level"], line["event"], line["logger"]) == (
            "info",
            "session.disconnected",
            "whosin.test",
        )

    def test_the_time_is_when_the_line_was_made(self, out):
        configure(stream=out, environ={})
        record = logging.LogRecord("x", logging.WARNING, "f", 1, "late", None, None)
        record.created = 1_700_000_000.0429
        logging.getLogger().handle(record)
        assert parsed(out)[0]["timestamp"] == "2023-11-14T22:13:20.042Z"

    def test_the_standard_library_goes_the_same_way(self, out):
        configure(stream=out, environ={})
        logging.getLogger("concurrent.futures").warning("port %d is taken", 8787)
        (line,) = parsed(out)
        assert (line["event"], line["logger"], line["level"]) == (
            "port 8787 is taken",
            "concurrent.futures",
            "warning",
        )

    def test_libraries_lose_the_handlers_they_brought(self, out):
        library = logging.getLogger("uvicorn")
        library.addHandler(logging.StreamHandler(out))
        configure(stream=out, environ={})
        library.warning("once")
        assert len(parsed(out)) == 1

    def test_warnings_of_python_are_lines_too(self, out):
        configure(stream=out, environ={})
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", ResourceWarning, stacklevel=1)
        assert "ResourceWarning: old" in parsed(out)[0]["event"]

    def test_a_traceback_is_kept_indented_in_one_line(self, out, log):
        configure(stream=out, environ={})
        try:
            fail("x\n2023-01-01 [info] forged\x1b[31m")
        except ValueError:
            log.exception("bad")
        (line,) = parsed(out)
        assert all(part.startswith("    ") for part in line["exception"].split("\n"))
        assert "\x1b" not in line["exception"]
        assert line["exception"].endswith("forged\\x1b[31m")


class TestLevels:
    def test_what_is_below_the_level_is_not_written(self, out, log):
        handle = configure("warning", stream=out, environ={})
        log.info("no")
        log.warning("yes")
        handle.set_level("debug")
        log.debug("now")
        assert [line["event"] for line in parsed(out)] == ["yes", "now"]

    def test_chatty_libraries_stay_quiet_at_debug(self, out):
        configure("debug", stream=out, environ={})
        logging.getLogger("aiosqlite").debug("executing")
        assert out.getvalue() == ""


class TestTerminal:
    def test_people_get_colours(self, log):
        out = Terminal()
        configure(stream=out, environ={})
        log.info("session.disconnected", user="jane")
        assert "\x1b[" in out.getvalue()
        assert "jane" in out.getvalue()

    @pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_unless_they_do_not_want_them(self, log, environ):
        out = Terminal()
        configure(stream=out, environ=environ)
        log.info("session.disconnected", user="jane")
        assert "\x1b[" not in out.getvalue()
        assert re.search(
            r"^\d\d:\d\d:\d\d \[info +\] session\.disconnected +user=jane$", out.getvalue().strip()
        )

    def test_json_can_be_asked_for_on_a_terminal(self, log):
        out = Terminal()
        configure(format="json", stream=out, environ={})
        log.info("x")
        assert parsed(out)[0]["event"] == "x"

    def test_the_console_can_be_asked_for_elsewhere_and_has_no_colours(self, log, out):
        configure(format="console", stream=out, environ={})
        log.info("x", reason="a b user=root")
        assert "\x1b" not in out.getvalue()
        assert "reason='a b user=root'" in out.getvalue()

    def test_a_stranger_cannot_add_a_line_or_a_colour(self, log, out):
        configure(format="console", stream=out, environ={})
        log.info("x", user="\x1b[31mjane\n2026-01-01T00:00:00.000Z [info] forged", **{"k\ney": 1})
        try:
            fail("\n2026 forged")
        except ValueError:
            log.exception("y\r\nz")
        assert "\x1b" not in out.getvalue()
        lines = out.getvalue().splitlines()
        assert [line for line in lines if not re.match(r"\d\d:\d\d:\d\d |    ", line)] == []
        assert sum(not line.startswith("    ") for line in lines) == 2


class TestJournal:
    @pytest.fixture
    def stream(self, tmp_path):
        with (tmp_path / "out").open("w+", encoding="utf-8") as stream:
            yield stream

    @staticmethod
    def environ(stream) -> dict[str, str]:
        found = os.fstat(stream.fileno())
        return {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}

    @staticmethod
    def text(stream) -> str:
        stream.seek(0)
        return stream.read()

    def test_lines_begin_with_their_priority(self, stream, log):
        configure("debug", stream=stream, environ=self.environ(stream))
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)("x")
        assert [line[:4] for line in self.text(stream).splitlines()] == [
            "<7>{",
            "<6>{",
            "<4>{",
            "<3>{",
            "<2>{",
        ]

    def test_only_if_this_stream_is_the_journals(self, stream, log):
        configure(stream=stream, environ={"JOURNAL_STREAM": "1:1"})
        log.info("x")
        assert self.text(stream).startswith("{")

    def test_only_if_the_format_is_auto(self, stream, log):
        configure(format="json", stream=stream, environ=self.environ(stream))
        log.info("x")
        assert self.text(stream).startswith("{")


class TestFile:
    def test_it_holds_json_whatever_the_stream_holds(self, tmp_path, log):
        file = tmp_path / "logs" / "whosin.log"
        out = Terminal()
        handle = configure(file=file, stream=out, environ={})
        log.info("x", user="jané")
        handle.close()
        assert json.loads(file.read_text(encoding="utf-8"))["user"] == "jané"
        assert out.getvalue()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
    def test_only_its_owner_may_read_it_also_after_a_rotation(self, tmp_path, monkeypatch, log):
        monkeypatch.setattr(logs, "FILE_BYTES", 300)
        file = tmp_path / "whosin.log"
        handle = configure(file=file, environ={})
        for _ in range(5):
            log.info("x" * 100)
        handle.close()
        files = sorted(tmp_path.iterdir())
        assert len(files) > 1
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}

    def test_the_oldest_go_and_the_newest_is_the_first(self, tmp_path, monkeypatch, log):
        monkeypatch.setattr(logs, "FILE_BYTES", 150)
        file = tmp_path / "whosin.log"
        handle = configure(file=file, environ={})
        for number in range(9):
            log.info(f"{number}".ljust(60, "."))
        handle.close()
        kept = [file, *(tmp_path / f"whosin.log.{number}" for number in range(1, logs.FILES_KEPT + 1))]
        assert sorted(tmp_path.iterdir()) == sorted(kept)
        assert [json.loads(path.read_text())["event"][0] for path in kept] == list("876543")

    def test_no_line_is_lost_while_somebody_reads_a_file_and_so_forbids_renaming_it(
        self, tmp_path, monkeypatch, log
    ):
        monkeypatch.setattr(logs, "FILE_BYTES", 150)
        read = {tmp_path / "whosin.log.2"}
        file = tmp_path / "whosin.log"
        handle = configure(file=file, environ={})
        for number in range(4):
            log.info(f"{number}".ljust(60, "."))
        renamed = Path.replace

        def forbidden(path, target):
            if read & {path, Path(target)}:
                raise PermissionError(13, "it is being used by another process")
            return renamed(path, target)

        monkeypatch.setattr(Path, "replace", forbidden)
        for number in range(4, 8):
            log.info(f"{number}".ljust(60, "."))
            read.add(file)
        read.clear()
        monkeypatch.setattr(logs._File, "_not_before", -1.0)
        for target in logging.getLogger().handlers[-1].targets:
            del target._not_before
        log.info("8".ljust(60, "."))
        handle.close()
        told = [path.read_text() for path in tmp_path.iterdir()]
        found = sorted(json.loads(line)["event"][0] for text in told for line in text.splitlines())
        assert found == list("012345678")
        assert len(file.read_text().splitlines()) == 1

    def test_one_that_cannot_be_opened_is_an_os_error(self, tmp_path):
        with pytest.raises(OSError, match=r"Is a directory|Permission"):
            configure(file=tmp_path, environ={})

    def test_without_stream_and_file_nothing_happens(self, log):
        configure(environ={})
        log.info("x")


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_broken_stream_does_not_stop_anything(log, capsys):
    configure(stream=Broken(), environ={})
    log.info("x")
    assert capsys.readouterr().err == ""


class TestFloods:
    def test_one_line_tells_what_was_suppressed(self, out, log):
        clock = Clock()
        handle = configure(stream=out, environ={}, flood=Flood(2, clock))
        for _ in range(5):
            log.info("a")
            logging.getLogger("noisy").warning("b %d", _)
        clock.now += 1
        handle.flush()
        lines = parsed(out)
        assert [line["event"] for line in lines] == ["a", "b 0", "a", "b 1", "log.suppressed"]
        assert lines[-1]["lines"] == {"a": 3, "noisy": 3}
        assert lines[-1]["level"] == "warning"

    def test_the_next_line_of_any_event_brings_it_too(self, out, log):
        clock = Clock()
        configure(stream=out, environ={}, flood=Flood(1, clock))
        log.info("a")
        log.info("a")
        clock.now += 1
        log.info("b")
        assert [line["event"] for line in parsed(out)] == ["a", "log.suppressed", "b"]

    def test_closing_tells_the_rest(self, out, log):
        handle = configure(stream=out, environ={}, flood=Flood(1, Clock()))
        log.info("a")
        log.info("a")
        handle.close()
        assert parsed(out)[-1]["lines"] == {"a": 1}
        log.info("nobody hears this")
        assert len(parsed(out)) == 2


def test_configuring_again_replaces_what_was(log):
    first, second = io.StringIO(), io.StringIO()
    configure(stream=first, environ={})
    configure(stream=second, environ={})
    log.info("x")
    assert first.getvalue() == ""
    assert len(parsed(second)) == 1


class TestSecrets:
    @pytest.mark.parametrize(
        "key",
        [
            "password",
            "Authorization",
            "token",
            "admin_token",
            "clientSecret",
            "secret-hash",
            "COOKIE",
            "credentials",
        ],
    )
    def test_never_leave_by_their_key(self, out, log, key):
        configure(stream=out, environ={})
        log.info("x", **{key: "geheim"}, inner=[{key: {"deep": "geheim"}}])
        assert "geheim" not in out.getvalue()
        assert out.getvalue().count("[hidden]") == 2

    @pytest.mark.parametrize(
        "text",
        [
            "mqtt://jane:geheim@broker",
            "Authorization: Basic geheim",
            "GET /?token=geheim HTTP/1.1",
            "bearer geheim",
            "password=geheim, more",
        ],
    )
    def test_never_leave_inside_a_text(self, text):
        assert "geheim" not in escaped(text)
        assert "[hidden]" in escaped(text)

    def test_the_number_of_a_lock_is_no_secret(self):
        assert clean({"token": 17, "tokens": ["a"]}) == {"token": 17, "tokens": ["a"]}

    @pytest.mark.parametrize(
        "text", ["jane@example.com", "a token of thanks", "the password was wrong", "x=1"]
    )
    def test_other_texts_stay_as_they_are(self, text):
        assert escaped(text) == text


class TestCleaning:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("Zoë Ω 日本", "Zoë Ω 日本"),
            ("a\tb\r\n\x00\x7f", "a\\tb\\r\\n\\x00\\x7f"),
            ("\u202eabc\u200b\u2028", "\\u202eabc\\u200b\\u2028"),
            ("\ud800", "\\ud800"),
            (b"ok \xff\x1b", "ok \\xff\\x1b"),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            (1 << 64, "[a long number]"),
            ((1 << 64) - 1, (1 << 64) - 1),
            (None, None),
            (True, True),
            ({1, 2}, [1, 2]),
            (ValueError("x"), "x"),
        ],
    )
    def test_values_become_printable(self, value, shown):
        assert clean(value) == shown

    def test_long_texts_are_cut_and_say_so(self):
        assert escaped("x" * 500) == "x" * 500
        assert escaped("x" * 501) == "x" * 500 + "… (501 characters)"

    def test_deep_and_wide_values_are_cut(self):
        deep: list = []
        deep.append(deep)
        assert "…" in str(clean(deep))
        assert len(clean(list(range(1000)))) == logs.MOST_ITEMS


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.text(), st.dictionaries(st.text(min_size=1), anything, max_size=4))
def test_whatever_is_logged_is_one_line_of_json(event, fields):
    out = io.StringIO()
    handle = configure(stream=out, environ={}, flood=Flood(1000, Clock()))
    record = logging.LogRecord("x", logging.INFO, "f", 1, {"event": event, **fields}, None, None)
    record.__dict__.update(_logger=logging.getLogger("x"), _name="info")
    logging.getLogger().handle(record)
    handle.close()
    assert out.getvalue().count("\n") == 1
    assert all(mark.isprintable() for mark in out.getvalue()[:-1])
    json.loads(out.getvalue())
