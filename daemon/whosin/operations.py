"""What operators can ask and order: the engine's face towards `web`, as a Protocol with JSON-ready answers.

Owns the shapes; who asks (HTTP, page, command line) and how it is answered are not known here. Times in
answers are RFC 3339 UTC strings with milliseconds and `Z`. Commands answer once they are durable, and raise
`errors.Refused` (code, text) when they are understood but not done, `errors.StoreError` while nothing can be
made durable. `site` of a `Caller` limits everything it sees and does to that site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from whosin.ports import FollowupQuery, HistoryQuery

Json = dict[str, Any]

ROLES = ("viewer", "operator", "administrator")
"""Rising: each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who gives a command: `name` goes into the history as actor."""

    name: str
    role: str  # viewer, operator, administrator
    site: str | None = None  # None: every site


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A web session. `csrf` comes along with each request of it that changes something."""

    caller: Caller
    csrf: str
    kind: str  # operator, token


@dataclass(frozen=True, slots=True)
class Fresh:
    """A web session that has just begun: `secret` is shown this once. `device` proves later, for the same
    operator, that somebody signed in from there."""

    secret: str
    device: str | None
    signed_in: SignedIn


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """`statuses` empty: active and disconnected. `sort`: a field name, "-" before it for descending."""

    statuses: tuple[str, ...] = ()
    site: str | None = None
    company: str | None = None
    user: str | None = None
    client: str | None = None
    text: str | None = None  # found in id, user, machine, company, or a locked resource
    sort: str | None = None
    limit: int = 100  # 1..1000
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class LockQuery:
    """All given filters hold together. `sort`: as for sessions; "" is worst first. The cursor is digits."""

    site: str | None = None
    company: str | None = None
    text: str | None = None  # found in resource, user, machine, company, activity
    blocking: bool = False  # only those that keep somebody waiting
    left_behind: bool = False
    sort: str | None = None  # resource, user, company, since, blocks
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Json]
    next: str | None
    total: int
    exact: bool = True  # else `total` is what a bounded look has counted, and there may be more


class Followups(Protocol):
    """What guidance says, and what it leaves to do (rule 16)."""

    def rules(self, caller: Caller) -> Json:
        """The rules in force, in order: {source (a file, shipped, off), items [{id, severity, before, after,
        match {resource [], activity [], client []}}]}."""
        ...

    async def find(self, query: FollowupQuery, caller: Caller) -> Page:
        """Newest first: {id, status (open, done), created, site, company, session, user, client, machine,
        resource, rule, severity, text, done, done_by, note}."""
        ...

    async def tick_off(self, ident: int, note: str | None, caller: Caller) -> Json:
        """It is done; the item. One that was done already stays as it is. Refused `not_found`."""
        ...


class Operators(Protocol):
    """The people who sign in to the page and the API, and their web sessions.

    An item: name, role, site, disabled (bool), has_password (bool), created, signed_in_at, sessions (how
    many). Passwords are Refused `weak_password`, and `busy` while too many are being looked at.
    """

    changed: list[Callable[[], object]]
    """Called when sessions ended, or what somebody may do has changed."""

    def any(self) -> bool:
        """Whether there is an operator at all."""
        ...

    def count_sessions(self, signed_in: SignedIn) -> int:
        """How many sessions the same operator or token has."""
        ...

    def web_session(self, secret: str) -> SignedIn | None:
        """Who that is; None when it is over. Counts as a use of the session."""
        ...

    def device(self, name: str, proof: str) -> str | None:
        """The device's id, if this operator signed in from there since the last change of password."""
        ...

    async def sign_in(self, name: str, password: str, address: str | None) -> Fresh:
        """Refused `wrong_password`, also for an unknown name and a disabled operator, in the same time."""
        ...

    async def sign_in_with_token(self, token: str, address: str | None) -> Fresh:
        """A session that may do what the token may, and ends with it. Refused `wrong_token`."""
        ...

    async def sign_out(self, secret: str, *, everywhere: bool = False) -> int:
        """How many sessions ended: this one, or all of the same operator or token."""
        ...

    async def end_sessions(self, name: str, caller: Caller) -> int:
        """Sign an operator out everywhere."""
        ...

    async def end_sessions_of(self, caller: Caller) -> int:
        """End the web sessions that were begun with the token that asks."""
        ...

    def link(self, code: str) -> Json | None:
        """{name}: whose one-time link that is, None as name for one that makes the first administrator; None
        when it cannot be used."""
        ...

    async def use_link(self, code: str, name: str | None, password: str, address: str | None) -> Fresh:
        """Choose a password, and be signed in; `name` only for the first administrator. Refused `bad_link`,
        `exists`, `bad_name`."""
        ...

    async def change_password(self, secret: str, old: str, new: str, address: str | None) -> Fresh:
        """Ends all of one's sessions and begins a new one. Refused `wrong_password`, `no_password`."""
        ...

    async def list(self, caller: Caller) -> list[Json]: ...

    async def add(
        self, name: str, role: str, site: str | None, caller: Caller, password: str | None = None
    ) -> Json:
        """The item, and without a password a one-time link: {link, link_until}. Refused `exists`."""
        ...

    async def change(self, name: str, changes: Json, caller: Caller) -> Json:
        """`changes`: some of role, site, disabled. The item. Refused `not_found`, `last_administrator`."""
        ...

    async def remove(self, name: str, caller: Caller) -> None:
        """Refused `not_found`, `last_administrator`."""
        ...

    async def make_link(self, name: str, caller: Caller) -> Json:
        """{name, link, link_until}; `link` begins with "/". Refused `not_found`, `disabled`."""
        ...


