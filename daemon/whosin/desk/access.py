"""Tokens of operators and accounts of MQTT clients: made, listed, revoked, checked.

Owns secrets only as SHA-256 of random ones: a secret is shown once, when it is made. Must not know HTTP or
MQTT.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

from whosin import wire
from whosin.desk.operators import Operators
from whosin.engine.engine import Engine
from whosin.errors import Refused
from whosin.model import Account, Event, Role
from whosin.operations import ROLES, Caller, Json
from whosin.ports import AccountRow, Loaded, TokenRow

_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}\Z")
_NOBODY = hashlib.sha256(b"nobody").digest()


def _hash(secret: str | bytes) -> bytes:
    raw = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogatepass")
    return hashlib.sha256(raw).digest()


class Access:
    """The part of the desk that knows who may speak."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._tokens: dict[str, TokenRow] = {}
        self._by_hash: dict[bytes, TokenRow] = {}
        self._accounts: dict[str, AccountRow] = {}
        self.on_removed_account: Callable[[str], object] = lambda _name: None
        self.operators = Operators(engine, self, check_name)

    def restore(self, loaded: Loaded) -> None:
        self._tokens = {row.name: row for row in loaded.tokens}
        self._by_hash = {row.secret_hash: row for row in loaded.tokens}
        self._accounts = {row.name: row for row in loaded.accounts}

    def _must_store(self) -> None:
        if (trouble := self.engine.committer.trouble) is not None:
            raise trouble

    def _note(self, kind: str, caller: Caller, data: Json) -> None:
        now = self.engine.clock.now_ms()
        self.engine.roll.out.events.append(Event(kind, now, None, None, None, None, data, caller.name))

    def _now(self) -> int:
        return self.engine.clock.wall_ms(self.engine.clock.now_ms())

    # --- operators' tokens ----------------------------------------------------------------------------

    def authenticate(self, token: str) -> Caller | None:
        """The caller whose token this is. What is compared are hashes of random secrets."""
        row = self._by_hash.get(_hash(token))
        if row is None:
            return None
        return Caller(row.name, row.role, row.site)

    def token(self, name: str) -> Caller | None:
        """The caller of the token of this name."""
        row = self._tokens.get(name)
        return None if row is None else Caller(row.name, row.role, row.site)

    async def list_tokens(self, caller: Caller) -> list[Json]:
        return [
            {"name": row.name, "role": row.role, "site": row.site, "created": wire.rfc3339(row.created)}
            for row in self._tokens.values()
            if caller.site in (None, row.site)
        ]

    async def create_token(self, name: str, role: str, site: str | None, caller: Caller) -> Json:
        self._must_store()
        check_name(name)
        if role not in ROLES:
            raise Refused("bad_role", f"the role {role!r} does not exist; allowed are {', '.join(ROLES)}")
        if name in self._tokens:
            raise Refused("exists", f"a token named {name} exists already; revoke it first")
        if self.operators.knows(name):
            raise Refused("exists", f"{name} is an operator's name; the history must tell them apart")
        if caller.site is not None and site != caller.site:
            raise Refused("forbidden", f"you may make tokens for site {caller.site} only")
        token = self.put_token(name, role, site)
        self._note("token.created", caller, {"name": name, "role": role, "site_limit": site})
        await self.engine.durable()
        return {"name": name, "role": role, "site": site, "token": token}

    def put_token(self, name: str, role: str, site: str | None) -> str:
        """Make or replace a token; the secret."""
        secret = secrets.token_urlsafe(32)
        row = TokenRow(name, role, site, _hash(secret), self._now())
        if old := self._tokens.get(name):
            self._by_hash.pop(old.secret_hash, None)
            self.operators.token_gone(name)
        self._tokens[name] = self._by_hash[row.secret_hash] = row
        self.engine.committer.open.changes.tokens[name] = row
        return secret

    async def revoke_token(self, name: str, caller: Caller) -> None:
        self._must_store()
        row = self._tokens.get(name)
        if row is None or caller.site not in (None, row.site):
            raise Refused("not_found", f"there is no token named {name}")
        del self._tokens[name], self._by_hash[row.secret_hash]
        self.engine.committer.open.changes.tokens[name] = None
        self.operators.token_gone(name)
        self._note("token.revoked", caller, {"name": name})
        await self.engine.durable()

    # --- MQTT accounts --------------------------------------------------------------------------------

    def sign_in(self, name: str, password: bytes) -> Account | None:
        """An MQTT client's account, or None. Takes the same time for a wrong name and a wrong password."""
        row = self._accounts.get(name)
        right = hmac.compare_digest(_hash(password), row.secret_hash if row is not None else _NOBODY)
        return self.account(name) if right else None

    def account(self, name: str) -> Account | None:
        """The account of this name; for whoever has proven it in another way than by its password."""
        row = self._accounts.get(name)
        return None if row is None else Account(row.name, Role(row.role), row.site, row.user)

    def knows(self, account: str) -> bool:
        return account in self._accounts

    async def list_accounts(self, caller: Caller) -> list[Json]:
        return [
            {
                "name": row.name,
                "role": row.role,
                "site": row.site,
                "user": row.user,
                "created": wire.rfc3339(row.created),
            }
            for row in self._accounts.values()
            if caller.site in (None, row.site)
        ]

    async def add_account(self, name: str, role: str, site: str, user: str | None, caller: Caller) -> Json:
        self._must_store()
        check_name(name)
        if role not in [one.value for one in Role]:
            raise Refused(
                "bad_role", f"the role {role!r} does not exist; allowed are client, gateway, observer"
            )
        if name in self._accounts:
            raise Refused("exists", f"an account named {name} exists already; remove it first")
        if caller.site not in (None, site):
            raise Refused("forbidden", f"you may add accounts of site {caller.site} only")
        secret = secrets.token_urlsafe(24)
        row = AccountRow(name, role, site, user, _hash(secret), self._now())
        self._accounts[name] = row
        self.engine.committer.open.changes.accounts[name] = row
        self._note("account.added", caller, {"name": name, "role": role, "of_site": site, "of_user": user})
        await self.engine.durable()
        return {"name": name, "role": role, "site": site, "user": user, "password": secret}

    async def remove_account(self, name: str, caller: Caller) -> None:
        self._must_store()
        row = self._accounts.get(name)
        if row is None or caller.site not in (None, row.site):
            raise Refused("not_found", f"there is no account named {name}")
        del self._accounts[name]
        self.engine.committer.open.changes.accounts[name] = None
        self.on_removed_account(name)
        self._note("account.removed", caller, {"name": name})
        await self.engine.durable()


def check_name(name: str) -> None:
    if not _NAME.match(name):
        raise Refused("bad_name", f"the name {name!r} does not match [A-Za-z0-9._@+-]{{1,64}}")
