"""How log lines look and where they go: structlog and the standard library's logging, through one door.

Owns formats, escaping, redaction, the file, and the brake on floods. Must not know which events there are.

A line is JSON, unless a person looks on: on a terminal it is aligned and coloured (NO_COLOR is respected).
Under systemd's journal it begins with its priority, `<N>`. Text of strangers cannot forge a line, colour the
terminal or fill the disk: what is not printable is escaped, what is long is cut, what is secret is replaced.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from io import TextIOWrapper
from itertools import pairwise
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

import msgspec
import structlog

from whosin.privacy import make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["auto", "console", "json"]

HIDDEN = "[hidden]"
LONGEST = 500  # characters of one value
LONGEST_TRACE = 20_000
DEEPEST = 6
MOST_ITEMS = 100
FILE_BYTES = 20 * 1024 * 1024
FILES_KEPT = 5
ROTATE_AGAIN_S = 60.0  # after it could not be done
LINES_PER_S = 200  # of one event; about 1 % of a core

_SECRET_WORDS = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "apikey",
    ]
)
_SECRET_TEXT = re.compile(
    r"(?i)(://)[^/@\s]*(?=@)"
    r"|(\bbearer\s+|\bauthorization:\s*\w+\s+|\b(?:password|secret|token|api_?key)=)[^\s&,;\"']+"
)
_PRIORITY = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_FIRST = ("timestamp", "level", "event", "logger")
_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access")  # libraries that would bring some
_CHATTY = ("aiosqlite", "asyncio")  # at debug


# --- floods ----------------------------------------------------------------------------------------


class Flood:
    """At most `limit` lines of one event in a second; the rest is counted. `clock` is in seconds."""

    def __init__(self, limit: int = LINES_PER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._since = clock()
        self._written: dict[str, int] = {}
        self._suppressed: dict[str, int] = {}
        self._ready: dict[str, int] = {}

    def admit(self, event: str) -> bool:
        """Whether a line of this event may be written now; one that may not is counted."""
        with self._lock:
            self._roll()
            written = self._written.get(event, 0)
            if written < self._limit:
                self._written[event] = written + 1
                return True
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return False

    def full(self, event: str) -> bool:
        """`not admit(event)`, but a line that may be written is not counted yet: ask before making one."""
        with self._lock:
            self._roll()
            if self._written.get(event, 0) < self._limit:
                return False
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return True

    def suppress(self, event: str, count: int) -> None:
        """So many more lines of this event are not written: whoever asks found it full a moment ago."""
        with self._lock:
            self._roll()
            self._suppressed[event] = self._suppressed.get(event, 0) + count

    def suppressed(self, *, now: bool = False) -> dict[str, int]:
        """What was suppressed in seconds that are over (with `now`, in this one too), told once."""
        with self._lock:
            self._roll()
            if now:
                self._close()
            told, self._ready = self._ready, {}
            return told

    def _roll(self) -> None:
        at = self._clock()
        if at - self._since >= 1:
            self._since = at
            self._written.clear()
            self._close()

    def _close(self) -> None:
        for event, count in self._suppressed.items():
            self._ready[event] = self._ready.get(event, 0) + count
        self._suppressed.clear()


# --- what a line may hold --------------------------------------------------------------------------


def clean(value: Any, depth: int = 0) -> Any:
    """The value with all text printable and short, and without secrets."""
    if isinstance(value, str):
        return escaped(value)
    if value is None or (isinstance(value, int) and -(1 << 63) <= value < 1 << 64):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return "[a long number]"
    if isinstance(value, bytes | bytearray | memoryview):
        return escaped(bytes(value[:LONGEST]).decode("utf-8", "backslashreplace"))
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, dict):
        pairs = list(value.items())[:MOST_ITEMS]
        return {escaped(str(key)): hide(str(key), item, depth + 1) for key, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, depth + 1) for item in list(value)[:MOST_ITEMS]]
    return escaped(str(value))


def hide(key: str, value: Any, depth: int = 0) -> Any:
    """`clean`, or HIDDEN where the key is a secret's. A whole number is none: locks have such tokens."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower())
    if not _SECRET_WORDS.isdisjoint(words) and not isinstance(value, int) and value is not None:
        return HIDDEN
    return clean(value, depth)


def escaped(text: str, longest: int = LONGEST) -> str:
    """One printable line of at most `longest` characters; what looks like a secret is replaced."""
    cut = text[:longest]
    if " " in cut or "=" in cut or "@" in cut:
        cut = _SECRET_TEXT.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", cut)
    if not cut.isprintable():
        cut = "".join(mark if mark.isprintable() else _escape(mark) for mark in cut)
    return cut if len(text) <= longest else f"{cut}… ({len(text)} characters)"


def _escape(mark: str) -> str:
    return mark.encode("unicode_escape", "surrogatepass").decode("ascii")


