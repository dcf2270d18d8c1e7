"""A refusal as people get it: who is not signed in is sent to the form, all else is a page that says why.

Programs get problem details, and so does whoever asks the API; this is for requests that ask for text/html,
and for parts of a page (htmx).
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from whosin.web.entrance.addresses import sign_in_address
from whosin.web.entrance.documents import refusal
from whosin.web.guard import BASE
from whosin.web.problem import Problem


def for_people(problem: Problem, request: Request) -> Response | None:
    """None for a program, which gets the problem itself."""
    if "hx-request" in request.headers:
        return _for_a_part(problem, request) if problem.status == 401 else None
    if "text/html" not in request.headers.get("accept", "") or request.url.path.startswith(f"{BASE}/"):
        return None
    if problem.status == 401 and "authorization" not in request.headers:
        return RedirectResponse(sign_in_address(_here(request)), 303)
    return refusal(problem)


def _for_a_part(problem: Problem, request: Request) -> Response:
    """The whole page goes to the form: it comes back to where it was."""
    parts = urlsplit(request.headers.get("hx-current-url", "")[:4000])
    here = parts.path + (f"?{parts.query}" if parts.query else "")
    answer = problem.response(request.url.path)
    answer.headers["HX-Redirect"] = sign_in_address(here)
    return answer


def _here(request: Request) -> str:
    if request.method not in ("GET", "HEAD"):
        return "/"
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")
