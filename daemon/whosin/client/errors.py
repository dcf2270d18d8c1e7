"""What can go wrong between a client program and the daemon, in words its author can act on.

Owns the exceptions of `whosin.client`. They hang on the project's one tree; nothing else of the daemon
is known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin.errors import WhosinError

if TYPE_CHECKING:
    from whosin.client.wire import Holder


class ClientError(WhosinError):
    """Anything `whosin.client` raises on purpose."""


class NotConnected(ClientError):  # noqa: N818 - a state of affairs, as the domain says it
    """There is no connection now, or it broke while waiting. `taken_over`: another program connected
    with the same session id.
    """

    def __init__(self, message: str, *, taken_over: bool = False) -> None:
        super().__init__(message)
        self.taken_over = taken_over


class NoAnswer(ClientError):  # noqa: N818
    """The daemon did not answer in time; whether it heard us is not known."""


class LoginRefused(ClientError):  # noqa: N818
    """The daemon refused the login, or the broker the connection. `code` is for programs (`seats`,
    `no_access`, `maintenance`, `forbidden`, `not_authorized`, ...), `message` for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})" if message else code)
        self.code = code
        self.message = message


class LockRefused(ClientError):  # noqa: N818
    """The resource is in use, or may not be waited for. `code` is `held` (then `holder` says by whom),
    `timeout`, `deadlock`, or what the daemon said.
    """

    def __init__(self, resource: str, code: str, message: str = "", holder: Holder | None = None) -> None:
        text = message or (f"in use by {holder}" if holder else code)
        super().__init__(f"{resource}: {text}")
        self.resource = resource
        self.code = code
        self.message = message
        self.holder = holder


class LockLost(ClientError):  # noqa: N818
    """The lock was held and is not any more: the session ended, or somebody else got it meanwhile."""


class SessionEnded(ClientError):  # noqa: N818
    """The session is over and stays over. `status` is `logged_off` or `removed` as the daemon said, or
    `refused` (it forgot us and would not have us again), `taken_over` (another program uses the same
    session id), `failed` (a defect here; see `__cause__`).
    """

    def __init__(
        self, status: str, *, at: str | None = None, by: str | None = None, reason: str | None = None
    ) -> None:
        parts = [f"session {status}", f"by {by}" if by else "", f"at {at}" if at else ""]
        super().__init__(" ".join(part for part in parts if part) + (f": {reason}" if reason else ""))
        self.status = status
        self.at = at
        self.by = by
        self.reason = reason