def _cleaned(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Put the fields in order and clean them; a traceback keeps its lines, indented so none can be forged."""
    trace = line.pop("exception", None)
    stack = line.pop("stack", None)
    kept = {name: clean(line.pop(name)) for name in _FIRST if name in line}
    kept.update((escaped(name), hide(name, value)) for name, value in line.items())
    for name, text in (("exception", trace), ("stack", stack)):
        if text:
            kept[name] = "\n".join(f"    {escaped(part)}" for part in str(text)[-LONGEST_TRACE:].split("\n"))
    return kept


def _stamped(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """The moment the line was made, which is not always when it is written."""
    at = datetime.fromtimestamp(line["_record"].created, UTC)
    line["timestamp"] = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    return line


# --- how it is written -----------------------------------------------------------------------------


def _json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return msgspec.json.encode(line).decode()


def _journal(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return f"<{_PRIORITY.get(str(line.get('level')), 6)}>{msgspec.json.encode(line).decode()}"


def _for_people(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Somebody watches: the time of day will do, and who of us says it matters little."""
    line["timestamp"] = line["timestamp"][11:19]
    for name in ("at", "logger"):
        line.pop(name, None)
    return line


def _formatter(*last: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        processors=[
            _stamped,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _cleaned,
            *last,
        ],
    )


def _stream_formatter(style: Format, stream: TextIO, environ: Mapping[str, str]) -> logging.Formatter:
    terminal = stream.isatty()
    if style == "console" or (style == "auto" and terminal):
        colours = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        if sys.platform == "win32":
            colours = colours and find_spec("colorama") is not None
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours,
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=22,
        )
        return _formatter(_for_people, renderer)
    return _formatter(_journal if style == "auto" and _is_journal(stream, environ) else _json)


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether this very stream leads to systemd's journal, which names it in JOURNAL_STREAM."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


# --- where it goes ---------------------------------------------------------------------------------


class _Stream(logging.StreamHandler[TextIO]):
    """A stream that broke (a closed pipe, a full disk) never stops the daemon."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the library's name
        return


class _File(RotatingFileHandler):
    """Readable by its owner only; like a stream, it never stops the daemon.

    Windows lets nobody rename a file that somebody reads. It then grows on, and is rotated a while later.
    """

    _not_before = -math.inf

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802 - the library's name
        return int(time.monotonic() >= self._not_before and bool(super().shouldRollover(record)))

    def doRollover(self) -> None:  # noqa: N802 - likewise
        if self.stream is not None:
            self.stream.close()
        base = Path(self.baseFilename)
        old = [base.with_name(f"{base.name}.{number}") for number in range(self.backupCount + 1)]
        try:
            base.replace(old[0])
            try:
                for younger, older in reversed(list(pairwise(old[1:]))):
                    if younger.exists():
                        younger.replace(older)
            except OSError:
                old[0].replace(base)
                raise
            old[0].replace(old[1])
        except OSError:
            self._not_before = time.monotonic() + ROTATE_AGAIN_S
        self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the library's name
        return

    def _open(self) -> TextIOWrapper[Any]:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        opened = open(self.baseFilename, self.mode, encoding=self.encoding, opener=private)  # noqa: SIM115
        return cast("TextIOWrapper[Any]", opened)


class _Brake(logging.Handler):
    """Lets through what the flood allows, to every target."""

    def __init__(self, flood: Flood, targets: list[logging.Handler]) -> None:
        super().__init__()
        self._flood = flood
        self.targets = targets

    def emit(self, record: logging.LogRecord) -> None:
        event = record.msg.get("event") if isinstance(record.msg, dict) else None
        admitted = self._flood.admit(event if isinstance(event, str) else record.name)
        self.tell()
        if admitted:
            for target in self.targets:
                target.handle(record)

    def tell(self, *, now: bool = False) -> None:
        if told := self._flood.suppressed(now=now):
            _log.warning("log.suppressed", lines=told)


_log: structlog.stdlib.BoundLogger = structlog.get_logger("whosin.log")


@dataclass
class Logs:
    """What `configure` set up. `flood` is the brake that makers of many lines ask first."""

    flood: Flood
    _brake: _Brake = field(repr=False)

    def set_level(self, level: str) -> None:
        """From now on: debug, info, warning or error."""
        logging.getLogger().setLevel(level.upper())

    def flush(self) -> None:
        """Tell what was suppressed in seconds that are over; once a second is often enough."""
        self._brake.tell()

    def close(self) -> None:
        """Tell what is still to be told, and let go of stream and file."""
        self._brake.tell(now=True)
        logging.getLogger().removeHandler(self._brake)
        for target in self._brake.targets:
            target.close()


def configure(
    level: str = "info",
    format: Format = "auto",  # noqa: A002 - the key's name
    file: Path | None = None,
    stream: TextIO | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flood: Flood | None = None,
) -> Logs:
    """Send the lines of structlog and of the standard library to `stream` (None: nowhere) and `file`.

    The file gets JSON, is rotated at 20 MB and readable by its owner only. Raises OSError if it cannot be
    opened. Call it once; a second call replaces the first.
    """
    targets: list[logging.Handler] = []
    if file is not None:
        make_private(file.parent)
        writer = _File(file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        writer.setFormatter(_formatter(_json))
        targets.append(writer)
    if stream is not None:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        printer = _Stream(stream)
        printer.setFormatter(_stream_formatter(format, stream, os.environ if environ is None else environ))
        targets.append(printer)
    flood = flood or Flood()
    brake = _Brake(flood, targets)
    _route(brake)
    logs = Logs(flood, brake)
    logs.set_level(level)
    return logs


def _route(brake: _Brake) -> None:
    """Make the brake the one way out for everybody."""
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Brake)]:
        root.removeHandler(old)
    root.addHandler(brake)
    for name in _OWN_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
