"""What clients can say, as plain data with its bounds. Owns the shape of payloads; topics are `wire`'s.

A field that is absent and one that is null mean the same. Unknown fields are ignored (contract of the wire).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

NO_NUL = r"\A[^\x00]*\Z"  # not every database can keep one
Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=NO_NUL)]
Client = Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NUL)]
Text = Annotated[str, Meta(max_length=1024, pattern=NO_NUL)]
Ident = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._~:-]{1,64}\Z")]
OsSession = Name | Annotated[int, Meta(ge=-(2**62), le=2**62)]
Resource = Annotated[str, Meta(min_length=1, max_length=512)]  # a bad path is answered, not dropped
Count = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=10**9)]


class Login(Struct, frozen=True):
    user: Name
    client: Client
    machine: Name | None = None
    address: Name | None = None
    app: Name | None = None
    os_session: OsSession | None = None
    conn: Count | None = None
    at: Text | None = None


class Heartbeat(Struct, frozen=True):
    activity: Text | None = None
    idle_s: Seconds | None = None
    conn: Count | None = None
    at: Text | None = None
    user: Name | None = None
    client: Client | None = None
    machine: Name | None = None
    address: Name | None = None
    app: Name | None = None
    os_session: OsSession | None = None


class Logout(Struct, frozen=True):
    reason: Text | None = None
    at: Text | None = None


class Lost(Struct, frozen=True):
    conn: Count | None = None


class LockRequest(Struct, frozen=True):
    resource: Resource
    mode: Literal["exclusive", "shared"] | None = None
    activity: Text | None = None
    guidance: Name | None = None
    sticky: bool | None = None
    wait_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None


class Unlock(Struct, frozen=True):
    resource: Resource
    token: Count | None = None


class Batch(Struct, frozen=True):
    """A gateway's heartbeat for many sessions."""

    sessions: Annotated[list[Ident], Meta(max_length=10_000)]


Message = Login | Heartbeat | Logout | Lost | LockRequest | Unlock

BARE_HEARTBEAT = Heartbeat()
