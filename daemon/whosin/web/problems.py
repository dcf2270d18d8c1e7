"""Which exception becomes which refusal: the one table. Must not know any route."""

from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from whosin.errors import Refused, StoreError
from whosin.web.entrance.refusals import for_people
from whosin.web.problem import Problem

Json = dict[str, Any]

_STATUS_OF_CODE = {
    "bad_cursor": 400,
    "bad_sort": 400,
    "bad_path": 400,
    "bad_name": 400,
    "bad_role": 400,
    "bad_site": 400,
    "bad_resource": 400,
    "schema": 400,
    "bad_text": 400,
    "bad_time": 400,
    "nobody": 400,
    "too_many": 429,
    "forbidden": 403,
    "not_found": 404,
}
"""Of `errors.Refused`; every other code is a 409: understood, and not possible as things stand."""


def install(app: FastAPI) -> None:
    """Let every exception of the app leave as a problem."""
    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(Refused, _answer)
    app.add_exception_handler(StoreError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(Exception, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    problem = problem_of(error, request)
    return for_people(problem, request) or problem.response(request.url.path)


def problem_of(error: Exception, request: Request) -> Problem:
    """The one table from exceptions to problems. What is not expected says nothing of the inside."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid(error, request)
        case Refused():
            return Problem(_STATUS_OF_CODE.get(error.code, 409), error.code, str(error))
        case StoreError():
            detail = f"Nothing can be made durable now ({error.kind}): {error}. Nothing was done; try again."
            return Problem(503, "storage", detail, headers={"Retry-After": "5"}, storage=error.kind)
        case HTTPException():
            return _http(error, request)
        case _:
            detail = "Whosin failed to answer this. The log has the details."
            return Problem(500, "internal", detail)


def _http(error: HTTPException, request: Request) -> Problem:
    headers = dict(error.headers) if error.headers else None
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path}; the API is described at /api/v1/openapi.json."
        return Problem(404, "not_found", detail, headers=headers)
    if error.status_code == 405:
        allowed = ", ".join(_methods_at(request)) or (headers or {}).get("Allow", "other methods")
        detail = f"{request.method} is not possible here; allowed: {allowed}."
        return Problem(405, "method_not_allowed", detail, headers={"Allow": allowed})
    return Problem(error.status_code, "http", str(error.detail), headers=headers)


def _methods_at(request: Request) -> list[str]:
    """Every method of this path; the router itself tells those of one of its routes only."""
    path, routes = request.url.path, request.app.state.routes
    here = [route for route in routes if route.path == path]  # else one whose parameter matches
    here = here or [route for route in routes if route.path_regex.match(path)]
    return sorted({method for route in here for method in route.methods})


def _invalid(error: RequestValidationError, request: Request) -> Problem:
    wrong = [_wrong(item, request) for item in error.errors()]
    text = "; ".join(_sentence(item) for item in wrong[:3])
    return Problem(400, "invalid", f"{text}.", errors=wrong[:100])


def _sentence(wrong: Json) -> str:
    return (
        f"{wrong['in']} {wrong['field']}: {wrong['message']}"
        if wrong["field"]
        else f"{wrong['in']}: {wrong['message']}"
    )


def _wrong(item: Any, request: Request) -> Json:
    place, *path = item["loc"]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = _unknown(str(path[-1]), _known_names(request, str(place)))
    return {"in": str(place), "field": field, "message": message}


def _unknown(name: str, known: list[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    guess = f'; did you mean "{nearest[0]}"?' if nearest else ""
    return f"not known here{guess} (known: {', '.join(known) or 'none'})"


def _known_names(request: Request, place: str) -> list[str]:
    """What the endpoint's model of this place (`body` or `query`) knows."""
    hints = get_type_hints(request.scope["endpoint"])
    for name, hint in hints.items():
        for kind in (hint, *get_args(hint)):
            if (
                isinstance(kind, type)
                and issubclass(kind, BaseModel)
                and (name == "body") == (place == "body")
            ):
                return sorted(kind.model_fields)
    return []
