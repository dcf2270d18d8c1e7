"""Floods of the API: requests that never end, heads and bodies too large, listeners that do not read."""

from __future__ import annotations

import contextlib
import socket
import time

from tests.floods.crowds import WEB, alive, close, message
from tests.floods.stage import Stage
from tests.support.lines import dial, say


def call(stage: Stage, data: bytes = b"") -> socket.socket:
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.settimeout(10)
    line.connect(("127.0.0.1", stage.daemon.http_port))
    with contextlib.suppress(OSError):
        line.sendall(data)
    return line


def head(stage: Stage, what: str = "GET /api/v1/events", *more: str) -> bytes:
    lines = [f"{what} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {stage.daemon.token}", *more]
    return "\r\n".join(lines).encode()


def web(stage: Stage) -> None:
    """200 slow requests, 100 listeners who do not read, heads of 1 MB, bodies of 100 MB, noise."""
    slow = [call(stage, head(stage, "GET /api/v1/sessions")[:-nth]) for nth in range(1, stage.many(200) + 1)]
    deaf = [call(stage, head(stage) + b"\r\n\r\n") for _ in range(stage.many(90))]
    answers: dict[str, int] = {}
    for name, request in (
        ("a head of 1 MB", head(stage, "GET /api/v1/sessions", "X: " + "x" * 1_000_000) + b"\r\n\r\n"),
        ("100,000 header lines", head(stage, "GET /api/v1/sessions", *["A: b"] * 100_000) + b"\r\n\r\n"),
        (
            "a body of 100 MB",
            head(stage, "POST /api/v1/sessions/logoff", "Content-Length: 100000000")
            + b"\r\n\r\n"
            + b"x" * 3_000_000,
        ),
        (
            "a body without an end",
            head(stage, "POST /api/v1/sessions/logoff", "Transfer-Encoding: chunked")
            + b"\r\n\r\n"
            + b"ffff\r\n" * 1
            + b"x" * 65_535,
        ),
        ("a path of 100 KB", head(stage, "GET /" + "a" * 100_000) + b"\r\n\r\n"),
        ("noise", bytes(range(256)) * 100),
        (
            "two lengths",
            head(stage, "POST /api/v1/cleanup/run", "Content-Length: 5", "Content-Length: 6")
            + b"\r\n\r\n{}   ",
        ),
        ("deep JSON", _body(stage, b"[" * 900_000)),
    ):
        with contextlib.closing(call(stage, request)) as line:
            answers[name] = _status(line)
    for name, status in answers.items():
        stage.check(
            status in (0, 400, 404, 413, 414, 415, 421, 431) or name == "a body without an end",
            f"{name}: {status}",
        )
    with contextlib.closing(dial(stage.port, "source", account=stage.account("gateway"))) as line:
        for start in range(0, stage.many(5_000), 500):  # events for those who do not read
            logins = [message(f"e-{nth}", "login", WEB, nth + 1) for nth in range(start, start + 500)]
            logouts = [message(f"e-{nth}", "logout", None, nth + 1) for nth in range(start, start + 500)]
            say([line], [b"".join([*logins, *logouts])], [1_000])
    begun = time.monotonic()
    gone = stage.settled(lambda: not any(alive(line) for line in slow), 40)
    stage.check(gone, f"{sum(alive(line) for line in slow)} slow requests are still served")
    stage.tell(
        f"{len(slow)} slow requests, gone {time.monotonic() - begun:.0f} s later; {len(deaf)} listeners; "
        f"answers {answers}"
    )
    close([*slow, *deaf])


def _body(stage: Stage, body: bytes) -> bytes:
    more = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return head(stage, "POST /api/v1/sessions/logoff", *more) + b"\r\n\r\n" + body


def _status(line: socket.socket) -> int:
    """0: closed without a word. -1: nothing came."""
    line.settimeout(3)
    try:
        answer = line.recv(4_096)
    except TimeoutError:
        return -1
    except OSError:
        return 0
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/") else 0
