"""The small pages as documents: no script, nothing from elsewhere, light and dark, and every text escaped.

Owns what each is given to show, and what a browser may do with it. Their look and words are templates and
texts of the page. Must not know who may do what.
"""

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from starlette.responses import Response

from whosin.operations import SignedIn
from whosin.web.page.render import html
from whosin.web.problem import Problem


@cache
def _style() -> str:
    file = resources.files("whosin.web.page").joinpath("templates", "entrance", "entrance.css")
    return file.read_text(encoding="utf-8")


@cache
def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


def _document(
    template: str, status: int = 200, headers: dict[str, str] | None = None, /, **shown: Any
) -> Response:
    policy = {"Content-Security-Policy": _policy()}
    shown = {"style": _style(), "problem": None, **shown}
    return html(f"entrance/{template}.html", status, policy | (headers or {}), **shown)


def sign_in(next_: str, name: str = "", problem: Problem | None = None, *, nobody: bool = False) -> Response:
    """The form. `nobody`: there is no operator yet."""
    return _form("sign_in", problem, next=next_, name=name, nobody=nobody)


def link(code: str, whose: str | None, name: str = "", problem: Problem | None = None) -> Response:
    """Choose a password: the first administrator (`whose` None) chooses a name too."""
    return _form("link", problem, code=code, whose=whose, name=name)


def dead_link() -> Response:
    return _document("dead_link", 410)


def account(
    signed_in: SignedIn, sessions: int | None, problem: Problem | None = None, *, changed: bool = False
) -> Response:
    """Who one is, one's own password, and the way out. `changed`: the password just was."""
    return _form(
        "account", problem,
        who=signed_in.caller, csrf=signed_in.csrf, has_password=signed_in.kind == "operator",
        sessions=sessions, changed=changed,
    )  # fmt: skip


def refusal(problem: Problem) -> Response:
    """Why this cannot be."""
    return _document("refusal", problem.status, problem.headers, status=problem.status, why=problem.detail)


def _form(template: str, problem: Problem | None, /, **shown: Any) -> Response:
    """With what was wrong in it, if something was."""
    if problem is None:
        return _document(template, **shown)
    headers = {name: value for name, value in (problem.headers or {}).items() if name == "Retry-After"}
    status = problem.status if problem.status != 401 else 403
    return _document(template, status, headers, problem=problem.detail, **shown)
