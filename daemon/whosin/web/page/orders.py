"""What an operator orders on the page: log off, free a lock, switch and run the cleanup, tick off.

Each order is asked for first (what would happen) and done only from there. Answers are parts of the page.
Must not know the rules: what would happen is asked of the engine by a dry run.
"""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

from starlette.responses import Response

from whosin.operations import Caller, Operations
from whosin.web.auth import Engine, Who, may_reach, may_reach_all
from whosin.web.page.address import Address
from whosin.web.page.render import html
from whosin.web.page.views import SESSION_FILTERS, USER_STATUSES, session_query
from whosin.web.pageguard import Fields, Form, PageForAdministrators, PageForOperators, PageForViewers, page
from whosin.web.problem import Problem

Json = dict[str, Any]

MOST = 200_000  # logins in one order
AT_ONCE = 1_000  # of them in one step, so that heartbeats flow between
NAMED = 5_000  # up to so many a confirmation names one by one; beyond, all that match and had fallen by then
DETAILED = 100  # of them shown one by one
IN_PANE = 25  # logins looked at for "Action required"
REASON = 1000

look = page(PageForViewers)
operate = page(PageForOperators)
administer = page(PageForAdministrators)


def rules_of(engine: Operations, who: Caller) -> dict[str, Json]:
    return {rule["id"]: rule for rule in engine.followups.rules(who)["items"]}


async def chosen(form: Fields, engine: Operations, who: Caller) -> list[str]:
    """The ids in the form, or of all that match the filters in it."""
    if form.get("all") != "1":
        ids = list(dict.fromkeys(one for one in form.get("ids", "").split("\n") if one))
        if len(ids) > MOST:
            raise Problem(400, "too_many", f"{len(ids)} logins are chosen; no more than {MOST} go at once.")
        return ids
    tab = form.get("tab", "")
    address = Address.of(f"/{tab}", form, SESSION_FILTERS)
    statuses = (
        USER_STATUSES.get(form.get("status", "") or "in", ("active",))
        if tab == "users"
        else ("disconnected",)
    )
    ids = await engine.matching(session_query(address, statuses, "id"), who, _wall_ms(form.get("asked_at")))
    if len(ids) > MOST:
        raise Problem(400, "too_many", f"{len(ids)} logins match; no more than {MOST} go at once.")
    return ids


def _wall_ms(stamp: str | None) -> int | None:
    try:
        return round(datetime.fromisoformat(stamp).timestamp() * 1000) if stamp else None
    except ValueError:
        return None


async def _in_steps(
    engine: Operations, who: Caller, ids: list[str], *, force: bool = False, reason: str | None, dry_run: bool
) -> list[Json]:
    results: list[Json] = []
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        results += await engine.logoff(part, who, force=force, reason=reason, dry_run=dry_run)
        await asyncio.sleep(0)
    return results


@look.post("/action")
async def action_required(form: Form, engine: Engine, who: Who) -> Response:
    """The pane beside the disconnected logins: what the chosen ones hold, whom they block, what to do."""
    ids = await chosen(form, engine, who)
    found = [it for it in [await engine.session(ident, who) for ident in ids[:IN_PANE]] if it is not None]
    live = [it for it in found if it["status"] in ("active", "disconnected")]
    blocks = [one for it in live for one in it["blocks"]]
    return html(
        "action.html",
        chosen=len(ids), shown=live, more=max(0, len(ids) - IN_PANE),
        gone=[it for it in found if it not in live],
        locks=sum(len(it["locks"]) for it in live), waiting=len({one["user"] for one in blocks}),
        rules=rules_of(engine, who),
    )  # fmt: skip


@operate.post("/logoff/ask")
async def ask_logoff(form: Form, engine: Engine, who: Who) -> Response:
    """The one confirmation: names counts, locks, people freed and follow-ups."""
    ids = await chosen(form, engine, who)
    if not ids:
        raise Problem(400, "nothing", "No login is chosen.")
    results = await _in_steps(engine, who, ids, reason=None, dry_run=True)
    going = [one for one in results if one["result"] == "would_remove"]
    active = [one for one in results if one["result"] == "needs_force"]
    return html(
        "logoff_ask.html",
        carried=_carried(form, ids, (await engine.stats(who))["now"]),
        sums=sums(going), active=active, active_sums=sums(active), warnings=warnings(results),
        over=sum(1 for one in results if one["result"] in ("already_over", "not_found")),
        rows=await _detailed(engine, who, [*going, *active]),
        more=max(0, len(going) + len(active) - DETAILED),
    )  # fmt: skip


def _carried(form: Fields, ids: list[str], now: str) -> dict[str, str]:
    """What the confirmation has to send for the same logins."""
    if form.get("all") != "1" or len(ids) <= NAMED:
        return {"ids": "\n".join(ids)}
    kept = {name: form[name] for name in (*SESSION_FILTERS, "tab", "all") if name in form}
    return {**kept, "asked_at": now}


