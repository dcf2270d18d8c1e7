"""What surrounds every view: tabs with their counts, the banner, who is signed in.

Owns which tabs there are and what a banner says and advises. Must not know how a view finds its rows.
"""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from whosin.operations import ROLES, Caller, Operations
from whosin.web.auth import csrf_of
from whosin.web.page.address import Address
from whosin.web.page.render import html, texts

Json = dict[str, Any]

TABS = ("users", "disconnected", "locks", "followups", "cleanup", "history", "companies", "alerts")


@dataclass(frozen=True, slots=True)
class Banner:
    level: str  # bad, warn, info
    title: str
    text: str
    action: str | None = None
    link: str | None = None


async def show(
    request: Request, engine: Operations, who: Caller, tab: str, address: Address, **shown: Any
) -> Response:
    """The view of a tab, within the whole page."""
    stats = await engine.stats(who)
    windows = engine.maintenance.windows(who)
    cleanup = await engine.cleanup(who)
    return html(
        f"{tab}.html",
        tab=tab, tabs=_tabs(stats), address=address, who=who, stats=stats, cleanup=cleanup,
        banners=[*banners(stats, cleanup), *closings(windows)], csrf=csrf_of(request),
        rules={rule["id"]: rule for rule in engine.followups.rules(who)["items"]},
        may=lambda role: ROLES.index(who.role) >= ROLES.index(role), **shown,
    )  # fmt: skip


def _tabs(stats: Json) -> list[tuple[str, int | None]]:
    counts = {
        "users": stats["sessions"]["active"],
        "disconnected": stats["sessions"]["disconnected"],
        "locks": stats["locks"],
        "followups": stats["followups"]["open"],
        "companies": stats["companies"],
    }
    return [(tab, counts.get(tab)) for tab in TABS]


def banners(stats: Json, cleanup: Json) -> list[Banner]:
    """What keeps the daemon from seeing, storing or clearing, and what to do about it; gravest first."""
    t = texts()
    found: list[Banner] = []
    for name, source in stats["sources"].items():
        if not source["seeing"]:
            title, action = t("banner.blind.title", source=name), t(f"banner.blind.{name}")
            found.append(Banner("bad", title, t("banner.blind.text"), action))
        elif source["grace_until"]:
            found.append(Banner("info", t("banner.grace.title"), t("banner.grace.text")))
    storage = stats["storage"]
    if not storage["ok"]:
        advice = f"banner.storage.{storage['kind']}"
        action = t(advice if t.known(advice) else "banner.storage.other")
        found.append(Banner("bad", t("banner.storage.title"), storage["problem"] or "", action))
    found += [_hold(hold) for hold in cleanup["holds"]]
    found.sort(key=lambda it: ("bad", "warn", "info").index(it.level))
    return found


def closings(windows: list[Json]) -> list[Banner]:
    """What is closed for maintenance, or will be."""
    t = texts()
    found = []
    for it in windows[:5]:
        place = f"{it['site']}/{it['company']}" if it["company"] else it["site"]
        title = t("banner.maintenance." + ("closed" if it["state"] == "started" else "closes"), place=place)
        found.append(Banner("info", title, it["text"], None, "/companies"))
    return found


def _hold(hold: Json) -> Banner:
    t = texts()
    place = f"{hold['site']}/{hold['company']}" if hold["company"] else hold["site"]
    return Banner(
        "warn",
        t("banner.hold.title", n=hold["sessions"], client=hold["client"], place=place),
        t("banner.hold.text"),
        t("banner.hold.action"),
        "/cleanup",
    )
