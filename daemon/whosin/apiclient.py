"""The command line's way to the daemon: one small synchronous client of the HTTP API.

Owns the connection, the token on it, and what a refusal or silence becomes. Must not know what the answers
mean. Everything costly is imported with the first question, so that importing this costs next to nothing.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from whosin.errors import WhosinError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from http.client import HTTPConnection, HTTPResponse

Json = dict[str, Any]

BASE = "/api/v1"
CONNECT_S = 10.0
ANSWER_S = 300.0  # a pass over all companies, or a backup, answers when it is done
SILENCE_S = 45.0  # an event stream gives a sign of life every 15


class ApiError(WhosinError):
    """Asking the daemon came to nothing."""


class Unreachable(ApiError):  # noqa: N818 - the contract's word
    """Nobody answers there, or somebody else does."""


class ApiRefused(ApiError):  # noqa: N818
    """The daemon answered with a problem (RFC 9457). `code` is for programs, `detail` for people."""

    def __init__(
        self, status: int, title: str, detail: str, code: str = "", more: Json | None = None
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
        self.code = code
        self.more = more or {}


class ApiClient:
    """Asks the API at `url`; paths are relative to `/api/v1`, or absolute.

    `ca_file` is a PEM file with whom to trust for https, in place of the system's. Every method raises
    Unreachable or ApiRefused. There is one connection for each question, so nothing has to be closed.
    """

    def __init__(self, url: str, token: str | None = None, *, ca_file: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise Unreachable(f'"{url}" is no address; expected http://HOST:PORT or https://HOST:PORT.')
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ApiRefused(
                401, "Unauthorized", "The token has characters that no token has.", "invalid_token"
            )
        self.url = url.rstrip("/")
        self._parts = parts
        self._token = token
        self._ca_file = ca_file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is kept open."""

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The answer as Python values; a query value of None is left out."""
        return self._ask("GET", path, query)

    def post(self, path: str, body: Json | None = None) -> Any:
        return self._ask("POST", path, body=body)

    def put(self, path: str, body: Json) -> Any:
        return self._ask("PUT", path, body=body)

    def patch(self, path: str, body: Json) -> Any:
        return self._ask("PATCH", path, body=body)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def events(self, last_id: str | None = None) -> Iterator[tuple[str, str, Json]]:
        """(id, type, data) of each event as it happens, until the daemon ends the stream."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        with self._answer("GET", "events", headers=headers, answer_s=SILENCE_S) as response:
            _raise_refusal(response, self.url)
            yield from parse_events(response)

    def _ask(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Json | None = None
    ) -> Any:
        with self._answer(method, path, query, body) as response:
            _raise_refusal(response, self.url)
            content = response.read()
            if response.status == 204 or not content:
                return None
            return _json(content, self.url)

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Json | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        answer_s: float = ANSWER_S,
    ) -> Iterator[HTTPResponse]:
        from http.client import HTTPException  # noqa: PLC0415 - late, to start fast

        content = None if body is None else json.dumps(body).encode()
        try:
            with closing(self._connection()) as connection:
                connection.connect()
                connection.sock.settimeout(answer_s)
                connection.request(
                    method, self._target(path, query), content, self._headers(content, headers)
                )
                yield connection.getresponse()
        except TimeoutError:
            raise Unreachable(f"{self.url} does not answer.") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(f"{self.url} cannot be reached: {reason}.") from None

    def _connection(self) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection  # noqa: PLC0415

        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return HTTPConnection(host, port, timeout=CONNECT_S)
        import ssl  # noqa: PLC0415

        return HTTPSConnection(
            host, port, timeout=CONNECT_S, context=ssl.create_default_context(cafile=self._ca_file)
        )

    def _target(self, path: str, query: Mapping[str, Any] | None) -> str:
        absolute = path if path.startswith("/") else f"{BASE}/{path}"
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._parts.path.rstrip("/") + absolute + (f"?{urlencode(given)}" if given else "")

    def _headers(self, content: bytes | None, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "Connection": "close", **(more or {})}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if content is not None:
            headers["Content-Type"] = "application/json"
        return headers


def part(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _raise_refusal(response: HTTPResponse, url: str) -> None:
    if response.status < 300:
        return
    content = response.read()
    if response.headers.get_content_type() != "application/problem+json":
        raise Unreachable(f"{url} answers {response.status} {response.reason}; this is not Whosin.")
    problem = _json(content, url)
    raise ApiRefused(
        response.status,
        str(problem.get("title", "")),
        str(problem.get("detail", "")),
        problem.get("code", ""),
        problem,
    )


def _json(content: bytes, url: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise Unreachable(f"{url} answers something else than JSON; this is not Whosin.") from None


def parse_events(lines: Iterable[bytes]) -> Iterator[tuple[str, str, Json]]:
    """Server-sent events out of their lines; comments and unknown fields are skipped."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            if "data" in fields:
                yield fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
            fields = {}
