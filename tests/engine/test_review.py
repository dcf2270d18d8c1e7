"""Orders of events that once went wrong: restarts, stores that hang, streams, memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.engine.bench import BOSS, TYPES, Bench, HandClock, Line, Said
from tests.engine.moody import Moody, moody, recovered, turns, until
from tests.support.certificates import Authority, needs_openssl
from whosin import settings as settings_room
from whosin.app import App
from whosin.desk import desk as desk_room
from whosin.engine import committer as committer_room
from whosin.engine import engine as engine_room
from whosin.errors import Refused, StoreError
from whosin.model import MassSilence, Policy
from whosin.operations import SessionQuery
from whosin.ports import Changes, EventRow

if TYPE_CHECKING:
    from whosin.observe.logs import Logs

HOUR_MS = 3_600_000
FULL = StoreError("full", "no space left")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await Bench(tmp_path / "whosin.db", store=Moody(tmp_path / "whosin.db")).start()
    yield made
    if isinstance(made.store, Moody):
        made.store.problem = None
        made.store.unreadable = False
        if made.store.hangs is not None:
            made.store.hangs.set()
    await made.close()


# --- time ------------------------------------------------------------------------------------------------


class Sleeper(HandClock):
    """A machine that can be suspended: its monotonic clock stands still meanwhile."""

    slept = 0

    def suspended_ms(self) -> int:
        return self.slept


async def test_a_machine_that_sleeps_for_the_first_time_gives_a_grace_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "w.db")
    bench.clock = clock = Sleeper()
    await bench.start()
    await bench.login("a")
    await bench.go(299)
    clock.slept = 8 * HOUR_MS
    await bench.go(89)
    assert bench.status("a") == "active"
    await bench.go(3)
    assert bench.status("a") == "disconnected"
    await bench.close()


async def test_a_clock_put_back_at_restart_does_not_lengthen_locks_waits_and_holds(tmp_path: Path) -> None:
    policy = replace(Policy(TYPES), mass=MassSilence(minimum=3, share=0.3))
    bench = await Bench(tmp_path / "w.db", policy=policy).start()
    for number in range(4):
        await bench.login(f"gone{number}", f"user{number}", company="c2")
    await bench.go(290)
    for ident, user in (("forced", "fred"), ("waits", "wim"), ("holds", "hans")):
        await bench.login(ident, user)
    await bench.go(11)
    assert [hold["sessions"] for hold in (await bench.desk.cleanup(BOSS))["holds"]] == [4]
    await bench.say("forced", "lock", {"resource": "a"})
    await bench.say("holds", "lock", {"resource": "b"})
    await bench.desk.logoff(["forced"], BOSS, force=True)
    await bench.say("waits", "lock", {"resource": "a/b", "wait_s": 120})
    await bench.say("waits", "lock", {"resource": "b", "wait_s": 30})
    bench.clock.now -= 3 * HOUR_MS
    again = await bench.crash()
    report = await again.desk.run_cleanup(BOSS)
    await again.beat_for(10, "waits", "holds")
    assert sorted(lock["resource"] for lock in await again.desk.locks(BOSS)) == ["a", "b"]
    await again.beat_for(6, "waits", "holds")
    assert sorted(lock["resource"] for lock in await again.desk.locks(BOSS)) == ["a/b", "b"]
    await again.beat_for(15, "waits", "holds")
    assert again.answers("lock")[-1]["code"] == "timeout"
    await again.beat_for(80, "waits", "holds")
    report = await again.desk.run_cleanup(BOSS)
    assert (report["removed"], report["held_back"]) == (0, 4)
    await again.beat_for(3_600, "waits", "holds")
    assert (await again.desk.cleanup(BOSS))["holds"] == []
    await again.close()


async def test_time_down_does_not_count_for_who_was_heard_by_a_source_that_is_no_more(tmp_path: Path) -> None:
    bench = await Bench(tmp_path / "w.db").start()
    await bench.login("a")
    await bench.go(10)
    await bench.store.close()
    moved = Bench(tmp_path / "w.db", sources=("link",))
    moved.clock.now = bench.clock.now + HOUR_MS
    await moved.start()
    await moved.go(280)
    assert moved.status("a") == "active"
    await moved.go(20)
    assert moved.status("a") == "disconnected"
    await moved.close()


async def test_which_connection_was_lost_of_a_disconnected_session_is_kept_too(tmp_path: Path) -> None:
    bench = await Bench(tmp_path / "w.db").start()
    await bench.login("s1", conn=1)
    await bench.go(301)
    await bench.say("s1", "lost", {"conn": 2})
    await bench.crash()
    live = bench.engine.live("s1")
    assert live is not None
    assert live.told.conn == 2
    await bench.close()


async def test_a_late_proof_takes_nothing_from_the_blind_seconds(tmp_path: Path) -> None:
    bench = await Bench(tmp_path / "w.db", sources=("link",)).start()
    await bench.login("a")
    before = bench.counts.blind_ms
    asked = bench.clock.now
    bench.wire.proves = False
    bench.wire.asked_ms = asked
    bench.clock.now += 500
    bench.engine.proof("link", bench.clock.now)  # other packets have come meanwhile
    await bench.go(1)
    assert bench.engine.blind == ["link"]
    bench.engine.proof("link", asked)
    assert bench.engine.blind == []
    assert bench.counts.blind_ms >= before
    await bench.close()


async def test_what_fell_due_before_a_message_comes_before_it_however_many_there_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.login("holds", "hans")
    await bench.say("holds", "lock", {"resource": "x"})
    for number in range(6):
        await bench.login(f"dead{number}", f"user{number}")
    await bench.say("dead5", "lock", {"resource": "x", "wait_s": 3_600})
    await bench.go(299)
    await bench.login("waits", "wim")
    await bench.say("waits", "lock", {"resource": "x", "wait_s": 3_600})
    await bench.say("holds", "heartbeat")
    monkeypatch.setattr(engine_room, "CHUNK", 2)
    bench.clock.now += 500
    bench.engine.tick()
    bench.clock.now += 600
    await bench.say("holds", "unlock", {"resource": "x"})
    assert [event.session for event in bench.events if event.type == "lock.granted"] == ["holds", "waits"]


# --- the store ---------------------------------------------------------------------------------------------


async def test_answers_and_acknowledgements_that_cannot_leave_fill_no_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_room, "PENDING_BOUND", 50)
    await bench.login("a")
    moody(bench).problem = FULL
    await bench.say("a", "lost", {})
    for _ in range(60):
        await bench.say("a", "unlock", {"resource": "x"}, qos=0)
    assert bench.engine.full
    await recovered(bench)
    assert not bench.engine.full
    moody(bench).problem = FULL
    await bench.say("a", "lost", {})
    beat = Said(b"whosin/v1/up/s1/c1/a/heartbeat", b"", 1)
    for _ in range(60):
        bench.engine.deliver("door", bench.clock.now, Line([]), [beat])  # each by a connection of its own
    bench.engine.drain()
    assert bench.engine.full
    await recovered(bench)
    assert not bench.engine.full
    assert bench.engine._acks == {}


async def test_a_daemon_whose_store_hangs_stops_in_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_room, "CLOSE_S", 0.05)
    moody(bench).hangs = asyncio.Event()
    await bench.say("a", "login", {"user": "anna", "client": "desktop"}, wait=False)
    bench.engine.drain()
    await asyncio.wait_for(bench.engine.close(), 1)
    assert bench.wire.log == []


async def test_a_store_that_hangs_is_told_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_room, "WAIT_S", 0.05)
    moody(bench).hangs = asyncio.Event()
    await bench.say("a", "login", {"user": "anna", "client": "desktop"}, wait=False)
    bench.engine.drain()
    await until(lambda: bool(bench.desk.problems()))
    assert [problem[:14] for problem in bench.desk.problems()] == ["storage: slow:"]
    assert bench.cleanup.waits_for(bench.clock.now) == ["storage"]


async def test_a_listener_with_a_bug_costs_nobody_a_commit(bench: Bench) -> None:
    def breaks(_row: EventRow) -> None:
        raise RuntimeError("a bug")

    bench.engine.listeners.append(breaks)
    await bench.login("a")
    await asyncio.wait_for(bench.desk.switch_cleanup(True, BOSS), 30)  # a loaded machine; it would hang
    await bench.say("b", "login", {"user": "bert", "client": "web"})
    assert len(bench.answers("login")) == 2


async def test_an_event_that_cannot_be_written_down_keeps_no_other_back(bench: Bench) -> None:
    bench.engine._note("odd", bench.clock.now, {"text": "\ud800"})
    await bench.login("a")
    assert bench.answers("login")[-1]["accepted"] is True
    assert bench.published("session.logged_in")


async def test_a_lock_whose_session_was_lost_does_not_keep_the_daemon_from_starting(bench: Bench) -> None:
    await bench.login("a")
    await bench.say("a", "lock", {"resource": "x"})
    row = bench.engine.rows.lock(next(iter((bench.engine.roll.sessions["a"].locks or {}).values())))
    await bench.store.commit(Changes(locks={("s1", "c1", 99): row._replace(token=99, session=4711)}))
    again = await bench.crash()
    assert [lock["token"] for lock in await again.desk.locks(BOSS)] == [1]


async def test_messages_of_unknown_ids_are_looked_up_before_the_end(bench: Bench) -> None:
    await bench.say("a", "login", {"user": "anna", "client": "desktop"}, wait=False)
    bench.engine._drain_soon()
    await bench.engine.close()
    assert not bench.engine._parked
    assert [it[0] for it in bench.wire.log if it[0] == "ack"] == ["ack"]


async def _told_of_a_stranger(bench: Bench) -> None:
    """Somebody is to be looked up, and a session that is known waits for its turn behind."""
    await bench.login("old")
    asked = moody(bench).asked
    await bench.say("new", "login", {"user": "nina", "client": "desktop"}, wait=False)
    await bench.say("old", "lock", {"resource": "x"}, wait=False)
    bench.engine.drain()
    await until(lambda: moody(bench).asked > asked)


async def _beat_with_activity(bench: Bench) -> None:
    for _ in range(8):
        await bench.say("old", "heartbeat", {"activity": "invoicing"}, qos=0, wait=False)
        bench.engine.drain()
        for _ in range(120):
            bench.clock.now += 500
            bench.engine.tick()
        await turns()  # a look-up fails meanwhile


async def test_who_is_known_waits_for_nobody_while_the_store_cannot_be_read(bench: Bench) -> None:
    await _told_of_a_stranger(bench)
    await bench.settle()
    bench.events.clear()
    moody(bench).unreadable = True
    await bench.say("newer", "login", {"user": "nora", "client": "desktop"}, wait=False)
    await bench.say("old", "lock", {"resource": "y"}, wait=False)
    bench.engine.drain()
    await _beat_with_activity(bench)
    assert [lock["resource"] for lock in await bench.desk.locks(BOSS)] == ["x", "y"]
    assert [event.session for event in bench.events if event.type == "session.disconnected"] == ["new"]
    moody(bench).unreadable = False
    bench.engine.tick()
    await bench.settle()
    assert bench.status("newer") is not None


async def test_who_is_known_gives_signs_of_life_while_a_look_up_hangs(bench: Bench) -> None:
    await bench.login("old")
    moody(bench).late = late = asyncio.Event()
    await _told_of_a_stranger(bench)
    await _beat_with_activity(bench)
    assert bench.status("old") == "active"
    assert [lock["resource"] for lock in await bench.desk.locks(BOSS)] == ["x"]
    late.set()
    await bench.settle()
    assert bench.status("new") is not None
    assert [event.type for event in bench.events if event.session == "old"] == [
        "session.logged_in", "lock.granted",
    ]  # fmt: skip


async def test_a_will_that_waits_for_a_look_up_is_not_taken_behind_a_later_sign_of_life(bench: Bench) -> None:
    await bench.login("old")
    moody(bench).late = late = asyncio.Event()
    await _told_of_a_stranger(bench)
    await bench.say("old", "lost", {}, wait=False)
    bench.engine.drain()
    bench.clock.now += 100
    await bench.say("old", "heartbeat", qos=0, wait=False)
    bench.engine.drain()
    late.set()
    await bench.settle()
    assert bench.engine.roll.sessions["old"].lost_ms == 0


# --- events ------------------------------------------------------------------------------------------------


async def _unreadable(_seq: int, _limit: int) -> list[EventRow]:
    raise StoreError("io", "cannot read")


async def test_a_way_out_that_cannot_be_read_back_for_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Moody(tmp_path / "w.db")
    bench = await Bench(tmp_path / "w.db", store=store, sources=("door", "link")).start()
    bench.wires["door"].ready = False
    await bench.login("a")
    events_after = store.events_after
    monkeypatch.setattr(store, "events_after", _unreadable)
    bench.engine.outbox._fresh.clear()
    bench.wires["door"].ready = True
    await bench.go(1)
    await bench.login("b")
    await bench.go(1)
    heard = [it[1]["subject"] for it in bench.wires["link"].log if "/events/" in str(it[0])]
    assert heard == ["a", "b"]
    monkeypatch.setattr(store, "events_after", events_after)
    await bench.go(1)
    heard = [it[1]["subject"] for it in bench.wires["door"].log if "/events/" in str(it[0])]
    assert heard == ["a", "b"]
    await bench.close()


async def _following(bench: Bench, last_id: str | None, most: int) -> list[tuple[str, str]]:
    """What a stream tells at once."""
    found = []
    stream = bench.desk.changes(BOSS, last_id)
    try:
        for _ in range(most):
            ident, kind, _ = await asyncio.wait_for(anext(stream), 0.2)
            found.append((ident, kind))
    except TimeoutError:
        pass
    return found


async def test_a_stream_goes_on_behind_the_last_id_without_a_gap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_room, "SSE_BACKLOG", 5)
    for number in range(13):
        await bench.login(f"s{number}")
    assert [ident for ident, _ in await _following(bench, "1", 20)] == [str(seq) for seq in range(2, 14)]


async def test_a_stream_tells_an_event_once_though_it_was_read_before_it_was_let_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.login("a")
    events_after = bench.store.events_after

    async def late(seq: int, limit: int) -> list[EventRow]:
        rows = await events_after(seq, limit)
        if not rows:
            return rows
        row = rows[-1]._replace(seq=rows[-1].seq + 1)
        return [*rows, row]  # committed a moment ago

    monkeypatch.setattr(bench.store, "events_after", late)
    found = []

    async def follow() -> None:
        async for ident, _, _ in bench.desk.changes(BOSS, "0"):
            found.append(ident)

    task = asyncio.create_task(follow())
    await until(lambda: len(found) == 2)
    monkeypatch.undo()
    await bench.login("b")
    await bench.login("c")
    await until(lambda: "3" in found)
    task.cancel()
    assert found == ["1", "2", "3"]


@pytest.mark.parametrize("last_id", ["²", "9" * 40, "-1", "x"])
async def test_a_last_id_that_nobody_was_given_breaks_no_stream(bench: Bench, last_id: str) -> None:
    await bench.login("a")
    assert await _following(bench, last_id, 3) == []


# --- operators ---------------------------------------------------------------------------------------------


async def test_a_log_off_that_cannot_look_up_one_id_removes_none(bench: Bench) -> None:
    await bench.login("a")
    moody(bench).unreadable = True
    with pytest.raises(StoreError):
        await bench.desk.logoff(["a", "stranger"], BOSS, force=True)
    assert bench.status("a") == "active"


async def test_while_the_store_fails_a_session_that_is_over_is_not_shown_as_active(bench: Bench) -> None:
    await bench.login("a")
    moody(bench).problem = FULL
    await bench.say("a", "logout", {"reason": "lunch"})
    shown = await bench.desk.session("a", BOSS)
    assert shown is not None
    assert (shown["status"], shown["reason"]) == ("logged_off", "lunch")
    assert (await bench.desk.sessions(SessionQuery(), BOSS)).items == []
    await recovered(bench)


async def test_a_read_shows_nothing_that_was_decided_while_it_waited_and_is_not_durable(bench: Bench) -> None:
    await bench.login("a")
    gates = [asyncio.Event() for _ in range(3)]
    moody(bench).hangs = gates[0]
    begun = moody(bench).begun
    bench.engine.flush(bench.clock.now)
    bench.engine.committer.kick()
    await until(lambda: moody(bench).begun == begun + 1)
    read = asyncio.create_task(bench.desk.sessions(SessionQuery(), BOSS))
    await turns()  # it waits for the next commit, behind the one on its way
    moody(bench).hangs = gates[1]
    gates[0].set()
    await until(lambda: moody(bench).begun == begun + 2)
    moody(bench).hangs = gates[2]
    await bench.say("a", "logout", wait=False)
    bench.engine.drain()
    gates[1].set()
    await until(lambda: moody(bench).begun == begun + 3)
    await turns()
    assert not read.done()
    gates[2].set()
    assert (await read).items == []


async def test_the_last_report_is_shown_while_a_pass_waits(bench: Bench) -> None:
    await bench.login("a")
    await bench.desk.run_cleanup(BOSS)
    bench.engine.blinded("door")
    await bench.desk.run_cleanup(BOSS)
    again = await bench.crash()
    again.engine.blinded("door")
    shown: dict[str, Any] = await again.desk.cleanup(BOSS)
    assert shown["running"] is not None
    assert shown["last"] is not None
    assert shown["last"]["state"] == "finished"


# --- the wiring --------------------------------------------------------------------------------------------


class Quiet:
    """Logs that nobody reads."""

    def flood(self, *_: Any) -> int:
        return 0

    def flush(self) -> None: ...

    def set_level(self, _level: str) -> None: ...


def _app(folder: Path, more: str = "") -> App:
    file = folder / "whosin.toml"
    file.write_text(
        f'[daemon]\ndata_dir = "{folder}"\n[mqtt]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "off"\n{more}'
    )
    return App(settings_room.load(file, {}), file, cast("Logs", Quiet()))


async def _events(app: App) -> list[str]:
    return [row.type for row in await app.store.events_after(0, 10_000)]


async def test_a_signal_to_reload_while_starting_overwrites_no_history(tmp_path: Path) -> None:
    app = _app(tmp_path)
    await app._start()
    await app.engine.durable()
    first = (await _events(app))[0]
    await app._close()
    again = _app(tmp_path)
    again._reload_on_signal()
    await asyncio.gather(again._start())
    for _ in range(200):
        if "settings.reloaded" in await _events(again):
            break
        await asyncio.sleep(0.01)
    told = await _events(again)
    await again._close()
    assert (told[0], told.count("settings.reloaded")) == (first, 1)


async def test_what_needs_a_restart_is_named_until_it_is_done(tmp_path: Path) -> None:
    app = _app(tmp_path)
    await app._start()
    _app(tmp_path, '[limits]\nsessions = 7\n[store]\nurl = "sqlite:///other.db"\n')
    first = await app.reload("boss")
    again = await app.reload("boss")
    await app._close()
    assert (first["changed"], first["needs_restart"]) == (["limits.sessions"], ["store.url"])
    assert (again["changed"], again["needs_restart"]) == ([], ["store.url"])


async def test_a_changed_setting_is_in_the_history_with_what_it_was_by_reload_and_by_restart(
    tmp_path: Path,
) -> None:
    async def told(app: App, kind: str) -> list[Any]:
        return [
            json.loads(row.data)["values"] for row in await app.store.events_after(0, 99) if row.type == kind
        ]

    app = _app(tmp_path)
    await app._start()
    _app(tmp_path, "[limits]\nsessions = 7\n")
    await app.reload("boss")
    assert await told(app, "settings.reloaded") == [{"limits.sessions": {"before": 200_000, "after": 7}}]
    await app._close()
    again = _app(tmp_path, "[limits]\nsessions = 8\n[client_types.kiosk]\n")
    await again._start()
    await again.engine.durable()
    (changed,) = await told(again, "settings.changed")
    assert changed["limits.sessions"] == {"before": 7, "after": 8}
    assert changed["client_types.kiosk.timeout_s"] == {"before": None, "after": 300}
    assert await told(again, "settings.reloaded") == [{"limits.sessions": {"before": 200_000, "after": 7}}]
    await again._close()


@needs_openssl
async def test_a_certificate_that_cannot_be_used_refuses_the_whole_reload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "authority")
    pair = authority.issue("localhost", server=True, into=tmp_path / "server")
    door = f'[mqtt]\nlisten_tls_cert = "{pair.cert}"\nlisten_tls_key = "{pair.key}"\n'

    def app_with(more: str = "") -> App:
        app = _app(tmp_path)
        app._config_path.write_text(app._config_path.read_text().replace("[mqtt]\n", door) + more)
        return App(settings_room.load(app._config_path, {}), app._config_path, cast("Logs", Quiet()))

    app = app_with()
    await app._start()
    used = app.daemon.door_tls.context
    pair.key.write_text("rubbish")
    app_with("[limits]\nsessions = 7\n")
    for _ in range(2):
        app.look_at_certificates()
    with pytest.raises(Refused, match=r"mqtt\.listen_tls_cert: .*; the certificate in use stays"):
        await app.reload("boss")
    assert app.engine.roll.policy.limits.sessions != 7
    assert app.daemon.door_tls.context is used
    authority.issue("localhost", server=True, into=tmp_path / "server")
    app.look_at_certificates()
    assert app.daemon.door_tls.context is not used
    said = capsys.readouterr().out
    assert (said.count("certificate.not_renewed"), said.count("certificate.renewed")) == (1, 1)
    await app._close()


async def test_a_token_file_that_holds_rubbish_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_bytes(b"\xff\xfe")
    app = _app(tmp_path)
    await app._start()
    secret = (tmp_path / "admin-token").read_text().strip()
    assert app.desk.authenticate(secret) is not None
    await app._close()


async def test_a_wall_clock_that_jumps_ahead_does_not_cost_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = _app(tmp_path)
    pruned: list[int] = []

    done = asyncio.Event()

    async def prune(before: int, _limit: int) -> int:
        pruned.append(before)
        done.set()
        return 0

    monkeypatch.setattr(app.store, "prune", prune)
    app.clock._step_ms = 100 * 365 * 24 * HOUR_MS
    app.daemon._tasks = [asyncio.create_task(app.daemon._prune_for_ever())]
    await done.wait()
    app.daemon._tasks[0].cancel()
    await app.store.close()
    assert pruned[0] < app.clock.now_ms()
