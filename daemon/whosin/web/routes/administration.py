"""For administrators: tokens of the API, accounts of MQTT clients, backup, reload."""

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from whosin.web.answers import answer, listing
from whosin.web.auth import Engine, Who, may_reach, may_reach_all
from whosin.web.guard import ForAdministrators, api
from whosin.web.questions import BackupTo, NewAccount, NewToken, Paged
from whosin.web.schemas import Accounts, BackedUp, CreatedAccount, CreatedToken, Reloaded, Tokens

administer = api("administration", ForAdministrators)

Name = Annotated[str, Path(max_length=256)]


@administer.get("/tokens", response_model=Tokens, summary="List tokens")
async def list_tokens(query: Annotated[Paged, Query()], engine: Engine, who: Who) -> Response:
    """Who may use the API; never the tokens themselves."""
    return listing(await engine.list_tokens(who), query.limit, query.cursor)


@administer.post("/tokens", response_model=CreatedToken, status_code=201, summary="Create a token")
async def create_token(body: NewToken, engine: Engine, who: Who) -> Response:
    if body.site is None:
        may_reach_all(who, "a token without a site")
    else:
        may_reach(who, body.site)
    return answer(await engine.create_token(body.name, body.role, body.site, who), 201)


@administer.delete("/tokens/{name:path}", status_code=204, response_class=Response, summary="Revoke a token")
async def revoke_token(name: Name, engine: Engine, who: Who) -> Response:
    """At once, for open event streams too."""
    await engine.revoke_token(name, who)
    return Response(status_code=204)


@administer.get("/clients", response_model=Accounts, summary="List accounts of MQTT clients")
async def list_accounts(query: Annotated[Paged, Query()], engine: Engine, who: Who) -> Response:
    return listing(await engine.list_accounts(who), query.limit, query.cursor)


@administer.post("/clients", response_model=CreatedAccount, status_code=201, summary="Add an account")
async def add_account(body: NewAccount, engine: Engine, who: Who) -> Response:
    may_reach(who, body.site)
    return answer(await engine.add_account(body.name, body.role, body.site, body.user, who), 201)


@administer.delete(
    "/clients/{name:path}", status_code=204, response_class=Response, summary="Remove an account"
)
async def remove_account(name: Name, engine: Engine, who: Who) -> Response:
    await engine.remove_account(name, who)
    return Response(status_code=204)


@administer.post("/backup", response_model=BackedUp, summary="Back up the store")
async def backup(body: BackupTo, engine: Engine, who: Who) -> Response:
    """A consistent copy while running. An existing file is never overwritten."""
    may_reach_all(who, "a backup")
    return answer(await engine.backup(body.path, who))


@administer.post("/reload", response_model=Reloaded, summary="Read the settings again")
async def reload(engine: Engine, who: Who) -> Response:
    """Takes what can change live, and names what needs a restart."""
    may_reach_all(who, "a reload")
    return answer(await engine.reload(who))
