"""What every route of the page goes through: who asks, role, and for what changes something the CSRF token.

A page's command is a form (or JSON); its token comes in the header `X-CSRF-Token` or in the field `csrf`.
Who is not signed in is sent to the form for that, by `refusals`. Knows no route.
"""

from typing import Annotated, ClassVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import Response

from whosin.web.auth import CSRF_HEADER, check_csrf, gatekeeper_of
from whosin.web.cookies import SAFE_METHODS
from whosin.web.guard import BoundedRequest, Handler
from whosin.web.problem import Problem

FORM_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 12_000

Fields = ImmutableMultiDict[str, str]


class PageRoute(APIRoute):
    """A route of the page for people with at least `role`; None: for everybody."""

    role: ClassVar[str | None] = "viewer"

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        role = self.role

        async def guarded(request: Request) -> Response:
            gatekeeper = gatekeeper_of(request)
            unsafe = request.method not in SAFE_METHODS
            request.state.signed_in = None
            if role is not None:
                request.state.caller = gatekeeper.admit(request, role, token_in_form=True)
            else:
                gatekeeper.count_stranger(request)
                if unsafe:
                    gatekeeper.front.check_origin(request)
            request.state.form = Fields()
            if not unsafe:
                return await handle(request)
            bounded = BoundedRequest(request.scope, request.receive)
            await _load(bounded)
            signed_in = request.state.signed_in
            if signed_in is not None and CSRF_HEADER not in request.headers:
                check_csrf(signed_in, bounded.state.form.get("csrf"))
            return await handle(bounded)

        return guarded


class PageForViewers(PageRoute):
    role = "viewer"


class PageForOperators(PageRoute):
    role = "operator"


class PageForAdministrators(PageRoute):
    role = "administrator"


class PageForEverybody(PageRoute):
    role = None


def page(route_class: type[PageRoute]) -> APIRouter:
    """A router of the page, which the API's description leaves out."""
    return APIRouter(include_in_schema=False, route_class=route_class)


async def _load(request: BoundedRequest) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        await request.load()
        return
    try:
        text = (await request.take()).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise Problem(400, "form", f"The form cannot be read: {error}.") from None
    request.state.form = Fields(pairs)


def form_of(request: Request) -> Fields:
    fields: Fields = request.state.form
    return fields


Form = Annotated[Fields, Depends(form_of)]
