"""Small pictures above the list of users, as data for the script that draws them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from whosin.web.answers import answer
from whosin.web.auth import Engine, Who
from whosin.web.page.render import texts
from whosin.web.pageguard import PageForViewers, page

Json = dict[str, Any]

HOUR_S = 3600

view = page(PageForViewers)


@view.get("/charts.json")
async def charts(_request: Request, engine: Engine, who: Who) -> Response:
    """Of the whole daemon: whoever is limited to a site gets none."""
    if who.site is not None:
        return answer([])
    slots = (await engine.day(who))["slots"]
    return answer([_in(slots), _fell(slots), _lag(slots)] if slots else [])


def _chart(name: str, kind: str, x: list[int], series: dict[str, list[Any]], **given: object) -> Json:
    t = texts()
    return {
        "id": name,
        "kind": kind,
        "title": t(f"charts.{name}.title"),
        "summary": t(f"charts.{name}.summary", **given),
        "series": [t(f"charts.{name}.{one}") for one in series],
        "data": [x, *series.values()],
    }


def _in(slots: list[Json]) -> Json:
    active = [slot["active"] for slot in slots]
    return _chart(
        "in", "lines", [slot["at"] for slot in slots], {"active": active}, now=active[-1], most=max(active)
    )


def _fell(slots: list[Json]) -> Json:
    hours: dict[int, list[int]] = {}
    for slot in slots:
        one = hours.setdefault(slot["at"] // HOUR_S * HOUR_S, [0, 0])
        one[0] += slot["fell"]
        one[1] += slot["came_back"]
    fell = [one[0] for one in hours.values()]
    return _chart("fell", "bars", list(hours), {"fell": fell}, sum=sum(fell))


def _lag(slots: list[Json]) -> Json:
    lag = [slot["lag_s"] for slot in slots]
    known = [one for one in lag if one is not None]
    return _chart("lag", "lines", [slot["at"] for slot in slots], {"lag": lag}, worst=max(known, default=0))
