"""Operators: the people who sign in to the page and the API. Added, changed, removed, and how they sign in.

Owns who may do what to whom here, and that each step is in the history, never with a secret in it. The
sessions themselves are `web_sessions`', passwords `passwords`'. Must not know HTTP.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from whosin import wire
from whosin.desk.failures import Failures
from whosin.desk.passwords import Passwords, check
from whosin.desk.web_sessions import WebSession, WebSessions, csrf_of, digest
from whosin.errors import Refused, StoreError
from whosin.model import Event
from whosin.operations import ROLES, Caller, Fresh, Json, SignedIn
from whosin.ports import OperatorRow

if TYPE_CHECKING:
    from whosin.engine.engine import Engine
    from whosin.ports import Loaded

MOST = 10_000
LONGEST_CODE = 128


class Tokens(Protocol):
    """What this needs to know of the API's tokens."""

    def authenticate(self, token: str) -> Caller | None: ...
    def token(self, name: str) -> Caller | None: ...


class Operators:
    """Implements `operations.Operators`. `restore` when the engine has begun."""

    def __init__(
        self,
        engine: Engine,
        tokens: Tokens,
        check_name: Callable[[str], None],
        passwords: Passwords | None = None,
    ) -> None:
        self.link_ms = 0
        self.changed: list[Callable[[], object]] = []
        self.sessions = WebSessions(engine, self._timed_out)
        self._engine = engine
        self._tokens = tokens
        self._check_name = check_name
        self._passwords = passwords or Passwords()
        self._rows: dict[str, OperatorRow] = {}  # by the name in lower case
        self._first: tuple[bytes, int] | None = None
        self._failures = Failures(engine.clock.now_ms, self._tell_failed)
        engine.on_flush.append(lambda _changes: self._failures.flush())

    def restore(self, loaded: Loaded) -> None:
        self._rows = {row.name.casefold(): row for row in loaded.operators}
        self.sessions.restore(loaded.web_sessions)

    def limit(self, *, idle_ms: int, lasts_ms: int, link_ms: int) -> None:
        """What the settings say, from now on."""
        self.sessions.idle_ms, self.sessions.lasts_ms, self.link_ms = idle_ms, lasts_ms, link_ms

    def knows(self, name: str) -> bool:
        return name.casefold() in self._rows

    def any(self) -> bool:
        return bool(self._rows)

    def count_sessions(self, signed_in: SignedIn) -> int:
        return len(self.sessions.of(signed_in.kind, signed_in.caller.name))

    # --- who is it --------------------------------------------------------------------------------------

    def web_session(self, secret: str) -> SignedIn | None:
        one = self.sessions.find(secret)
        if one is None:
            return None
        caller = self._caller(one)
        return None if caller is None else SignedIn(caller, csrf_of(secret), one.kind)

    def _caller(self, one: WebSession) -> Caller | None:
        if one.kind == "token":
            return self._tokens.token(one.name)
        row = self._rows.get(one.name.casefold())
        return None if row is None or row.disabled else Caller(row.name, row.role, row.site)

    def device(self, name: str, proof: str) -> str | None:
        row = self._rows.get(name.casefold())
        nonce, _, mac = proof.partition(".")
        right = _proof(row, nonce) if row is not None else ""
        return nonce if hmac.compare_digest(mac.encode(), right.encode()) and mac else None

    # --- signing in -------------------------------------------------------------------------------------

    async def sign_in(self, name: str, password: str, address: str | None) -> Fresh:
        row = self._rows.get(name.casefold())
        hashed = row.password_hash if row is not None and not row.disabled else None
        right = await self._passwords.matches(hashed, password)
        row = self._rows.get(name.casefold())  # as it is now: hashing takes its time
        if not right or row is None or row.disabled or row.password_hash != hashed:
            self._failures.note(row.name if row is not None else None, address)
            raise Refused("wrong_password", "the name or the password is wrong, or the operator is disabled")
        if hashed is not None and self._passwords.outdated(hashed):
            renewed = await self._passwords.hash(password)
            if self._rows.get(name.casefold()) == row:
                row = self._put(row._replace(password_hash=renewed))
        return await self._begin(row, "password", address)

    async def sign_in_with_token(self, token: str, address: str | None) -> Fresh:
        caller = self._tokens.authenticate(token)
        if caller is None:
            self._failures.note(None, address)
            raise Refused("wrong_token", "the token is not known here; it may have been revoked")
        return await self._signed_in("token", caller, "token", address)

    async def _begin(self, row: OperatorRow, how: str, address: str | None) -> Fresh:
        row = self._put(row._replace(signed_in=self._wall()))
        return await self._signed_in("operator", Caller(row.name, row.role, row.site), how, address, row)

    async def _signed_in(
        self, kind: str, caller: Caller, how: str, address: str | None, row: OperatorRow | None = None
    ) -> Fresh:
        secret = self.sessions.begin(kind, caller.name, address)
        self._note("operator.signed_in", caller.name, {"name": caller.name, "how": how, "address": address})
        with contextlib.suppress(StoreError):  # who has to mend the disk must be able to look; stored later
            await self._engine.durable()
        nonce = secrets.token_urlsafe(12)
        device = f"{nonce}.{_proof(row, nonce)}" if row is not None else None
        return Fresh(secret, device, SignedIn(caller, csrf_of(secret), kind))

    def _tell_failed(self, name: str | None, address: str | None, count: int) -> None:
        data = {"name": name, "address": address, "count": count}
        self._note("operator.sign_in_failed", None, data)

    # --- signing out ------------------------------------------------------------------------------------

    async def sign_out(self, secret: str, *, everywhere: bool = False) -> int:
        one = self.sessions.find(secret)
        if one is None:
            return 0
        ended = self.sessions.of(one.kind, one.name) if everywhere else [one]
        return await self._sign_out(one.name, ended, everywhere, one.name)

    async def end_sessions(self, name: str, caller: Caller) -> int:
        row = self._visible(name, caller)
        return await self._sign_out(row.name, self.sessions.of("operator", row.name), True, caller.name)

    async def end_sessions_of(self, caller: Caller) -> int:
        """Those that were begun with this token."""
        return await self._sign_out(caller.name, self.sessions.of("token", caller.name), True, caller.name)

    async def _sign_out(self, name: str, ended: list[WebSession], everywhere: bool, actor: str) -> int:
        if ended:
            self._end(ended)
            data = {"name": name, "everywhere": everywhere, "sessions": len(ended)}
            self._note("operator.signed_out", actor, data)
        await self._engine.durable()
        return len(ended)

    def _end(self, ended: list[WebSession]) -> None:
        for one in ended:
            self.sessions.end(one)
        self._tell_changed()

    def _timed_out(self, one: WebSession, reason: str) -> None:
        data = {"name": one.name, "everywhere": False, "sessions": 1}
        self._note("operator.signed_out", None, data, reason)
        self._tell_changed()

    def token_gone(self, name: str) -> None:
        """It was revoked, or made anew."""
        self._end(self.sessions.of("token", name))

    # --- one-time links ---------------------------------------------------------------------------------

    def first_link(self) -> str | None:
        """The code of a link that makes the first administrator; None when there are operators already."""
        if self._rows:
            return None
        code = secrets.token_urlsafe(32)
        self._first = digest(code), self._engine.clock.now_ms() + self.link_ms
        return code

    def link(self, code: str) -> Json | None:
        if self._is_first(code):
            return {"name": None}
        row = self._row_of(code)
        return None if row is None else {"name": row.name}

    async def use_link(self, code: str, name: str | None, password: str, address: str | None) -> Fresh:
        self._must_store()
        known = self.link(code)
        if known is None:
            raise _bad_link()
        named = known["name"] or name or ""
        if known["name"] is None:
            self._check_new(named)
        check(password, named)
        hashed = await self._passwords.hash(password)
        now = self._wall()
        if self._is_first(code):  # as it is now: another may have been quicker
            self._check_new(named)
            self._first = None
            row = OperatorRow(named, "administrator", None, hashed, 0, now, now, 0, None, 0)
            self._note("operator.added", named, _shown(row) | {"first": True})
        elif (found := self._row_of(code)) is not None:
            row = found._replace(password_hash=hashed, password_set=now, link_hash=None, link_until=0)
            self._end(self.sessions.of("operator", row.name))
            self._note("operator.password_changed", row.name, {"name": row.name, "how": "link"})
        else:
            raise _bad_link()
        self._put(row)
        return await self._begin(row, "link", address)

    async def change_password(self, secret: str, old: str, new: str, address: str | None) -> Fresh:
        self._must_store()
        one = self.sessions.find(secret)
        row = self._rows.get(one.name.casefold()) if one is not None and one.kind == "operator" else None
        if row is None:
            raise Refused("no_password", "only who signed in as an operator has a password here")
        if not await self._passwords.matches(row.password_hash, old):
            self._failures.note(row.name, address)
            raise Refused("wrong_password", "the present password is wrong")
        check(new, row.name)
        hashed = await self._passwords.hash(new)
        now = self._rows.get(row.name.casefold())
        if now is None or now.disabled or now.password_hash != row.password_hash:
            raise Refused("changed_meanwhile", "the operator was changed by somebody else meanwhile")
        row = self._put(
            now._replace(password_hash=hashed, password_set=self._wall(), link_hash=None, link_until=0)
        )
        self._end(self.sessions.of("operator", row.name))
        self._note("operator.password_changed", row.name, {"name": row.name, "how": "password"})
        return await self._begin(row, "password", address)

    def _is_first(self, code: str) -> bool:
        if self._first is None or self._rows or len(code) > LONGEST_CODE:
            return False
        right, until_ms = self._first
        return hmac.compare_digest(right, digest(code)) and self._engine.clock.now_ms() < until_ms

    def _row_of(self, code: str) -> OperatorRow | None:
        if len(code) > LONGEST_CODE:
            return None
        hashed, now = digest(code), self._engine.clock.now_ms()
        for row in self._rows.values():
            if row.link_hash is not None and hmac.compare_digest(row.link_hash, hashed):
                usable = not row.disabled and now < self._engine.rows.line(row.link_until)
                return row if usable else None
        return None

    # --- administration ---------------------------------------------------------------------------------

    async def list(self, caller: Caller) -> list[Json]:
        return [self._item(row) for row in self._rows.values() if caller.site in (None, row.site)]

    async def add(
        self, name: str, role: str, site: str | None, caller: Caller, password: str | None = None
    ) -> Json:
        self._must_store()
        self._check_new(name)
        _check_reach(role, site, caller)
        hashed = None
        if password is not None:
            check(password, name)
            hashed = await self._passwords.hash(password)
            self._check_new(name)
        now = self._wall()
        row = OperatorRow(name, role, site, hashed, 0, now, now if hashed else 0, 0, None, 0)
        self._note("operator.added", caller.name, _shown(row))
        link = self._linked(row, caller) if hashed is None else {"link": None, "link_until": None}
        if hashed is not None:
            self._put(row)
        await self._engine.durable()
        return self._item(self._rows[name.casefold()]) | link

    async def change(self, name: str, changes: Json, caller: Caller) -> Json:
        """`changes`: some of role, site, disabled. Refused `last_administrator`, `not_found`."""
        self._must_store()
        old = self._visible(name, caller)
        new = old._replace(
            role=changes.get("role", old.role),
            site=changes.get("site", old.site),
            disabled=int(changes.get("disabled", old.disabled)),
        )
        if new == old:
            return self._item(old)
        _check_reach(new.role, new.site, caller)
        self._keep_one(old, new)
        if new.disabled:
            new = new._replace(link_hash=None, link_until=0)
        self._put(new)
        before, after = _shown(old), _shown(new)
        self._note(
            "operator.changed", caller.name,
            {"name": old.name, "before": before, "after": after},
        )  # fmt: skip
        if new.disabled:
            self._end(self.sessions.of("operator", old.name))
        self._tell_changed()
        await self._engine.durable()
        return self._item(new)

    async def remove(self, name: str, caller: Caller) -> None:
        self._must_store()
        row = self._visible(name, caller)
        self._keep_one(row, None)
        del self._rows[row.name.casefold()]
        self._engine.committer.open.changes.operators[row.name] = None
        self._end(self.sessions.of("operator", row.name))
        self._note("operator.removed", caller.name, _shown(row))
        await self._engine.durable()

    async def make_link(self, name: str, caller: Caller) -> Json:
        self._must_store()
        row = self._visible(name, caller)
        if row.disabled:
            raise Refused("disabled", f"{row.name} is disabled; enable the operator first")
        made = self._linked(row, caller)
        await self._engine.durable()
        return {"name": row.name, **made}

    def _linked(self, row: OperatorRow, caller: Caller) -> Json:
        """Give it a new one-time link; an earlier one is good no more."""
        code = secrets.token_urlsafe(32)
        until = self._engine.clock.wall_ms(self._engine.clock.now_ms() + self.link_ms)
        self._put(row._replace(link_hash=digest(code), link_until=until))
        self._note("operator.link_made", caller.name, {"name": row.name, "until": wire.rfc3339(until)})
        return {"link": f"/sign-in/link?code={code}", "link_until": wire.rfc3339(until)}

    def _check_new(self, name: str) -> None:
        self._check_name(name)
        if self.knows(name):
            raise Refused("exists", f"there is an operator named {self._rows[name.casefold()].name} already")
        if self._tokens.token(name) is not None:
            raise Refused("exists", f"{name} is the name of a token; the history must tell them apart")
        if len(self._rows) >= MOST:
            raise Refused("limit", f"there are {MOST} operators, which is the most")

    def _visible(self, name: str, caller: Caller) -> OperatorRow:
        row = self._rows.get(name.casefold())
        if row is None or caller.site not in (None, row.site):
            raise Refused("not_found", f"there is no operator named {name}")
        return row

    def _keep_one(self, old: OperatorRow, new: OperatorRow | None) -> None:
        if not _governs(old) or (new is not None and _governs(new)):
            return
        if not any(_governs(row) for row in self._rows.values() if row.name != old.name):
            raise Refused(
                "last_administrator",
                f"{old.name} is the last administrator of all sites who can sign in; "
                "let another one in first",
            )

    # --- small things -----------------------------------------------------------------------------------

    def _put(self, row: OperatorRow) -> OperatorRow:
        self._rows[row.name.casefold()] = row
        self._engine.committer.open.changes.operators[row.name] = row
        return row

    def _item(self, row: OperatorRow) -> Json:
        return {
            **_shown(row), "has_password": row.password_hash is not None,
            "created": wire.rfc3339(row.created),
            "signed_in_at": wire.rfc3339(row.signed_in) if row.signed_in else None,
            "sessions": len(self.sessions.of("operator", row.name)),
        }  # fmt: skip

    def _must_store(self) -> None:
        if (trouble := self._engine.committer.trouble) is not None:
            raise trouble

    def _note(self, kind: str, actor: str | None, data: Json, reason: str | None = None) -> None:
        now = self._engine.clock.now_ms()
        event = Event(kind, now, None, None, None, None, data, actor, reason)
        self._engine.roll.out.events.append(event)

    def _wall(self) -> int:
        return self._engine.clock.wall_ms(self._engine.clock.now_ms())

    def _tell_changed(self) -> None:
        for call in self.changed:
            call()


def _bad_link() -> Refused:
    return Refused("bad_link", "this link was used already, is too old, or was replaced by a newer one")


def _governs(row: OperatorRow) -> bool:
    """An administrator of all sites who can sign in."""
    usable = not row.disabled and row.password_hash is not None
    return usable and row.role == "administrator" and row.site is None


def _check_reach(role: str, site: str | None, caller: Caller) -> None:
    if role not in ROLES:
        raise Refused("bad_role", f"the role {role!r} does not exist; allowed are {', '.join(ROLES)}")
    if caller.site is not None and site != caller.site:
        raise Refused("forbidden", f"you may have operators of site {caller.site} only")


def _shown(row: OperatorRow) -> Json:
    return {"name": row.name, "role": row.role, "site": row.site, "disabled": bool(row.disabled)}


def _proof(row: OperatorRow, nonce: str) -> str:
    """That somebody who knows the operator's password signed in there; worth nothing once it is changed."""
    key = (row.password_hash or "").encode()
    return hmac.new(key, f"device {row.name} {nonce}".encode(), hashlib.sha256).hexdigest()[:32]
