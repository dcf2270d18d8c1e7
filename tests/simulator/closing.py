"""The last judgement: when faults are over and the system has come to rest, everything has to fit together.

Owns the comparisons of memory, database, events, answers and what listeners got. Must not know the rules.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.simulator import history as history_room
from tests.simulator.disk import STORE_ID
from tests.simulator.history import OVER, History
from whosin.ports import BeatRow, HoldRow, LockRow, SessionRow, WantRow
from whosin.store import statements as sql

if TYPE_CHECKING:
    from tests.simulator.machine import Life
    from tests.simulator.oracle import Oracle
    from tests.simulator.stage import Stage


def stored(stage: Stage) -> History:
    return history_room.read(stage.disk.query(history_room.EVENT_SQL))


def judge_start(stage: Stage, life: Life) -> None:
    """After a crash: what is remembered is what the stored events say."""
    assert life.daemon is not None
    history = stored(stage)
    quiet = len(stage.world.violations)
    history_room.replay(stage.world, history)
    if len(stage.world.violations) > quiet:
        return
    live = {ident: status for ident, status in history.status.items() if status not in OVER}
    found = {ident: it.status.value for ident, it in life.daemon.engine.roll.sessions.items()}
    committed = {event.session for event in history.events}
    for ident in live.keys() | found.keys():
        if ident in committed and live.get(ident) != found.get(ident):
            stage.world.wrong(
                f"after the start {ident} is {found.get(ident)}; by the events it was {live.get(ident)}"
            )


def judge_end(stage: Stage, oracle: Oracle) -> History:
    history = stored(stage)
    history_room.replay(stage.world, history)
    _memory(stage, history)
    _passes(stage, history)
    history_room.judge_masses(stage.world, history, stage.script, oracle.dates)
    _answers(stage, history)
    _published(stage, history)
    _lives(stage, history)
    _orders(stage, history)
    if not any(kind.idle_limit_s for kind in stage.script.kinds.values()):
        _missed(stage, history, oracle)
    return history


# --- memory and database -----------------------------------------------------------------------------------


def _memory(stage: Stage, history: History) -> None:
    wrong = stage.world.wrong
    life = stage.machine.life
    assert life is not None
    assert life.daemon is not None
    engine = life.daemon.engine
    roll, rows = engine.roll, engine.rows
    if engine.committer.busy or engine.committer.open.changes:
        wrong("it does not come to rest: something is still to be committed")
        return
    live = {ident: status for ident, status in history.status.items() if status not in OVER}
    found = {ident: it.status.value for ident, it in roll.sessions.items()}
    if live != found:
        wrong(f"in memory {sorted(found.items() ^ live.items())} is not as the events say")
    in_file = {row[0]: SessionRow(*row) for row in stage.disk.query(sql.LIVE_SESSIONS)}
    in_mind = {it.key: rows.session(it) for it in roll.sessions.values()}
    for key in in_file.keys() | in_mind.keys():
        if not _same(in_file.get(key), in_mind.get(key), stage.world.wall_moves):
            wrong(f"session {key} is stored as {in_file.get(key)} and remembered as {in_mind.get(key)}")
    ended = dict(stage.disk.query("SELECT id, status FROM ended_sessions"))
    if ended != {ident: status for ident, status in history.status.items() if status in OVER}:
        wrong(f"ended are {ended}, and the events say {history.status}")
    books = [company.locks for company in roll.companies.values() if company.locks is not None]
    held = {rows.lock(lock) for book in books for lock in book.held.everything()}
    in_table = {LockRow(*row) for row in stage.disk.query(sql.LOCKS)}
    if not stage.world.wall_moves and held != in_table:
        wrong(f"locks in memory and in the file differ: {sorted(held ^ in_table)}")
    names = {(row.site, row.company, row.token) for row in held}
    if names != history.held.keys() or names != {(row.site, row.company, row.token) for row in in_table}:
        wrong(f"locks held are {sorted(names)}; by the events {sorted(history.held)}")
    wants = {rows.want(want) for it in roll.sessions.values() for want in (it.wants or {}).values()}
    in_wants = {WantRow(*row) for row in stage.disk.query(sql.WANTS)}
    if {row[:3] for row in wants} != {row[:3] for row in in_wants}:
        wrong(f"wants in memory and in the file differ: {sorted(wants ^ in_wants)}")
    holds = {rows.hold(hold)[:3] for hold in roll.silence.holds.values()}
    if holds != {HoldRow(*row)[:3] for row in stage.disk.query(sql.HOLDS)}:
        wrong("holds in memory and in the file differ")
    tokens = {(site, name): token for site, name, token in stage.disk.query(sql.COMPANIES)}
    for place, token in history.tokens.items():
        if tokens.get(place) != token or roll.companies[place].token != token:
            wrong(f"the last token of {place} is {tokens.get(place)}; by the events {token}")
    _ended_locks(stage, history)
    if len(BeatRow._fields) < 2:
        wrong("no beats")


def _same(a: SessionRow | None, b: SessionRow | None, wall_moves: bool) -> bool:
    """Where the wall clock was stepped, what was stored before shows the clock of then."""
    if a is None or b is None or not wall_moves:
        return a == b
    moments = dict.fromkeys(("since", "seen", "lost", "disconnected", "ended"), 0)
    return a._replace(**moments) == b._replace(**moments)


def _ended_locks(stage: Stage, history: History) -> None:
    """Whoever is over holds nothing but what is sticky, a while later (rule 6)."""
    longest = max(settings["lock_delay_s"] for settings in stage.settings_seen) * 1000
    for lock in history.held.values():
        end = history.ended.get(lock.session)
        if end is None or lock.sticky or _left_behind(history, lock.session, lock.token):
            continue
        if stage.world.wall_ms() - end.at > longest + 5_000 and not stage.world.wall_moves:
            stage.world.wrong(f"{lock.session} is over and still holds {lock.resource}")


def _left_behind(history: History, session: str, token: int) -> bool:
    return any(
        event.type == "lock.left_behind" and event.session == session and event.data["token"] == token
        for event in history.events
    )


# --- passes, answers, orders -------------------------------------------------------------------------------


def _passes(stage: Stage, history: History) -> None:
    history_room.judge_passes(
        stage.world, history, stage.disk.query("SELECT id, finished, report FROM passes ORDER BY id")
    )


def _answers(stage: Stage, history: History) -> None:
    """What was answered or acknowledged holds (rule 10)."""
    wrong = stage.world.wrong
    logged_in = {event.session for event in history.events if event.type == "session.logged_in"}
    refused = {event.session for event in history.events if event.type == "session.refused"}
    unlocked = {
        (event.session, event.data["resource"]) for event in history.events if event.type == "lock.released"
    }
    for known in stage.witness.known.values():
        who = known.who
        for _, kind, body in known.answers:
            if kind == "login" and body["accepted"] and who.id not in logged_in:
                wrong(f"{who.id} was told that it is logged in, and no event says so")
            elif kind == "login" and not body["accepted"] and who.id not in refused:
                wrong(f"{who.id} was refused, and no event says so")
            elif kind == "lock" and body["granted"]:
                lock = history.granted.get((who.site, who.company, body["token"]))
                if lock is None or (lock.session, lock.resource) != (who.id, body["resource"]):
                    wrong(f"{who.id} was granted {body}, and the events say {lock}")
            elif kind == "unlock" and body["released"] and (who.id, body["resource"]) not in unlocked:
                wrong(f"{who.id} was told that {body['resource']} is released, and no event says so")
            elif kind == "ended" and history.status.get(who.id) != body["status"]:
                wrong(f"{who.id} was told that it is {body['status']}: it is {history.status.get(who.id)}")
        if known.logout_acked and who.by == "door" and history.status.get(who.id, "removed") not in OVER:
            wrong(f"{who.id} logged out, was acknowledged, and is {history.status.get(who.id)}")


def _orders(stage: Stage, history: History) -> None:
    """What operators were told was done is done."""
    wrong = stage.world.wrong
    removed = {(event.session, event.actor) for event in history.events if event.type == "session.removed"}
    switches = [event.data["enabled"] for event in history.events if event.type == "cleanup.switched"]
    for at, what, args, result in stage.witness.orders:
        if isinstance(result, Exception):
            continue
        if what == "logoff" and not args[3]:
            for one in result:
                if one["result"] == "removed" and (one["id"], args[0]) not in removed:
                    wrong(f"{args[0]} was told at {at} that {one['id']} is removed, and no event says so")
                if one["result"] == "already_over" and history.status.get(one["id"]) not in OVER:
                    wrong(f"{args[0]} was told at {at} that {one['id']} was over already: it is not")
        elif what == "clean" and not args[1] and result["state"] == "finished":
            report = stage.disk.query(f"SELECT report FROM passes WHERE id = {result['id']}")
            if not report or json.loads(report[0][0])["companies"] != result["companies"]:
                wrong(f"{args[0]} was shown a pass that is stored otherwise: {result}")
    _shown(stage, history)
    life = stage.machine.life
    if switches and life is not None and life.daemon is not None:
        enabled = life.daemon.cleanup.enabled
        kept = json.loads(dict(stage.disk.query(sql.META))["cleanup"])["enabled"]
        if enabled is not switches[-1] or kept is not switches[-1]:
            wrong(f"the cleanup was switched to {switches[-1]} last, and is {enabled}, stored {kept}")


def _shown(stage: Stage, history: History) -> None:
    """What operators were shown was so, and stays in the history."""
    for at, by, item in stage.witness.shown:
        ident, status = item["id"], item["status"]
        if status in OVER and history.status.get(ident) != status:
            stage.world.wrong(f"{by} was shown at {at} that {ident} is {status}; now it is otherwise")
        if status == "disconnected" and ident not in history.disconnects:
            stage.world.wrong(f"{by} was shown at {at} that {ident} is disconnected, and no event says so")
        for lock in item["locks"]:
            if (item["site"], item["company"], lock["token"]) not in history.granted:
                stage.world.wrong(f"{by} was shown at {at} that {ident} holds {lock}, and no event says so")


# --- events out --------------------------------------------------------------------------------------------


def _published(stage: Stage, history: History) -> None:
    """Every event has reached whoever listened all the time, and nothing else has (contract, section 1)."""
    wrong, seen = stage.world.wrong, stage.witness.published
    want = {f"{STORE_ID}-{event.seq}": event for event in history.events if event.site is not None}
    for where, listens in (("broker", stage.script.broker), ("door", stage.script.door)):
        if not listens:
            continue
        for ident, body in seen[where].items():
            event = want.get(ident)
            if event is None or (event.type, event.session) != (body["type"], body.get("subject")):
                wrong(f"{where} was told {body}, and the history says {event}")
        first = stage.observed_from if where == "door" else 0
        if first is None:
            continue
        missing = [
            one
            for one, event in want.items()
            if one not in seen[where] and first < event.seq <= stage.last_seq
        ]
        if missing:
            wrong(
                f"{len(missing)} events never reached the {where}: {[vars(want[one]) for one in missing[:3]]}"
            )


# --- the living and the dead -------------------------------------------------------------------------------


def _lives(stage: Stage, history: History) -> None:
    """At rest, whoever lives is active, and whoever died has been found."""
    wrong = stage.world.wrong
    for ident, person in stage.people.items():
        known, lives = person.known, ident in stage.living
        status = stage.at_end.get(ident)
        if status is None:
            if lives and ident not in history.status and not _refused_only(known):
                wrong(f"{ident} lives, and never got in")
            continue
        if lives and status != "active" and person.idle_s is None:
            wrong(f"{ident} lives and beats, and is {status}")
        if known.died_ms is not None and status == "active" and not _spoken_for(stage, ident):
            wrong(f"{ident} died at {known.died_ms}, and is still {status}")
        if known.left_ms is not None and known.logout_acked and status == "active":
            wrong(f"{ident} left at {known.left_ms}, and is still {status}")


def _refused_only(known: Any) -> bool:
    return any(kind == "login" and not body["accepted"] for _, kind, body in known.answers)


def _spoken_for(stage: Stage, ident: str) -> bool:
    """Something of it was said again lately: that was a sign of life."""
    known = stage.witness.known[ident]
    return any(sign.at_ms > stage.script.calm_ms - 2_000 for sign in known.signs)


def _missed(stage: Stage, history: History, oracle: Oracle) -> None:
    if stage.world.wall_moves:
        return
    dates: dict[str, list[int]] = {}
    for ident, status in history.status.items():
        if status not in OVER:
            dates[ident] = [event.at - stage.epoch_ms for event in history.disconnects.get(ident, ())]
    oracle.judge_missed(dates)
