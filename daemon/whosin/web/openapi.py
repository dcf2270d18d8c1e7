"""The description of the API, completed: security, the problems each route can answer, the media types.

Built once, when first asked for. Knows the routes only as the framework lists them.
"""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from whosin.web.examples import EXAMPLES
from whosin.web.guard import BASE, GuardedRoute
from whosin.web.problem import MEDIA_TYPE

Json = dict[str, Any]

_DESCRIPTION = """Who is in, who fell out, and what they still lock.

Programs send a bearer token (`whosin tokens create NAME --role ROLE`), people sign in and have a cookie. Both
may be limited to one site: lists then show that site only, ids of other sites are not found, and commands to
other sites are refused.
Refusals are problem details (RFC 9457) whose `code` is for programs. Unknown parameters and fields are
refused, never ignored.
"""
_TAGS = [
    {"name": "sessions", "description": "Logins: find, show, log off."},
    {"name": "locks", "description": "What sessions hold, and whom it blocks."},
    {"name": "cleanup", "description": "The periodic removal of disconnected logins."},
    {"name": "guidance", "description": "What to do before and after a removal, and what is left to do."},
    {"name": "maintenance", "description": "Messages to users; planned closing of sites and companies."},
    {"name": "overview", "description": "Companies, numbers, history."},
    {"name": "alerts", "description": "What people were told, and by which channels."},
    {"name": "events", "description": "What happens, as it happens."},
    {"name": "signing in", "description": "Web sessions: begin, end, who am I."},
    {"name": "operators", "description": "The people who may sign in."},
    {"name": "administration", "description": "Tokens, accounts, backup, reload."},
    {"name": "health", "description": "For machines that look after the daemon."},
]
_PROBLEMS = {
    "400": "The question is not well-formed; `errors` tells what is wrong where.",
    "401": "No token or session, or one that is not known any more.",
    "403": "The caller's role or site does not reach this; or the CSRF token is missing or wrong.",
    "404": "Not found.",
    "409": "Understood, and not possible as things stand.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "Too many wrong attempts, or too much asked; see Retry-After.",
    "503": "Nothing can be made durable now, or too much is asked at once.",
}

router = APIRouter(include_in_schema=False)


@router.get(f"{BASE}/openapi.json")
async def openapi(request: Request) -> Response:
    """Open to everyone: it tells nothing of this installation."""
    state = request.app.state
    if state.described is None:
        state.described = await asyncio.to_thread(lambda: msgspec.json.encode(describe(request.app)))
    return Response(state.described, media_type="application/json", headers={"Cache-Control": "no-cache"})


def describe(app: FastAPI) -> Json:
    """The whole document as JSON-ready data."""
    found = get_openapi(
        title="Whosin",
        version=app.version,
        summary="Session tracking for multi-user, multi-company business systems",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=_TAGS,
    )
    components = found.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the API."},
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": "whosin-8787",
            "description": "A browser; its name ends in the port, and begins with __Host- by HTTPS.",
        },
        "csrf": {
            "type": "apiKey", "in": "header", "name": "X-CSRF-Token",
            "description": "With the cookie, for whatever changes something: `csrf` of `GET me`.",
        },
    }  # fmt: skip
    schemas = components["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    roles = _roles(app)
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(operation, method, path, roles.get((method, path), ""))
    return found


def _roles(app: FastAPI) -> dict[tuple[str, str], str | None]:
    roles: dict[tuple[str, str], str | None] = {}
    for route in app.state.routes:
        if isinstance(route, GuardedRoute):
            roles.update(((method.lower(), route.path_format), route.role) for method in route.methods or ())
    return roles


def _complete(operation: Json, method: str, path: str, role: str | None) -> None:
    responses = operation["responses"]
    for asked in operation.get("parameters", ()):
        if asked["in"] == "query":
            _may_be_empty(asked)
    responses.pop("422", None)
    if role == "":
        return
    if role is not None:
        by_cookie: Json = {"cookie": []} if method == "get" else {"cookie": [], "csrf": []}
        operation["security"] = [{"bearer": []}, by_cookie]
        operation["x-role"] = role
        needs = f"Needs the role **{role}**."
        operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()
    for status in _possible(method, path):
        responses.setdefault(status, {"description": _PROBLEMS[status], "content": _PROBLEM_CONTENT})


def _may_be_empty(asked: Json) -> None:
    """A filter that is empty counts as one that is not given."""
    schema = asked["schema"]
    branches = schema.get("anyOf", [schema])
    if any(set(one) <= {"type", "maxLength", "title"} and one["type"] == "string" for one in branches):
        return
    told = {name: schema[name] for name in ("title", "default", "description", "examples") if name in schema}
    rest = {name: value for name, value in schema.items() if name not in told}
    choices = rest.pop("anyOf", None) or [rest]
    asked["schema"] = {**told, "anyOf": [*choices, {"type": "string", "maxLength": 0}]}


_PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}


def _possible(method: str, path: str) -> list[str]:
    statuses = ["400", "401", "403", "429", "503"]
    if "{" in path:
        statuses.append("404")
    if method != "get":
        statuses += ["404", "409", "413", "415"]
    return sorted(set(statuses))
