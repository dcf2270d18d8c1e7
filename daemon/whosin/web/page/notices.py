"""Telling users something, and closing companies for maintenance: asked for in a dialog, then done.

Must not know whom a message reaches, or when a window opens: that is the desk's.
"""

from datetime import datetime
from typing import Any

from starlette.responses import Response

from whosin.operations import Caller, Operations
from whosin.web.auth import Engine, Who, may_reach, may_reach_all
from whosin.web.page.orders import REASON, chosen
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
    """To the chosen logins, or to everybody in a site or company."""
    site, company = form.get("site") or None, form.get("company") or None
    if form.get("sure") != "1":
        ids = [] if site else await chosen(form, engine, who)
        if not site and not ids:
            raise Problem(400, "nothing", "No login is chosen.")
        return html("message_ask.html", ids=ids, site=site, company=company)
    if site:
        may_reach(who, site)
        result = await engine.messages.send(form.get("text", ""), who, site=site, company=company)
    else:
        result = await engine.messages.send(
            form.get("text", ""), who, sessions=await chosen(form, engine, who)
        )
    return html("message_done.html", result=result)


@operate.post("/logoff/warn")
async def warn(form: Form, engine: Engine, who: Who) -> Response:
    """A message to those who will be forced out; the countdown runs in the browser."""
    text = form.get("message", "").strip()
    reached = 0
    if text:
        reached = (await engine.messages.send(text, who, sessions=await _active(form, engine, who)))[
            "reached"
        ]
    return html("warned.html", n=reached)


async def _active(form: Fields, engine: Operations, who: Caller) -> list[str]:
    ids = await chosen(form, engine, who)
    results = await engine.logoff(ids, who, dry_run=True)
    return [one["id"] for one in results if one["result"] == "needs_force"]


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
    ident = form.get("id", "")
    if not ident.isdecimal() or len(ident) > 18:
        raise Problem(400, "invalid", f'"{ident[:40]}" is not the number of a maintenance window.')
    reason = form.get("reason", "").strip()[:REASON] or None
    window = await engine.maintenance.end(int(ident), who, reason)
    return html("maintenance_done.html", window=window)


def _moment(form: Fields, name: str) -> int | None:
    """Epoch milliseconds of a moment in UTC, as the script sends it."""
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(400, "invalid", f'"{text[:40]}" is not a time.') from None
    if at.tzinfo is None:
        raise Problem(400, "invalid", f'"{text[:40]}" does not tell its zone.')
    return round(at.timestamp() * 1000)
