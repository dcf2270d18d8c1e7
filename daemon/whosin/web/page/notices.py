"""Telling users something, and closing companies for maintenance: asked for in a dialog, then done.

Must not know whom a message reaches, or when a window opens: that is the desk's.
"""

from typing import Any

from starlette.responses import Response

from whosin.operations import Caller, Operations
from whosin.web.auth import Engine, Who, may_reach, may_reach_all
from whosin.web.page.address import moment, number
from whosin.web.page.orders import REASON, carried, chosen, in_steps
from whosin.web.page.render import html
from whosin.web.pageguard import Fields, Form, PageForAdministrators, PageForOperators, page
from whosin.web.problem import Problem

Json = dict[str, Any]

operate = page(PageForOperators)
administer = page(PageForAdministrators)


@administer.post("/alerts/test")
async def test_alerts(engine: Engine, who: Who) -> Response:
    may_reach_all(who, "a test of the channels")
    return html("tested.html", results=await engine.alerts.test(None, who))


@operate.post("/message")
async def message(form: Form, engine: Engine, who: Who) -> Response:
    """To the chosen logins; where none are named, to everybody in a site or company."""
    text, sure = form.get("text", ""), form.get("sure") == "1"
    if "ids" in form or form.get("all") == "1":  # a site beside them is a filter
        ids = await chosen(form, engine, who)
        if not ids:
            raise Problem(400, "nothing", "No login is chosen.")
        if sure:
            return html("message_done.html", result=await engine.messages.send(text, who, sessions=ids))
        kept = carried(form, ids, (await engine.stats(who))["now"])
        return html("message_ask.html", carried=kept, n=len(ids), place=None)
    site, company = form.get("site", ""), form.get("company") or None
    if not site:
        raise Problem(400, "nothing", "No login is chosen, and no site is named.")
    may_reach(who, site)
    if sure:
        result = await engine.messages.send(text, who, site=site, company=company)
        return html("message_done.html", result=result)
    place = f"{site}/{company}" if company else site
    return html("message_ask.html", carried={"site": site, "company": company or ""}, n=0, place=place)


@operate.post("/logoff/warn")
async def warn(form: Form, engine: Engine, who: Who) -> Response:
    """A message to those who will be forced out; the countdown runs in the browser."""
    text = form.get("message", "").strip()
    ids = await _active(form, engine, who) if text else []
    reached = (await engine.messages.send(text, who, sessions=ids))["reached"] if ids else 0
    return html("warned.html", n=reached)


async def _active(form: Fields, engine: Operations, who: Caller) -> list[str]:
    found: list[str] = []
    async for results in in_steps(engine, who, await chosen(form, engine, who), dry_run=True):
        found += [one["id"] for one in results if one["result"] == "needs_force"]
    return found


@administer.post("/maintenance")
async def maintenance(form: Form, engine: Engine, who: Who) -> Response:
    """The form, and with `sure` the plan."""
    site, company = form.get("site") or None, form.get("company") or None
    if form.get("sure") != "1":
        sites = sorted({one["site"] for one in await engine.companies(who)})
        return html("maintenance_ask.html", site=site, company=company, sites=sites)
    if site is None:
        raise Problem(400, "invalid", "Choose the site that will be closed.")
    may_reach(who, site)
    until = _moment(form, "until")
    if until is None:
        raise Problem(400, "invalid", "Say until when it will be closed.")
    window = await engine.maintenance.plan(
        who, site=site, company=company, begins=_moment(form, "from"), ends=until,
        text=form.get("text", "").strip(), force=form.get("force") == "1",
    )  # fmt: skip
    return html("maintenance_done.html", window=window)


@administer.post("/maintenance/end")
async def end_maintenance(form: Form, engine: Engine, who: Who) -> Response:
    ident = number("id", form.get("id", ""))
    reason = form.get("reason", "").strip()[:REASON] or None
    window = await engine.maintenance.end(ident, who, reason)
    return html("maintenance_done.html", window=window)


def _moment(form: Fields, name: str) -> int | None:
    """Epoch milliseconds of a moment, which the script sends in UTC."""
    text = form.get(name, "").strip()
    return moment(name, text) if text else None