class Alerts(Protocol):
    """Alerts to people, and the channels they go by."""

    async def find(
        self,
        caller: Caller,
        *,
        site: str | None = None,
        kind: str | None = None,
        is_open: bool | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Newest first: {id, kind, severity, site, company, state (open, over), raised, cleared, last_told,
        reminders, count, message, action, about [...], targets [{channel, phase, state (pending, sent,
        given_up), tries, since, last_try, next_try, error}]}; of a caller with a site, its own only."""
        ...

    async def channels(self, caller: Caller) -> list[Json]:
        """{name, target (without secrets), sites, companies, roles, kinds, at_least, cleared, waiting,
        last_error}."""
        ...

    async def test(self, channel: str | None, caller: Caller) -> list[Json]:
        """Send a test message now, to one channel or to all: {channel, target, ok, problem, took_s}.
        Refused `not_found`."""


class Messages(Protocol):
    """Texts for users to read."""

    async def send(
        self,
        text: str,
        caller: Caller,
        *,
        site: str | None = None,
        company: str | None = None,
        user: str | None = None,
        sessions: list[str] | None = None,
    ) -> Json:
        """To all active sessions that fit: {reached, not_reached (fallen ones), users [name...], unknown [id
        of sessions...]}. Refused `nobody`, `bad_text`, `too_many`."""
        ...


class Maintenance(Protocol):
    """Planned closing of sites and companies."""

    def windows(self, caller: Caller) -> list[Json]:
        """Planned and begun, by beginning: {id, site, company, from, until, text, force, by, state (planned,
        started)}."""
        ...

    async def plan(
        self,
        caller: Caller,
        *,
        site: str,
        company: str | None,
        begins: int | None,
        ends: int,
        text: str,
        force: bool,
    ) -> Json:
        """The item. Moments are wall ms; `begins` None: now. Refused `bad_time`, `bad_text`, `too_many`."""
        ...

    async def end(self, ident: int, caller: Caller, reason: str | None = None) -> Json:
        """A planned one is cancelled, a begun one ends: the item, `state` cancelled or ended. Refused
        `not_found`."""
        ...


class Operations(Protocol):
    """The engine, as operators see it; departments of their own are reached by name."""

    @property
    def followups(self) -> Followups: ...

    @property
    def messages(self) -> Messages: ...

    @property
    def maintenance(self) -> Maintenance: ...

    @property
    def operators(self) -> Operators: ...

    @property
    def alerts(self) -> Alerts: ...

    async def sessions(self, query: SessionQuery, caller: Caller) -> Page:
        """Items: id, site, company, user, client, machine, address, app, os_session, conn, status, reason,
        since, last_seen, at, deadline (null unless active), disconnected_at, ended_at, ended_by, lost (bool),
        idle (bool), idle_s, activity, held_back (bool), source, guidance (ids of the rules that apply),
        locks [{resource, mode, token, since, sticky, activity, guidance, rule, release_at}],
        blocks [{session, user, machine, client, resource, mode, since, waiting}].
        Refused `bad_cursor`, `bad_sort`."""
        ...

    async def matching(
        self, query: SessionQuery, caller: Caller, before_wall_ms: int | None = None
    ) -> list[str]:
        """The ids of all live sessions that match, in no order; with `before_wall_ms` only of those that had
        fallen, or come in where they are active, by then."""
        ...

    async def session(self, ident: str, caller: Caller) -> Json | None:
        """One item as above, ended ones too; None if never known or pruned."""
        ...

    async def logoff(
        self,
        ids: list[str],
        caller: Caller,
        *,
        force: bool = False,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Json]:
        """One result per id, in order: {id, result, released [resource...], held [{resource, release_at}],
        sticky [resource...], freed [{session, user, machine, resource}] (who was waiting or refused),
        guidance [{id, severity, before, after, resource}], followups [{id (null before the removal), rule,
        severity, resource, text}]}; `result` removed, already_over, needs_force, not_found (rule 15). With
        `dry_run`: the same, `result` would_remove for those that would go; nothing changes."""
        ...

    async def locks(
        self,
        caller: Caller,
        *,
        site: str | None = None,
        company: str | None = None,
        resource: str | None = None,
    ) -> list[Json]:
        """{site, company, resource, mode, token, since, sticky, left_behind, release_at, activity, guidance,
        rule, session, user, machine, client, status, blocks [as above]}."""
        ...

    async def find_locks(self, query: LockQuery, caller: Caller) -> Page:
        """A page of the same items. Refused `bad_sort`."""
        ...

    async def free_lock(
        self, site: str, company: str, resource: str, caller: Caller, reason: str | None
    ) -> Json:
        """Free a lock left behind (rule 6): {resource, released}. Refused `not_found`, `in_use`."""
        ...

    async def cleanup(self, caller: Caller) -> Json:
        """{enabled, every_s, next_at, running (pass or null), waiting_for (list of reasons: blind, grace,
        storage), last (report or null), holds [{site, company, client, opened, until, sessions}]}."""
        ...

    async def switch_cleanup(self, enabled: bool, caller: Caller) -> Json: ...

    async def run_cleanup(self, caller: Caller, *, dry_run: bool = False) -> Json:
        """The report of the pass, finished (or waiting: `state` waiting); with `dry_run` what it would do.
        {id, state, started, finished, by, scheduled, dry_run, companies [{site, company, removed, released,
        held_back, skipped, failed (text or null)}], removed, released, held_back, skipped, failed}; of a
        caller with a site, its companies and their sums only."""
        ...

    async def confirm(self, site: str, company: str | None, client: str | None, caller: Caller) -> Json:
        """Let a mass silence that is held back be cleaned up (rule 9): {confirmed: n}.
        Refused `not_found`."""
        ...

    async def passes(self, limit: int, caller: Caller) -> list[Json]: ...

    async def companies(self, caller: Caller) -> list[Json]:
        """{site, company, active, disconnected, locks, waiting}."""
        ...

    async def history(self, query: HistoryQuery, caller: Caller) -> Page:
        """Items {seq, at, type, site, company, session, user, actor, reason, data}, newest first. `total`
        counts all that match, but of what no index leads to only the newest half million are looked at."""
        ...

    async def stats(self, caller: Caller) -> Json:
        """{name, version, started_at, now, sessions {status: n}, by_client {client: {status: n}}, locks,
        waiting, blocked, companies, sites, heartbeats_total, blind (bool), sources {name: {seeing, since,
        grace_until, last_proof}}, storage {ok, kind, problem}, outbox, ready (bool), problems [str],
        cleanup {enabled, next_at, running (bool)}, followups {open, critical}, maintenance
        [window...], sign_in {mqtt: bool}}; of a caller with a site, its sessions, locks, companies,
        follow-ups and windows only."""
        ...

    async def day(self, caller: Caller) -> Json:
        """The last 24 hours: {slot_s, slots [{at (epoch seconds), active, disconnected (most at once), fell,
        came_back, lag_s (mean) or null}]}, oldest first; of the whole daemon."""
        ...

    def problems(self) -> list[str]:
        """Why the daemon is not ready, in words; empty when it sees and stores. Cheap, never waits."""
        ...

    def changes(self, caller: Caller, last_id: str | None = None) -> AsyncIterator[tuple[str, str, Json]]:
        """(event id, type, event item as in history) from now on, or after `last_id`; ends when the daemon
        stops. A slow listener loses the oldest and gets one ("", "missed", {}) instead."""
        ...

    def stirs(self, caller: Caller) -> AsyncIterator[tuple[str, str, Json]]:
        """("", "changed", {what [first words of event types]}) after events that concern the caller, those of
        a second together; ends when the daemon stops."""
        ...

    async def backup(self, path: str, caller: Caller) -> Json:
        """{path, bytes}. Refused `exists`, `bad_path`."""
        ...

    async def reload(self, caller: Caller) -> Json:
        """{changed [key...], needs_restart [key...]}. Refused `settings` with the problems."""
        ...

    async def list_tokens(self, caller: Caller) -> list[Json]:
        """{name, role, site, created}."""
        ...

    async def create_token(self, name: str, role: str, site: str | None, caller: Caller) -> Json:
        """{name, role, site, token}: the token is shown this once. Refused `exists`."""
        ...

    async def revoke_token(self, name: str, caller: Caller) -> None: ...

    def authenticate(self, token: str) -> Caller | None:
        """A bearer token's caller; constant time in the token."""
        ...

    async def list_accounts(self, caller: Caller) -> list[Json]:
        """{name, role, site, user, created}."""
        ...

    async def add_account(self, name: str, role: str, site: str, user: str | None, caller: Caller) -> Json:
        """{name, role, site, user, password}: the password is shown this once. Refused `exists`."""
        ...

    async def remove_account(self, name: str, caller: Caller) -> None: ...
