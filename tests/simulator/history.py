"""The judge of history: what the events say must be possible, complete, and what is remembered and stored.

Owns the reading of all events in order: lives of sessions, locks and tokens, passes, mass silences. Must not
know the rules' code; it is written from the contract.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulator.script import Script
    from tests.simulator.world import World

OVER = ("logged_off", "removed")
MOVES = {
    ("", "session.logged_in"): "active",
    ("active", "session.disconnected"): "disconnected",
    ("disconnected", "session.reconnected"): "active",
    ("active", "session.logged_off"): "logged_off",
    ("disconnected", "session.logged_off"): "logged_off",
    ("active", "session.removed"): "removed",
    ("disconnected", "session.removed"): "removed",
    ("active", "session.idle"): "active",
    ("disconnected", "session.idle"): "disconnected",
}
EVENT_SQL = (
    'SELECT seq, at, type, site, company, session, "user", actor, reason, data FROM events ORDER BY seq'
)


@dataclass(eq=False)
class Event:
    seq: int
    at: int
    type: str
    site: str | None
    company: str | None
    session: str | None
    user: str | None
    actor: str | None
    reason: str | None
    data: dict[str, Any]


@dataclass(eq=False)
class Held:
    session: str
    user: str
    resource: str
    shared: bool
    sticky: bool
    token: int


def overlap(a: str, b: str) -> bool:
    if "*" in (a, b):
        return True
    return all(x == y for x, y in zip(a.split("/"), b.split("/"), strict=False))


@dataclass
class History:
    """All events, and what follows from them."""

    events: list[Event]
    status: dict[str, str] = field(default_factory=dict)
    held: dict[tuple[str, str, int], Held] = field(default_factory=dict)
    granted: dict[tuple[str, str, int], Held] = field(default_factory=dict)
    released: dict[tuple[str, str, int], str] = field(default_factory=dict)
    tokens: dict[tuple[str, str], int] = field(default_factory=dict)
    disconnects: dict[str, list[Event]] = field(default_factory=dict)
    ended: dict[str, Event] = field(default_factory=dict)


def read(rows: list[tuple[Any, ...]]) -> History:
    return History([Event(*row[:9], json.loads(row[9])) for row in rows])


def replay(world: World, history: History) -> None:
    """Judge every event by those before it."""
    for index, event in enumerate(history.events):
        if event.seq != index + 1:
            world.wrong(f"event {index + 1} is missing in the history ({event.seq} follows)")
            return
        if event.type.startswith("session.") and event.type != "session.refused":
            _session(world, history, event)
        elif event.type == "lock.granted":
            _granted(world, history, event)
        elif event.type == "lock.released":
            _released(world, history, event)


def _session(world: World, history: History, event: Event) -> None:
    assert event.session is not None
    was = history.status.get(event.session, "")
    new = MOVES.get((was, event.type))
    if new is None:
        world.wrong(f"event {event.seq}: {event.session} is {was or 'unknown'} and {event.type}")
        return
    history.status[event.session] = new
    if event.type == "session.disconnected":
        history.disconnects.setdefault(event.session, []).append(event)
    if new in OVER:
        history.ended[event.session] = event
    if event.type == "session.removed":
        if event.data.get("was") != was:
            world.wrong(
                f"event {event.seq}: {event.session} was {was}, and is said to have been {event.data}"
            )
        if was == "active" and event.data.get("cause") != "operator":
            world.wrong(f"event {event.seq}: {event.session} was active and is removed by {event.data}")


def _granted(world: World, history: History, event: Event) -> None:
    assert event.site is not None
    assert event.company is not None
    assert event.session is not None
    place, data = (event.site, event.company), event.data
    token = data["token"]
    if token <= history.tokens.get(place, 0):
        world.wrong(f"event {event.seq}: token {token} after {history.tokens[place]} in {place}")
    history.tokens[place] = token
    new = Held(
        event.session, event.user or "", data["resource"], data["mode"] == "shared", data["sticky"], token
    )
    if history.status.get(event.session) in OVER:
        world.wrong(f"event {event.seq}: {event.session} is over and is granted {new.resource}")
    for (site, company, _), lock in history.held.items():
        if (site, company) != place or lock.session == new.session or (lock.shared and new.shared):
            continue
        if overlap(lock.resource, new.resource):
            world.wrong(
                f"event {event.seq}: {new.resource} is granted to {new.session}, and {lock.session} holds"
                f" {lock.resource} (token {lock.token})"
            )
    history.held[*place, token] = history.granted[*place, token] = new


def _released(world: World, history: History, event: Event) -> None:
    assert event.site is not None
    assert event.company is not None
    key = event.site, event.company, event.data["token"]
    if key in history.released:
        world.wrong(f"event {event.seq}: {key} is released twice")
    elif history.held.pop(key, None) is None:
        world.wrong(f"event {event.seq}: {key} is released and nobody holds it")
    history.released[key] = event.reason or ""


# --- passes ------------------------------------------------------------------------------------------------


def judge_passes(world: World, history: History, rows: list[tuple[Any, ...]]) -> None:
    """Each pass's report tells what the events tell (rule 7)."""
    started: dict[int, Event] = {}
    done: dict[int, Event] = {}
    for event in history.events:
        if event.type == "cleanup.started":
            started[event.data["pass"]] = event
        elif event.type == "cleanup.finished" and event.site is None:
            if event.data["pass"] in done:
                world.wrong(f"pass {event.data['pass']} finished twice")
            done[event.data["pass"]] = event
    for ident, finished, report in rows:
        if not finished:
            continue
        if ident not in done or ident not in started:
            world.wrong(f"pass {ident} is stored as finished, and no event says so")
            continue
        _judge_pass(world, history, ident, (started[ident].seq, done[ident].seq), json.loads(report))
    stored = {ident for ident, finished, _ in rows if finished}
    for ident in done:
        if ident not in stored:
            world.wrong(f"pass {ident} is announced as finished, and its report is not stored")


