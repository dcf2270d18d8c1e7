"""To a program, by an HTTP POST of JSON, signed where there is a secret (as the Standard Webhooks say).

Redirects are not followed: what was meant for one address goes to no other.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from whosin import __version__
from whosin.alerts.messages import Message
from whosin.alerts.targets.base import ATTEMPT_S, SAID, Line, Undelivered, in_words, secret, trust

TRY_AGAIN = frozenset({408, 425, 429})
LONGEST_WAIT_S = 3_600.0


@dataclass(frozen=True)
class WebhookTarget:
    """`url`, or the first line of `url_file`. `secret_file` holds what signs each message."""

    url: str | None = field(default=None, repr=False)
    url_file: Path | None = None
    ca_file: Path | None = None
    secret_file: Path | None = None

    @property
    def shown(self) -> str:
        try:
            url = self._url()
        except Undelivered:
            return f"the address in {self.url_file}"
        return f"{url.scheme}://{url.hostname}{f':{url.port}' if url.port else ''}/…"

    def send(self, message: Message, line: Line) -> None:
        url = self._url()
        where = self.shown.removesuffix("/…")
        body = json.dumps(message.payload, ensure_ascii=False).encode("utf-8", "replace")
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = self._headers(message, body, url)
        try:
            with contextlib.closing(self._connect(url)) as connection:
                connection.response_class = _Answer
                connection.connect()
                line.hold(connection.sock)
                connection.request("POST", path, body, headers)
                with contextlib.closing(connection.getresponse()) as answer:
                    said = answer.read(SAID).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(f"{where}: {in_words(error)}") from None
        if not 200 <= answer.status < 300:
            raise _refused(where, answer, said)

    def _url(self) -> SplitResult:
        text = self.url if self.url is not None else secret(self.url_file) or ""
        url = urlsplit(text)
        try:
            fits = (
                url.scheme in ("http", "https")
                and bool(url.hostname)
                and url.port != 0
                and text.isprintable()
            )
        except ValueError:
            fits = False
        if not fits or " " in text or not text.isascii():
            raise Undelivered(f"the first line of {self.url_file} is no http:// or https:// address")
        return url

    def _connect(self, url: SplitResult) -> http.client.HTTPConnection:
        assert url.hostname is not None
        if url.scheme == "https":
            return http.client.HTTPSConnection(
                url.hostname, url.port or 443, timeout=ATTEMPT_S, context=trust(self.ca_file)
            )
        return http.client.HTTPConnection(url.hostname, url.port or 80, timeout=ATTEMPT_S)

    def _headers(self, message: Message, body: bytes, url: SplitResult) -> dict[str, str]:
        moment = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Whosin/{__version__}",
            "webhook-id": message.id,
            "webhook-timestamp": moment,
        }
        if url.username is not None:
            pair = f"{url.username}:{url.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        key = secret(self.secret_file)
        if key is not None:
            signed = f"{message.id}.{moment}.".encode() + body
            digest = hmac.digest(_key(key), signed, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers


class _Answer(http.client.HTTPResponse):
    """Lets go of the socket even if its head never comes."""

    def begin(self) -> None:
        try:
            super().begin()
        except BaseException:
            self.close()
            raise


def _key(text: str) -> bytes:
    """A secret of the Standard Webhooks (`whsec_` and base64), or any text as it is."""
    if text.startswith("whsec_"):
        with contextlib.suppress(ValueError):
            return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    return text.encode()


def _refused(where: str, answer: http.client.HTTPResponse, said: str) -> Undelivered:
    status = answer.status
    asked = answer.headers.get("Retry-After", "")
    after_s = min(float(asked), LONGEST_WAIT_S) if asked.isascii() and asked.isdigit() else 0.0
    text = " ".join(said.split())
    return Undelivered(
        f"{where} said {status} {answer.reason}{f': {text}' if text else ''}"[: SAID + len(where)],
        for_good=300 <= status < 500 and status not in TRY_AGAIN,
        after_s=after_s,
    )
