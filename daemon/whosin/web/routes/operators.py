"""Operators: who they are, signing in and out, one's own password."""

from typing import Annotated

from fastapi import Path, Query, Request
from starlette.responses import Response

from whosin.operations import Caller, SignedIn
from whosin.web.answers import answer, listing
from whosin.web.auth import Engine, Session, Who, gatekeeper_of, may_reach, may_reach_all
from whosin.web.entrance import entering
from whosin.web.guard import ForAdministrators, ForEverybody, ForViewers, api
from whosin.web.problem import Problem
from whosin.web.questions import (
    NewOperator,
    NoFilter,
    OperatorChange,
    Paged,
    PasswordChange,
    SignInWith,
    SignOut,
)
from whosin.web.schemas.operators import AddedOperator, Me, OneTimeLink, Operator, OperatorList, SignedOut

everybody = api("signing in", ForEverybody)
view = api("signing in", ForViewers)
administer = api("operators", ForAdministrators)

Name = Annotated[str, Path(max_length=256)]


def _me(caller: Caller, signed_in: SignedIn | None) -> Response:
    return answer(
        {
            "name": caller.name, "role": caller.role, "site": caller.site,
            "kind": signed_in.kind if signed_in is not None else "token",
            "csrf": signed_in.csrf if signed_in is not None else None,
        }
    )  # fmt: skip


@everybody.post("/sign-in", response_model=Me, summary="Sign in")
async def sign_in(request: Request, body: SignInWith) -> Response:
    """By name and password, or by a token; the answer sets the session's cookie. Programs do better with a
    bearer token, which needs neither cookie nor CSRF token."""
    if body.by_token:
        fresh = await entering.by_token(request, body.token)
    else:
        fresh = await entering.by_password(request, body.name, body.password)
    return entering.with_cookies(_me(fresh.signed_in.caller, fresh.signed_in), request, fresh)


@view.get("/me", response_model=Me, summary="Who am I?")
async def show_me(_query: Annotated[NoFilter, Query()], who: Who, signed_in: Session) -> Response:
    return _me(who, signed_in)


@view.post("/sign-out", response_model=SignedOut, summary="Sign out")
async def sign_out(
    request: Request, engine: Engine, who: Who, signed_in: Session, body: SignOut | None = None
) -> Response:
    """This browser, or with `everywhere` all of the same operator; with a bearer token and `everywhere`, the
    browsers that were signed in with that token. Repeating it is harmless."""
    everywhere = body is not None and body.everywhere
    if signed_in is None:
        return answer({"ended": await engine.operators.end_sessions_of(who) if everywhere else 0})
    secret = gatekeeper_of(request).front.session_of(request) or ""
    ended = await engine.operators.sign_out(secret, everywhere=everywhere)
    return entering.without_cookie(answer({"ended": ended}), request)


@view.post("/me/password", response_model=Me, summary="Change one's own password")
async def change_password(request: Request, body: PasswordChange, who: Who, signed_in: Session) -> Response:
    """Ends all of one's sessions; the answer sets the cookie of a new one."""
    if signed_in is None or signed_in.kind != "operator":
        detail = f'"{who.name}" is a token; only who signed in as an operator has a password.'
        raise Problem(409, "no_password", detail)
    fresh = await entering.own_password(request, body.old, body.new)
    return entering.with_cookies(_me(fresh.signed_in.caller, fresh.signed_in), request, fresh)


@administer.get("/operators", response_model=OperatorList, summary="List operators")
async def list_operators(query: Annotated[Paged, Query()], engine: Engine, who: Who) -> Response:
    return listing(await engine.operators.list(who), query.limit, query.cursor)


@administer.post("/operators", response_model=AddedOperator, status_code=201, summary="Add an operator")
async def add_operator(body: NewOperator, engine: Engine, who: Who) -> Response:
    """Without `password` the answer has a one-time link with which the person chooses one."""
    if body.site is None:
        may_reach_all(who, "an operator without a site")
    else:
        may_reach(who, body.site)
    added = await engine.operators.add(body.name, body.role, body.site, who, body.password)
    return answer(added, 201)


@administer.patch("/operators/{name}", response_model=Operator, summary="Change an operator")
async def change_operator(name: Name, body: OperatorChange, engine: Engine, who: Who) -> Response:
    """Only what is given changes, at once, for open sessions too; disabling ends them. The last administrator
    of all sites stays one."""
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        raise Problem(400, "nothing", "Nothing is given to change: role, site or disabled.")
    if "site" in changes:
        if body.site is None:
            may_reach_all(who, "an operator without a site")
        else:
            may_reach(who, body.site)
    return answer(await engine.operators.change(name, changes, who))


@administer.delete(
    "/operators/{name}", status_code=204, response_class=Response, summary="Remove an operator"
)
async def remove_operator(name: Name, engine: Engine, who: Who) -> Response:
    """And end the operator's sessions. The last administrator of all sites stays."""
    await engine.operators.remove(name, who)
    return Response(status_code=204)


@administer.post("/operators/{name}/link", response_model=OneTimeLink, summary="Make a one-time link")
async def make_link(name: Name, engine: Engine, who: Who) -> Response:
    """To choose a password with, for a new operator or a forgotten one. An earlier link is good no more."""
    return answer(await engine.operators.make_link(name, who))


@administer.post(
    "/operators/{name}/sign-out", response_model=SignedOut, summary="Sign an operator out everywhere"
)
async def end_sessions(name: Name, engine: Engine, who: Who) -> Response:
    return answer({"ended": await engine.operators.end_sessions(name, who)})
