"""What an operator orders on the page: log off, free a lock, switch and run the cleanup, tick off.

Each order is asked for first (what would happen) and done only from there. Answers are parts of the page.
Must not know the rules: what would happen is asked of the engine by a dry run.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response

from whosin.operations import Caller, Operations
from whosin.web.auth import Engine, Who, may_reach, may_reach_all
from whosin.web.page.address import Address, moment, number
from whosin.web.page.render import html
from whosin.web.page.tally import SHOWN, Tally
from whosin.web.page.views import SESSION_FILTERS, disconnected_query, user_query
from whosin.web.pageguard import Fields, Form, PageForAdministrators, PageForOperators, PageForViewers, page
from whosin.web.problem import Problem

Json = dict[str, Any]

MOST = 200_000  # logins in one order
AT_ONCE = 200  # of them in one step, so that heartbeats flow between
NAMED = 5_000  # up to so many a confirmation names one by one; beyond, all that match and had fallen by then
GOING = ("would_remove", "needs_force")
OVER = ("already_over", "not_found")
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
    query = user_query(address, "id") if tab == "users" else disconnected_query(address, "id")
    ids = await engine.matching(query, who, _wall_ms(form.get("asked_at")))
    if len(ids) > MOST:
        raise Problem(400, "too_many", f"{len(ids)} logins match; no more than {MOST} go at once.")
    return ids


def _wall_ms(stamp: str | None) -> int | None:
    """The moment of the question, so that who fell since is not in the order. Unread it would be for all."""
    return moment("asked_at", stamp) if stamp else None


async def in_steps(
    engine: Operations, who: Caller, ids: list[str], *, force: bool = False, reason: str | None = None,
    dry_run: bool = False,
) -> AsyncIterator[list[Json]]:  # fmt: skip
    """Log off, or try to, some at a time, so that nobody else waits for all of them."""
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        yield await engine.logoff(part, who, force=force, reason=reason, dry_run=dry_run)
        await asyncio.sleep(0)


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
    tally = Tally()
    async for results in in_steps(engine, who, ids, dry_run=True):
        tally.add(results, last=OVER)
    sums, active = tally.sums("would_remove"), tally.sums("needs_force")
    rows = await _known(engine, who, [one for one in tally.worst if one["result"] in GOING])
    return html(
        "logoff_ask.html",
        carried=carried(form, ids, (await engine.stats(who))["now"]),
        sums=sums, active=active.logins, warnings=tally.warnings,
        over=tally.logins - sums.logins - active.logins,
        rows=[(session, one) for session, one in rows if session is not None],
        more=max(0, sums.logins + active.logins - SHOWN),
    )  # fmt: skip


def carried(form: Fields, ids: list[str], now: str) -> dict[str, str]:
    """What the confirmation has to send for the same logins."""
    if form.get("all") != "1" or len(ids) <= NAMED:
        return {"ids": "\n".join(ids)}
    kept = {name: form[name] for name in (*SESSION_FILTERS, "tab", "all") if name in form}
    return {**kept, "asked_at": now}


async def _known(engine: Operations, who: Caller, results: list[Json]) -> list[tuple[Json | None, Json]]:
    """Each result with what is known of its login."""
    return [(await engine.session(one["id"], who), one) for one in results]


@operate.post("/logoff")
async def log_off(form: Form, engine: Engine, who: Who) -> Response:
    ids = await chosen(form, engine, who)
    reason = form.get("reason", "").strip()[:REASON] or None
    force = form.get("force") == "1"
    tally, removed = Tally(), list[str]()
    async for results in in_steps(engine, who, ids, force=force, reason=reason):
        tally.add(results, last=("removed",))
        removed += [one["id"] for one in results if one["result"] == "removed"]
    return html(
        "logoff_done.html",
        counts={result: sums.logins for result, sums in tally.of.items()}, sums=tally.sums("removed"),
        rows=await _known(engine, who, tally.worst), more=max(0, tally.logins - SHOWN),
        count=len(removed), removed=removed[:NAMED],
    )  # fmt: skip


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
    ident = number("id", form.get("id", ""))
    if form.get("sure") != "1":
        return html("followup_ask.html", id=ident, text=form.get("text", "")[:REASON])
    done = await engine.followups.tick_off(ident, form.get("note", "").strip()[:REASON] or None, who)
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
