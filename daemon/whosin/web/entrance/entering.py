"""Signing in, for the API and the page alike: slowed down by name and place, one answer for every failure.

Owns what surrounds the desk's own check: the back-off, the cookies, and what a refusal becomes.
"""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
from starlette.requests import Request
from starlette.responses import Response

from whosin.errors import Refused, StoreError
from whosin.operations import Fresh
from whosin.web.auth import gatekeeper_of, operations_of
from whosin.web.backoff import GuessBackoff
from whosin.web.problem import Problem

LONGEST_NAME = 64
LONGEST_TOKEN = 512

log = structlog.get_logger("whosin.web")


async def by_password(request: Request, name: str, password: str) -> Fresh:
    """Raises 403 `wrong_password`, 429 `too_many_failures`, 503 `busy`."""
    operators, front = operations_of(request).operators, gatekeeper_of(request).front
    name, address = name[: LONGEST_NAME + 1].casefold(), front.address_of(request)
    device = operators.device(name, front.device_of(request) or "")
    return await _slowed(request, name, device, lambda: operators.sign_in(name, password, address))


async def by_token(request: Request, token: str) -> Fresh:
    """Raises 403 `wrong_token`, 429."""
    operators, address = operations_of(request).operators, gatekeeper_of(request).front.address_of(request)
    token = token.strip()[:LONGEST_TOKEN]
    return await _slowed(request, "", None, lambda: operators.sign_in_with_token(token, address))


async def own_password(request: Request, old: str, new: str) -> Fresh:
    """Change it. Raises 403 `wrong_password`, 429 and what `Operators.change_password` refuses."""
    operators, front = operations_of(request).operators, gatekeeper_of(request).front
    name, address = request.state.caller.name.casefold(), front.address_of(request)
    secret = front.session_of(request) or ""
    return await _slowed(request, name, "own", lambda: operators.change_password(secret, old, new, address))


async def _slowed(
    request: Request, name: str, device: str | None, attempt: Callable[[], Awaitable[Fresh]]
) -> Fresh:
    guesses: GuessBackoff = request.app.state.guesses
    address = gatekeeper_of(request).front.address_of(request)
    wait_s = guesses.begin(address, name, device)
    if wait_s:
        detail = f"Too many wrong attempts; try again in {wait_s} s."
        raise Problem(429, "too_many_failures", detail, headers={"Retry-After": str(wait_s)})
    try:
        fresh = await attempt()
    except Refused as error:
        if error.code not in ("wrong_password", "wrong_token"):
            guesses.not_wrong(address, name, device, right=False)
        refuse(error)
    except StoreError:
        guesses.not_wrong(address, name, device, right=False)
        raise
    guesses.not_wrong(address, name, device, right=True)
    return fresh


def refuse(error: Refused) -> NoReturn:
    """A refusal of signing in as a problem."""
    text = str(error)
    detail = f"{text[:1].upper()}{text[1:]}."
    match error.code:
        case "wrong_password" | "wrong_token" | "bad_link":
            raise Problem(403, error.code, detail) from None
        case "bad_name":
            raise Problem(400, error.code, detail) from None
        case "busy":
            raise Problem(503, "busy", detail, headers={"Retry-After": "2"}) from None
        case _:
            raise Problem(409, error.code, detail) from None


def with_cookies(answer: Response, request: Request, fresh: Fresh) -> Response:
    """The answer that begins the session in the browser."""
    front = gatekeeper_of(request).front
    answer.headers.append("Set-Cookie", front.session_cookie(request, fresh.secret))
    if fresh.device is not None:
        answer.headers.append("Set-Cookie", front.device_cookie(request, fresh.device))
    return answer


def without_cookie(answer: Response, request: Request) -> Response:
    answer.headers.append("Set-Cookie", gatekeeper_of(request).front.session_cookie(request, ""))
    return answer
