"""Operators in memory, typed as the real ones, that note what they were asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whosin.errors import Refused
from whosin.operations import Caller, Fresh, SignedIn

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

AT = "2026-11-02T08:15:00.000Z"
PASSWORD = "correct horse battery"
COOKIES = {
    "c-viewer": Caller("v", "viewer"),
    "c-operator": Caller("o", "operator"),
    "c-administrator": Caller("a", "administrator"),
    "c-north-viewer": Caller("nv", "viewer", "north"),
    "c-north-operator": Caller("no", "operator", "north"),
    "c-north-administrator": Caller("na", "administrator", "north"),
}


def csrf(cookie: str) -> str:
    return f"csrf-of-{cookie}"


def operator(name: str = "grace", **fields: Any) -> Json:
    row = {
        "name": name, "role": "operator", "site": "north", "disabled": False, "has_password": True,
        "created": AT, "signed_in_at": AT, "sessions": 1,
    }  # fmt: skip
    return row | fields


class FakeOperators:
    """`note` gets every call that a route makes for somebody."""

    def __init__(self, note: Callable[..., None]) -> None:
        self.changed: list[Callable[[], object]] = []
        self.known = dict(COOKIES)
        self.kinds: dict[str, str] = {}
        self.links: dict[str, str | None] = {"for-grace": "grace", "first": None}
        self.devices: dict[tuple[str, str], str] = {}
        self.tried: list[tuple[str, str, str | None]] = []
        self._note = note

    def any(self) -> bool:
        return True

    def count_sessions(self, signed_in: SignedIn) -> int:
        return 2

    def web_session(self, secret: str) -> SignedIn | None:
        caller = self.known.get(secret)
        return None if caller is None else SignedIn(caller, csrf(secret), self.kinds.get(secret, "operator"))

    def device(self, name: str, proof: str) -> str | None:
        return self.devices.get((name, proof))

    async def sign_in(self, name: str, password: str, address: str | None) -> Fresh:
        self.tried.append((name, password, address))
        if (name, password) != ("grace", PASSWORD):
            raise Refused("wrong_password", "the name or the password is wrong")
        return self._fresh("fresh", Caller("grace", "operator", "north"))

    async def sign_in_with_token(self, token: str, address: str | None) -> Fresh:
        self.tried.append(("", token, address))
        if token != "t-viewer":
            raise Refused("wrong_token", "the token is not known here")
        self.kinds["fresh"] = "token"
        return self._fresh("fresh", Caller("v", "viewer"))

    def _fresh(self, secret: str, caller: Caller) -> Fresh:
        self.known[secret] = caller
        return Fresh(secret, f"device-of-{caller.name}", SignedIn(caller, csrf(secret), "operator"))

    async def sign_out(self, secret: str, *, everywhere: bool = False) -> int:
        self._note("sign_out", secret, everywhere)
        self.known.pop(secret, None)
        for call in self.changed:
            call()
        return 1

    async def end_sessions(self, name: str, caller: Caller) -> int:
        self._note("end_sessions", name, caller)
        return 2

    async def end_sessions_of(self, caller: Caller) -> int:
        self._note("end_sessions_of", caller)
        return 0

    def link(self, code: str) -> Json | None:
        return {"name": self.links[code]} if code in self.links else None

    async def use_link(self, code: str, name: str | None, password: str, address: str | None) -> Fresh:
        if len(password) < 12:
            raise Refused("weak_password", "a password has 12 to 256 characters")
        named = self.links.pop(code) or name or ""
        return self._fresh("fresh", Caller(named, "administrator"))

    async def change_password(self, secret: str, old: str, new: str, address: str | None) -> Fresh:
        self._note("change_password", secret, self.known[secret])
        if old != PASSWORD:
            raise Refused("wrong_password", "the present password is wrong")
        return self._fresh("fresh", self.known.pop(secret))

    async def list(self, caller: Caller) -> list[Json]:
        self._note("list_operators", caller)
        return [operator()]

    async def add(
        self, name: str, role: str, site: str | None, caller: Caller, password: str | None = None
    ) -> Json:
        self._note("add_operator", name, role, site, caller, password)
        link = {"link": "/sign-in/link?code=x", "link_until": AT} if password is None else {}
        return operator(name, role=role, site=site) | {"link": None, "link_until": None} | link

    async def change(self, name: str, changes: Json, caller: Caller) -> Json:
        self._note("change_operator", name, changes, caller)
        return operator(name, **changes)

    async def remove(self, name: str, caller: Caller) -> None:
        self._note("remove_operator", name, caller)

    async def make_link(self, name: str, caller: Caller) -> Json:
        self._note("make_link", name, caller)
        return {"name": name, "link": "/sign-in/link?code=x", "link_until": AT}