async def _detailed(engine: Operations, who: Caller, results: list[Json]) -> list[tuple[Json, Json]]:
    """The first results, those that matter most first, with what is known of each login."""
    worst = sorted(results, key=lambda it: (-len(it["freed"]), -len(it["released"])))[:DETAILED]
    known = [(await engine.session(one["id"], who), one) for one in worst]
    return [(session, one) for session, one in known if session is not None]


@operate.post("/logoff")
async def log_off(form: Form, engine: Engine, who: Who) -> Response:
    ids = await chosen(form, engine, who)
    reason = form.get("reason", "").strip()[:REASON] or None
    force = form.get("force") == "1"
    results = await _in_steps(engine, who, ids, force=force, reason=reason, dry_run=False)
    worst_first = sorted(results, key=lambda it: it["result"] == "removed")
    rows = [(await engine.session(one["id"], who), one) for one in worst_first[:DETAILED]]
    removed = [one for one in results if one["result"] == "removed"]
    return html(
        "logoff_done.html",
        counts=Counter(one["result"] for one in results), sums=sums(removed), rows=rows,
        more=max(0, len(results) - DETAILED), count=len(removed),
        removed=[one["id"] for one in removed[:NAMED]],
    )  # fmt: skip


def warnings(results: list[Json]) -> list[tuple[str, int]]:
    """What critical guidance wants done before, each once, with the logins that it concerns."""
    found = Counter(
        one["before"]
        for it in results
        for one in {rule["id"]: rule for rule in it["guidance"]}.values()
        if one["severity"] == "critical" and one["before"]
    )
    return found.most_common(10)


def sums(results: list[Json]) -> Json:
    """What these results come to."""
    freed = {(one["session"], one["user"]) for it in results for one in it["freed"]}
    return {
        "logins": len(results),
        "locks": sum(len(it["released"]) + len(it["held"]) for it in results),
        "held": sum(len(it["held"]) for it in results),
        "sticky": sum(len(it["sticky"]) for it in results),
        "people": sorted({user for _, user in freed}),
        "followups": sum(len(it["followups"]) for it in results),
    }


# --- locks ------------------------------------------------------------------------------------------------


@administer.post("/locks/free")
async def free_lock(form: Form, engine: Engine, who: Who) -> Response:
    site, company, resource = form.get("site", ""), form.get("company", ""), form.get("resource", "")
    may_reach(who, site)
    if form.get("sure") != "1":
        return html("free_ask.html", site=site, company=company, resource=resource, user=form.get("user", ""))
    await engine.free_lock(site, company, resource, who, form.get("reason", "").strip()[:REASON] or None)
    return html("said.html", key="locks.freed", given={"resource": resource})


# --- follow-ups -------------------------------------------------------------------------------------------


@operate.post("/followups/done")
async def tick_off(form: Form, engine: Engine, who: Who) -> Response:
    ident = form.get("id", "")
    if not ident.isdecimal() or len(ident) > 18:
        raise Problem(400, "invalid", f'"{ident[:40]}" is not the number of a follow-up.')
    if form.get("sure") != "1":
        return html("followup_ask.html", id=ident, text=form.get("text", "")[:REASON])
    done = await engine.followups.tick_off(int(ident), form.get("note", "").strip()[:REASON] or None, who)
    return html("followup_done.html", it=done)


# --- cleanup ----------------------------------------------------------------------------------------------


@operate.post("/cleanup/switch")
async def switch_cleanup(form: Form, engine: Engine, who: Who) -> Response:
    enabled = form.get("enabled") == "1"
    may_reach_all(who, "the cleanup's switch")
    await engine.switch_cleanup(enabled, who)
    return html("said.html", key="cleanup.switched_on" if enabled else "cleanup.switched_off", given={})


@operate.post("/cleanup/dry-run")
async def dry_run(engine: Engine, who: Who) -> Response:
    return html("pass_dialog.html", report=await engine.run_cleanup(who, dry_run=True))


@operate.post("/cleanup/run")
async def run_cleanup(engine: Engine, who: Who) -> Response:
    may_reach_all(who, "a pass")
    return html("pass_dialog.html", report=await engine.run_cleanup(who))


@operate.post("/cleanup/confirm")
async def confirm(form: Form, engine: Engine, who: Who) -> Response:
    site, company, client = (
        form.get("site", ""),
        form.get("company", "") or None,
        form.get("client", "") or None,
    )
    may_reach(who, site)
    if form.get("sure") != "1":
        return html("confirm_ask.html", site=site, company=company, client=client, n=form.get("n", ""))
    await engine.confirm(site, company, client, who)
    return html("said.html", key="cleanup.confirmed", given={})
