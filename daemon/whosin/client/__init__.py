"""What authors of client programs use: log in, stay in, lock, hear, log out. Built on aiomqtt.

    from whosin.client import Login          # asyncio
    from whosin.client import SyncLogin      # plain Python: scripts, desktop programs
    from whosin.client import Gateway        # a portal's server, which speaks for many

Knows the wire (`whosin/v1/...`) and nothing of the daemon's inside; works through a broker and at the
daemon's own door alike, on every event loop, Windows' included.
"""

from whosin.client.errors import (
    ClientError,
    LockLost,
    LockRefused,
    LoginRefused,
    NoAnswer,
    NotConnected,
    SessionEnded,
)
from whosin.client.gateway import Gateway, GatewayLogin
from whosin.client.line import Backoff
from whosin.client.locks import Lock
from whosin.client.login import Login
from whosin.client.session import Session, State
from whosin.client.sync import SyncLock, SyncLogin
from whosin.client.wire import Holder, Message

__all__ = [
    "Backoff",
    "ClientError",
    "Gateway",
    "GatewayLogin",
    "Holder",
    "Lock",
    "LockLost",
    "LockRefused",
    "Login",
    "LoginRefused",
    "Message",
    "NoAnswer",
    "NotConnected",
    "Session",
    "SessionEnded",
    "State",
    "SyncLock",
    "SyncLogin",
]
