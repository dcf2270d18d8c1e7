"""Who asks, and whether they may: bearer tokens, roles, and the one site a token may be limited to.

Owns 401, 403 and 429 for the API. Tokens themselves are the engine's (`Operations.authenticate`).
"""

from typing import Annotated

import structlog
from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from whosin.operations import Caller, Operations
from whosin.web.backoff import Backoff
from whosin.web.hosts import is_loopback_name
from whosin.web.problem import Problem

ROLES = ("viewer", "operator", "administrator")
"""Rising: each may do what those before it may."""

_LONGEST_TOKEN = 512
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

log = structlog.get_logger("whosin.web")


class Gatekeeper:
    """Decides about one request at a time. `open_on_loopback`: only this machine reaches the listener."""

    def __init__(self, operations: Operations, backoff: Backoff, *, open_on_loopback: bool) -> None:
        self._operations = operations
        self._backoff = backoff
        self._open_on_loopback = open_on_loopback

    def admit(self, request: HTTPConnection, role: str) -> Caller:
        """The caller, who has at least `role`; raises the problem otherwise."""
        caller = self._signed_in(request, bearer_token(request))
        if _level(caller.role) < _level(role):
            detail = f'This needs the role {role}; the token "{caller.name}" has the role {caller.role}.'
            raise Problem(403, "role", detail, needs=role, has=caller.role)
        return caller

    def local(self, request: HTTPConnection) -> bool:
        """Whether this request needs no token where the contract opens something on loopback: it came to a
        loopback listener, under a loopback name, and no proxy passed it on for somebody else."""
        return (
            self._open_on_loopback
            and is_loopback_name(request.headers.get("host", ""))
            and not any(header in request.headers for header in _PROXY_HEADERS)
        )

    def still_valid(self, token: str) -> bool:
        """For long answers: the token has not been revoked meanwhile."""
        return self._operations.authenticate(token) is not None

    def _signed_in(self, request: HTTPConnection, token: str) -> Caller:
        address = request.client.host if request.client else ""
        wait_s = self._backoff.wait_s(address, token)
        if wait_s:
            detail = f"Too many wrong tokens; try again in {wait_s} s."
            raise Problem(429, "too_many_failures", detail, headers={"Retry-After": str(wait_s)})
        caller = self._operations.authenticate(token)
        if caller is None:
            if self._backoff.failed(address, token):
                log.warning("http.sign_in_slowed", address=address)
            raise _unauthorised("The token is not known here; it may have been revoked.", "invalid_token")
        self._backoff.succeeded(token)
        return caller


def bearer_token(request: HTTPConnection) -> str:
    """The token as sent; raises 401 when there is none that could be one."""
    sent = request.headers.getlist("authorization")
    scheme, _, token = (sent[0] if len(sent) == 1 else "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise _unauthorised('This needs a token: send the header "Authorization: Bearer TOKEN".')
    if len(token) > _LONGEST_TOKEN:
        raise _unauthorised("This is too long to be a token.", "invalid_token")
    return token


def _unauthorised(detail: str, error: str | None = None) -> Problem:
    challenge = 'Bearer realm="whosin"' + (f', error="{error}"' if error else "")
    return Problem(401, error or "token_needed", detail, headers={"WWW-Authenticate": challenge})


def _level(role: str) -> int:
    return ROLES.index(role) if role in ROLES else -1


def caller_of(request: Request) -> Caller:
    """The caller whom the route's guard has admitted."""
    caller: Caller = request.state.caller
    return caller


def operations_of(request: Request) -> Operations:
    operations: Operations = request.app.state.operations
    return operations


Who = Annotated[Caller, Depends(caller_of)]
Engine = Annotated[Operations, Depends(operations_of)]


def may_reach(caller: Caller, site: str) -> None:
    """A command to one site; a token that is limited to another gives none."""
    if caller.site is not None and caller.site != site:
        detail = (
            f'The token "{caller.name}" is limited to the site {caller.site}; it can do nothing at {site}.'
        )
        raise Problem(403, "site", detail, limited_to=caller.site)


def may_reach_all(caller: Caller, what: str) -> None:
    """Something that concerns every site; a token that is limited to one may not."""
    if caller.site is not None:
        detail = (
            f'The token "{caller.name}" is limited to the site {caller.site}; {what} concerns every site.'
        )
        raise Problem(403, "site", detail, limited_to=caller.site)
