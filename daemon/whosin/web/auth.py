"""Who asks, and whether they may: bearer tokens, web sessions, roles, and the one site that limits somebody.

Owns 401, 403 and 429 for the API and the page. Tokens and sessions themselves are the desk's
(`Operations.authenticate`, `Operations.operators`); cookies and origins are `cookies`'.
"""

import hmac
from collections.abc import Callable
from typing import Annotated

import structlog
from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from whosin.operations import ROLES, Caller, Operations, SignedIn
from whosin.web.backoff import Backoff, network
from whosin.web.cookies import SAFE_METHODS, Front
from whosin.web.hosts import is_loopback_name
from whosin.web.problem import Problem
from whosin.web.rates import Rates

CSRF_HEADER = "x-csrf-token"
_LONGEST_TOKEN = 512
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

log = structlog.get_logger("whosin.web")


class Gatekeeper:
    """Decides about one request at a time. `open_on_loopback`: only this machine reaches the listener."""

    def __init__(
        self,
        operations: Operations,
        backoff: Backoff,
        *,
        open_on_loopback: bool,
        front: Front | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.front = front or Front()
        self._rates = rates
        self._operations = operations
        self._backoff = backoff
        self._open_on_loopback = open_on_loopback

    def admit(self, request: HTTPConnection, role: str, *, token_in_form: bool = False) -> Caller:
        """The caller, who has at least `role`; raises the problem otherwise. With `token_in_form` the CSRF
        token is still to be looked for there, by `check_csrf`."""
        request.state.signed_in = None
        if "authorization" in request.headers:
            caller, what = self._by_token(request, self._token_sent(request)), "token"
            self.count(f"token {caller.name}")
        else:
            signed_in = self.signed_in(request)
            if signed_in is None:
                self.count_stranger(request)
                raise self._nobody(request)
            self.count(f"{signed_in.kind} {signed_in.caller.name}")
            if request.scope["method"] not in SAFE_METHODS:
                self.front.check_origin(request)
                if not token_in_form or CSRF_HEADER in request.headers:
                    check_csrf(signed_in, request.headers.get(CSRF_HEADER))
            request.state.signed_in = signed_in
            caller, what = signed_in.caller, signed_in.kind
        if _level(caller.role) < _level(role):
            detail = f'This needs the role {role}; the {what} "{caller.name}" has the role {caller.role}.'
            raise Problem(403, "role", detail, needs=role, has=caller.role)
        return caller

    def count(self, who: str) -> None:
        """One more request of this caller; raises 429 for one too many."""
        wait_s = self._rates.wait_s(who) if self._rates is not None else 0
        if wait_s:
            detail = f"Too many requests; ask again in {wait_s} s, and more slowly (limits.requests_per_s)."
            raise Problem(429, "too_many_requests", detail, headers={"Retry-After": str(wait_s)})

    def count_stranger(self, request: HTTPConnection) -> None:
        """One more request of nobody that is known: its address counts."""
        self.count(f"address {network(self.front.address_of(request))}")

    def _token_sent(self, request: HTTPConnection) -> str:
        try:
            return bearer_token(request)
        except Problem:
            self.count_stranger(request)
            raise

    def signed_in(self, request: HTTPConnection) -> SignedIn | None:
        """Who the request's cookie says it is; nothing else is checked."""
        secret = self.front.session_of(request)
        return None if secret is None else self._operations.operators.web_session(secret)

    def local(self, request: HTTPConnection) -> bool:
        """Whether this request needs no token where the contract opens something on loopback: it came to a
        loopback listener, under a loopback name, and no proxy passed it on for somebody else."""
        return (
            self._open_on_loopback
            and is_loopback_name(request.headers.get("host", ""))
            and not any(header in request.headers for header in _PROXY_HEADERS)
        )

    def watch(self, request: HTTPConnection, caller: Caller) -> Callable[[], bool]:
        """For long answers: whether who was admitted still may what they might when it began."""
        if "authorization" in request.headers:
            token = bearer_token(request)
            return lambda: self._operations.authenticate(token) == caller

        def still() -> bool:
            signed_in = self.signed_in(request)
            return signed_in is not None and signed_in.caller == caller

        return still

    def _nobody(self, request: HTTPConnection) -> Problem:
        if self.front.session_of(request) is None:
            return _unauthorised('This needs a token: send the header "Authorization: Bearer TOKEN".')
        return _unauthorised("You are signed out, or were for too long without asking.", "signed_out")

    def _by_token(self, request: HTTPConnection, token: str) -> Caller:
        address = self.front.address_of(request)
        wait_s = self._backoff.wait_s(address, token)
        if wait_s:
            detail = f"Too many wrong tokens; try again in {wait_s} s."
            raise Problem(429, "too_many_failures", detail, headers={"Retry-After": str(wait_s)})
        caller = self._operations.authenticate(token)
        if caller is None:
            self.count_stranger(request)
            if self._backoff.failed(address, token):
                log.warning("http.sign_in_slowed", address=address)
            raise _unauthorised("The token is not known here; it may have been revoked.", "invalid_token")
        self._backoff.succeeded(token)
        return caller


def check_csrf(signed_in: SignedIn, sent: str | None) -> None:
    """Raises 403 unless the request brought the session's token along."""
    if sent is None:
        detail = f"A signed-in browser has to send its token along, in the header {CSRF_HEADER}."
        raise Problem(403, "csrf_needed", detail)
    if not hmac.compare_digest(sent.encode("utf-8", "surrogatepass"), signed_in.csrf.encode()):
        raise Problem(403, "csrf", "The CSRF token is not this session's: load the page again.")


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
    told = f', error="{error}"' if error == "invalid_token" else ""
    headers = {"WWW-Authenticate": f'Bearer realm="whosin"{told}'}
    return Problem(401, error or "token_needed", detail, headers=headers)


def _level(role: str) -> int:
    return ROLES.index(role) if role in ROLES else -1


def gatekeeper_of(request: HTTPConnection) -> Gatekeeper:
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    return gatekeeper


def caller_of(request: Request) -> Caller:
    """The caller whom the route's guard has admitted."""
    caller: Caller = request.state.caller
    return caller


def signed_in_of(request: Request) -> SignedIn | None:
    """The web session by which the route's guard has admitted the caller; None for a bearer token."""
    signed_in: SignedIn | None = request.state.signed_in
    return signed_in


def csrf_of(request: Request) -> str:
    """What the page has to send along with whatever changes something; "" for a bearer token."""
    signed_in = signed_in_of(request)
    return signed_in.csrf if signed_in is not None else ""


def operations_of(request: Request) -> Operations:
    operations: Operations = request.app.state.operations
    return operations


Who = Annotated[Caller, Depends(caller_of)]
Session = Annotated[SignedIn | None, Depends(signed_in_of)]
Csrf = Annotated[str, Depends(csrf_of)]
Engine = Annotated[Operations, Depends(operations_of)]


def may_reach(caller: Caller, site: str) -> None:
    """A command to one site; who is limited to another gives none."""
    if caller.site is not None and caller.site != site:
        detail = f'"{caller.name}" is limited to the site {caller.site}, and can do nothing at {site}.'
        raise Problem(403, "site", detail, limited_to=caller.site)


def may_reach_all(caller: Caller, what: str) -> None:
    """Something that concerns every site; who is limited to one may not."""
    if caller.site is not None:
        detail = f'"{caller.name}" is limited to the site {caller.site}; {what} concerns every site.'
        raise Problem(403, "site", detail, limited_to=caller.site)
