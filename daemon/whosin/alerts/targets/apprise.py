"""To Teams, Slack and whatever else the library apprise knows: one object a target, made for each message.

The library is an extra (`pip install 'whosin[alerts]'`) and imported when first needed. Addresses are secrets
as a whole: nothing of them but their scheme is ever shown.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

from whosin.alerts.messages import Message
from whosin.alerts.targets.base import Line, Undelivered, secret

_CALLS = re.compile(r"(@(?=everyone|here|channel|all\b)|<(?=[!@#]))", re.IGNORECASE)
_TALKATIVE = ("apprise", "urllib3", "requests_oauthlib")  # they log whole addresses
TYPES = {"info": "info", "warning": "warning", "critical": "failure"}


@dataclass(frozen=True)
class AppriseTarget:
    """`url`, or the first line of `url_file`."""

    url: str | None = field(default=None, repr=False)
    url_file: Path | None = None

    @property
    def shown(self) -> str:
        try:
            scheme = self._url().partition(":")[0]
        except Undelivered:
            return f"the address in {self.url_file}"
        return f"{scheme}://…"

    def _url(self) -> str:
        text = self.url if self.url is not None else secret(self.url_file) or ""
        if "://" not in text:
            raise Undelivered(f"the first line of {self.url_file} is no address")
        return text

    def send(self, message: Message, line: Line) -> None:  # noqa: ARG002 - the library keeps its sockets
        try:
            import apprise  # noqa: PLC0415 - an extra
        except ImportError:
            raise Undelivered(
                "the library apprise is not installed; pip install 'whosin[alerts]' brings it"
            ) from None
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        url = self._url()
        try:
            made = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        except Exception as error:  # noqa: BLE001 - whatever its hundred plug-ins raise
            raise Undelivered(f"{self.shown}: {type(error).__name__}") from None
        if made is None:
            raise Undelivered(f"{self.shown} is no address that apprise knows", for_good=True)
        body, title = calm(message.text), calm(message.subject)
        over = message.payload["phase"] == "cleared"
        kind = apprise.NotifyType.SUCCESS if over else apprise.NotifyType(TYPES[message.severity])
        try:
            taken = made.notify(body=body, title=title, notify_type=kind, body_format="text")
        except Exception as error:  # noqa: BLE001 - whatever its hundred plug-ins raise
            raise Undelivered(f"{self.shown}: {type(error).__name__}") from None
        if not taken:
            raise Undelivered(f"{self.shown} did not take it")


def calm(text: str) -> str:
    """The same, calling nobody: in some chats `@everyone` or `<!channel>` rings at everybody's, and names are
    chosen by strangers."""
    return _CALLS.sub("\\1\u2060", text)
