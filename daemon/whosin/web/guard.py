"""What every API route goes through, in this order: who asks, role, query, the body's size and shape.

A stranger's body is never read. Bodies are read here rather than by the framework, so that they are bounded,
and so that a body with the same name twice cannot mean two things. Nothing that is given is silently
ignored: a `dry_run` in the wrong place must not become the real thing. Knows no route.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from whosin.web.auth import gatekeeper_of
from whosin.web.cookies import SAFE_METHODS
from whosin.web.problem import Problem

BASE = "/api/v1"
BODY_LIMIT = 1024 * 1024
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BoundedRequest(Request):
    """A request whose JSON body has been read already."""

    _loaded: bytes = b""
    _parsed: Any = None

    async def load(self) -> None:
        """Read and parse the body; raises 413, 415 or 400."""
        await self.take()
        if self._loaded:
            self._check_type()
            self._parsed = parse(self._loaded)

    async def take(self) -> bytes:
        """Only read the body; raises 413 or 400."""
        too_large = Problem(
            413, "too_large", f"The body is larger than {BODY_LIMIT} bytes.", limit=BODY_LIMIT
        )
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            raise too_large
        received = bytearray()
        try:
            async for chunk in self.stream():
                received += chunk
                if len(received) > BODY_LIMIT:
                    raise too_large
        except ClientDisconnect:
            raise Problem(400, "broken_off", "The connection broke before the body was complete.") from None
        self._loaded = bytes(received)
        return self._loaded

    async def body(self) -> bytes:
        return self._loaded

    async def json(self) -> Any:
        return self._parsed

    def _check_type(self) -> None:
        sent = self.headers.get("content-type", "")
        media_type = sent.partition(";")[0].strip().lower()
        if media_type != "application/json":
            found = f'"{sent}"' if sent else "none"
            detail = f"The body must be JSON: Content-Type is {found}; expected application/json."
            raise Problem(415, "media_type", detail)


def parse(body: bytes) -> Any:
    """Strict JSON in UTF-8: no name twice, no NaN, and never deeper than Python can follow."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, "json", f"The body is not JSON: {reason}.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'"{twice}" is given twice')
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def check_query(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    if names and request.method in _WITH_BODY:
        detail = f'"{names[0]}" stands in the query; a command takes everything in its JSON body.'
        raise Problem(400, "no_query", detail)
    twice = [name for name in names if names.count(name) > 1][:1]
    if twice:
        raise Problem(400, "twice", f'"{twice[0]}" is given twice in the query.')


class GuardedRoute(APIRoute):
    """A route for callers with at least `role`; None: for everybody."""

    role: ClassVar[str | None]

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        role = self.role
        takes_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            gatekeeper = gatekeeper_of(request)
            if role is not None:
                request.state.caller = gatekeeper.admit(request, role)
            else:
                gatekeeper.count_stranger(request)
                if request.method not in SAFE_METHODS:
                    gatekeeper.front.check_origin(request)
            check_query(request)
            if request.method not in _WITH_BODY:
                return await handle(request)
            bounded = BoundedRequest(request.scope, request.receive)
            await bounded.load()
            if not takes_body and await bounded.json() not in (None, {}):
                raise Problem(400, "no_body", "Nothing can be given here; the body must be empty.")
            return await handle(bounded)

        return guarded


class ForEverybody(GuardedRoute):
    role = None


class ForViewers(GuardedRoute):
    role = "viewer"


class ForOperators(GuardedRoute):
    role = "operator"


class ForAdministrators(GuardedRoute):
    role = "administrator"


def api(tag: str, route_class: type[GuardedRoute]) -> APIRouter:
    """A router of the API whose routes all need the role of the route class."""
    return APIRouter(prefix=BASE, tags=[tag], route_class=route_class)
