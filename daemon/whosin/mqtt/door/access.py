"""Who may say and hear what at the door: it follows from who one is, so there is no list of permissions.

Owns that rule. Must not know connections or packets. A client speaks for the session that is its client
id; a gateway for any session of its site; both hear the answers to what they may say. An observer hears
its site's events and the daemon's status. Without sign-in everybody may say and hear everything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whosin.model import Role
from whosin.mqtt.door.filters import common

if TYPE_CHECKING:
    from whosin.model import Account

ROOT: Final = "whosin/v1/"
UP: Final = b"whosin/v1/up/"
NOWHERE: Final = "\0"  # where no topic begins

_LEVELS: Final = 8
"""Of a filter that can match a topic of ours: those have seven at most, and `#` may stand behind them."""

_IDENT: Final = re.compile(r"[A-Za-z0-9._~:-]{1,64}")


class Rights:
    """What one connection may do. `account` None: sign-in is off."""

    __slots__ = ("_session", "_site", "account", "below")

    def __init__(self, account: Account | None, client_id: str) -> None:
        self.account = account
        self._session = client_id
        self._site = "" if account is None else account.site
        self.below = self._below()

    @property
    def sound(self) -> bool:
        """Whether the site, and of a client the session, is an id: `+` for one would hear everybody."""
        account = self.account
        if account is None:
            return True
        names = [account.site, self._session] if account.role is Role.CLIENT else [account.site]
        return all(map(_IDENT.fullmatch, names))

    @property
    def batches(self) -> bool:
        """May send packets as large as a batch."""
        return self.account is None or self.account.role is Role.GATEWAY

    @property
    def observes(self) -> bool:
        return self.account is None or self.account.role is Role.OBSERVER

    def _below(self) -> str:
        """Whatever begins so may be said: what most of many may be told by."""
        if self.account is None:
            return UP.decode()
        gateway = self.account.role is Role.GATEWAY and self.sound
        return f"{UP.decode()}{self._site}/" if gateway else NOWHERE

    def may_say(self, topic: bytes) -> bool:
        """`whosin/v1/up/<site>/<company>/<session>/<verb>`, with what is one's own in its place.

        Whether the rest of the topic makes sense is not judged here.
        """
        if self.account is None:
            return topic.startswith(UP)
        if self.account.role is Role.OBSERVER or not self.sound:
            return False
        levels = topic.split(b"/")
        if levels[:4] != [b"whosin", b"v1", b"up", self._site.encode()]:
            return False
        if self.account.role is Role.GATEWAY:
            return True
        return len(levels) == 7 and levels[5] == self._session.encode()

    def hears(self, pattern: str) -> list[str]:
        """The filters that match what `pattern` matches of what is one's own; none where that is nothing.

        `whosin/v1/#` is what a client writes who wants all that it may hear: it gets that, and no more.
        """
        if pattern.count("/") >= _LEVELS:
            return []
        if self.account is None:
            return [pattern]
        if not self.sound:
            return []
        if self.account.role is Role.OBSERVER:
            own = [f"whosin/v1/events/{self._site}/#", "whosin/v1/daemon/#"]
        elif self.account.role is Role.GATEWAY:
            own = [f"whosin/v1/down/{self._site}/#"]
        else:
            own = [f"whosin/v1/down/{self._site}/+/{self._session}/#"]
        return [both for one in own if (both := common(pattern, one)) is not None]