def _judge_pass(world: World, history: History, ident: int, span: tuple[int, int], report: Any) -> None:
    removed: dict[tuple[str, str], int] = {}
    freed: dict[tuple[str, str], int] = {}
    for event in history.events[span[0] - 1 : span[1]]:
        place = event.site or "", event.company or ""
        if event.type == "session.removed" and event.data.get("cause") == "cleanup":
            removed[place] = removed.get(place, 0) + 1
        elif event.type == "lock.released" and event.reason == "cleanup":
            freed[place] = freed.get(place, 0) + 1
    for entry in report["companies"]:
        place = entry["site"], entry["company"]
        if entry["removed"] != removed.pop(place, 0) or entry["released"] != freed.pop(place, 0):
            world.wrong(f"pass {ident} reports {entry}, which the events of {place} do not say")
    if removed or freed:
        world.wrong(f"pass {ident} removed {removed} and released {freed}, and does not report it")
    for name in ("removed", "released"):
        if report[name] != sum(entry[name] for entry in report["companies"]):
            world.wrong(f"pass {ident}: the sum of {name} is wrong")


# --- mass silence ------------------------------------------------------------------------------------------


def judge_masses(world: World, history: History, script: Script, dates: dict[int, tuple[int, int]]) -> int:
    """Who fell in a mass silence is not removed automatically until it is confirmed or over (rule 9).

    `dates`: by the daemon's timeline, with its life; the wall clock that is stored may be set meanwhile.
    """
    mass = script.settings
    falls: dict[tuple[str, str, str], list[tuple[int, str, int]]] = {}
    found = 0

    def when(event: Event) -> int | None:
        if not world.wall_moves:
            return event.at
        known = dates.get(event.seq)  # none: that life ended between storing it and telling of it
        return None if known is None else known[1]

    def of_one_life(seqs: list[int]) -> bool:
        return not world.wall_moves or len({dates[seq][0] for seq in seqs}) == 1

    confirmed = [event for event in history.events if event.type == "cleanup.confirmed"]
    alerts = [
        event
        for event in history.events
        if event.type == "alert.raised" and event.data["kind"] == "mass_silence"
    ]
    for ident, spells in history.disconnects.items():
        for event in spells:
            at = when(event)
            if event.reason != "idle" and at is not None:
                client = script.people[ident].client
                for company in (event.company or "", ""):
                    falls.setdefault((event.site or "", company, client), []).append((at, ident, event.seq))
    for key, fallen in falls.items():
        kind = script.kinds.get(key[2]) or script.kinds["default"]
        window = round((mass["window_s"] + kind.heartbeat_every_s) * 1000)
        fallen.sort()
        if len(fallen) < mass["min"]:
            continue
        for opened, _, first_seq in fallen:
            base = _active_before(history, script, key, opened, first_seq)
            inside = [
                (at, ident, seq) for at, ident, seq in fallen
                if opened <= at <= opened + window and ident in base and not _back(history, ident, seq)
            ]  # fmt: skip
            need = max(mass["min"], ceil(mass["share"] * len(base) - 1e-9))
            if len({ident for _, ident, _ in inside}) < need or len(inside) != len({i for _, i, _ in inside}):
                continue
            if not of_one_life([seq for _, _, seq in inside]):
                continue
            found += 1
            full = inside[need - 1]
            for at, ident, _ in inside:
                end = history.ended.get(ident)
                if end is None or end.type != "session.removed" or end.seq < full[2]:
                    continue
                if end.data.get("cause") not in ("cleanup", "blocking"):
                    continue
                if any(it.site == key[0] and it.seq < end.seq for it in confirmed):
                    continue
                told = [
                    when(it)
                    for it in alerts
                    if (it.site, it.data["client"]) == (key[0], key[2]) and it.seq < end.seq
                ]
                hold, ended = round(mass["hold_s"] * 1000), when(end)
                if ended is None or None in told:
                    continue
                if not told or ended < min(it for it in told if it is not None) + hold - 1:
                    world.wrong(
                        f"{ident} fell at {at} with {len(inside)} of {len(base)} of {key} and is removed by"
                        f" {end.data.get('cause')} at {ended}; alerts were at {told}"
                    )
            break
    return found


def _back(history: History, ident: str, seq: int) -> bool:
    """It came back, or said goodbye, later on: it may not have counted."""
    return any(
        event.session == ident
        and event.seq > seq
        and (
            event.type in ("session.reconnected", "session.logged_off")
            or (event.type == "session.removed" and event.data.get("cause") in ("replaced", "operator"))
        )
        for event in history.events
    )


def _active_before(
    history: History, script: Script, key: tuple[str, str, str], opened: int, first_seq: int
) -> set[str]:
    """The sessions of the group that were active just before the event."""
    status: dict[str, str] = {}
    site, company, client = key
    for event in history.events[: first_seq - 1]:
        ident = event.session
        if ident is None or event.site != site or event.type == "session.refused":
            continue
        if not event.type.startswith("session.") or (company and event.company != company):
            continue
        if ident in script.people and script.people[ident].client == client:
            status[ident] = MOVES.get((status.get(ident, ""), event.type), "")
    del opened
    return {ident for ident, now in status.items() if now == "active"}
