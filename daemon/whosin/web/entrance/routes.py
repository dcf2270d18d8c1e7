"""The small pages' routes: sign in, one-time link, sign out, one's own account."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from whosin.errors import Refused
from whosin.operations import Fresh, SignedIn
from whosin.web.auth import Engine, Session, gatekeeper_of
from whosin.web.entrance import documents, entering
from whosin.web.entrance.addresses import SIGN_IN, safe_next
from whosin.web.pageguard import Fields, Form, PageForEverybody, PageForViewers, page
from whosin.web.problem import Problem

everybody = page(PageForEverybody)
people = page(PageForViewers)

Next = Annotated[str | None, Query(alias="next", max_length=4000)]
Code = Annotated[str, Query(max_length=200)]


@everybody.get(SIGN_IN)
async def show_form(request: Request, engine: Engine, next_: Next = None) -> Response:
    """Who is signed in already goes on at once."""
    if gatekeeper_of(request).signed_in(request) is not None:
        return RedirectResponse(safe_next(next_), 303)
    return documents.sign_in(safe_next(next_), nobody=not engine.operators.any())


@everybody.post(SIGN_IN)
async def sign_in(request: Request, engine: Engine, form: Form) -> Response:
    onward, name = safe_next(form.get("next")), form.get("name", "")
    try:
        if form.get("token"):
            fresh = await entering.by_token(request, form["token"])
        else:
            fresh = await entering.by_password(request, name, form.get("password", ""))
    except Problem as problem:
        return documents.sign_in(onward, name[:64], problem, nobody=not engine.operators.any())
    return _on(request, fresh, onward)


@everybody.get(f"{SIGN_IN}/link")
async def show_link(engine: Engine, code: Code = "") -> Response:
    """Looking does not use it up: what previews links must not spend it."""
    known = engine.operators.link(code)
    return documents.dead_link() if known is None else documents.link(code, known["name"])


@everybody.post(f"{SIGN_IN}/link")
async def use_link(request: Request, engine: Engine, form: Form) -> Response:
    code, name, password = (form.get(field, "") for field in ("code", "name", "password"))
    known = engine.operators.link(code)
    if known is None:
        return documents.dead_link()
    try:
        _check_same(form)
        address = gatekeeper_of(request).front.address_of(request)
        try:
            fresh = await engine.operators.use_link(code, name, password, address)
        except Refused as error:
            entering.refuse(error)
    except Problem as problem:
        if problem.code == "bad_link":
            return documents.dead_link()
        return documents.link(code, known["name"], name[:64], problem)
    return _on(request, fresh, "/")


@people.post("/sign-out")
async def sign_out(request: Request, engine: Engine, form: Form) -> Response:
    secret = gatekeeper_of(request).front.session_of(request)
    if secret is not None:
        await engine.operators.sign_out(secret, everywhere=form.get("everywhere") == "true")
    return entering.without_cookie(RedirectResponse(SIGN_IN, 303), request)


@people.get("/account")
async def show_account(engine: Engine, signed_in: Session, done: str = "") -> Response:
    return _account(engine, signed_in, changed=done == "password")


@people.post("/account/password")
async def change_password(request: Request, engine: Engine, signed_in: Session, form: Form) -> Response:
    try:
        _check_same(form)
        fresh = await entering.own_password(request, form.get("old", ""), form.get("password", ""))
    except Problem as problem:
        return _account(engine, signed_in, problem)
    return _on(request, fresh, "/account?done=password")


def _account(
    engine: Engine, signed_in: SignedIn | None, problem: Problem | None = None, *, changed: bool = False
) -> Response:
    if signed_in is None:
        raise Problem(409, "no_session", "This is for browsers that are signed in; a bearer token is not.")
    sessions = engine.operators.count_sessions(signed_in)
    return documents.account(signed_in, sessions, problem, changed=changed)


def _check_same(form: Fields) -> None:
    if form.get("password", "") != form.get("again"):
        raise Problem(400, "not_the_same", "The two passwords are not the same.")


def _on(request: Request, fresh: Fresh, onward: str) -> Response:
    return entering.with_cookies(RedirectResponse(onward, 303), request, fresh)
