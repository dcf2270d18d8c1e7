"""The plain face: no event loop in sight."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.client.conftest import ann
from tests.support.mosquitto import wait_for
from whosin.client import LockRefused, LoginRefused, SessionEnded, State, SyncLogin

if TYPE_CHECKING:
    from tests.client.scripted_daemon import ScriptedDaemon


def plain(daemon: ScriptedDaemon, **about: Any) -> SyncLogin:
    return SyncLogin(f"mqtt://127.0.0.1:{daemon.port}", **ann(**about))


def test_a_script_logs_in_beats_locks_and_logs_out(daemon: ScriptedDaemon) -> None:
    daemon.heartbeat_every_s = 0.05
    threads = threading.active_count()
    with plain(daemon) as login:
        assert login.state is State.CONNECTED
        login.activity = "posting"
        with login.lock("stock/count") as held:
            assert held.token == 1
            assert daemon.held["stock/count"]
        assert not held.held
        wait_for(lambda: any(each.payload.get("activity") for each in daemon.of("heartbeat")))
    wait_for(lambda: daemon.of("logout", login.id))
    assert not daemon.of("lost")
    assert threading.active_count() == threads


def test_refusals_are_raised_where_they_are_asked_for(daemon: ScriptedDaemon) -> None:
    daemon.refuse["bob"] = ("seats", "no seat left")
    with pytest.raises(LoginRefused, match="no seat left"), plain(daemon, user="bob"):
        pytest.fail("was let in")
    with plain(daemon) as first, plain(daemon, user="cat") as second, first.lock("payroll"):
        with pytest.raises(LockRefused, match="in use by ann"):
            second.lock("payroll").acquire()
        with pytest.raises(LockRefused) as refused, second.lock("payroll"):
            pytest.fail("was granted")
        assert refused.value.holder is not None


def test_messages_are_read_in_a_plain_loop(daemon: ScriptedDaemon) -> None:
    with plain(daemon) as login:
        daemon.say(login.id, "message", text="one")
        daemon.say(login.id, "message", text="two")
        read = login.messages()
        assert [next(read), next(read)] == ["one", "two"]
        daemon.end(login.id, status="removed", by="kim")
        with pytest.raises(SessionEnded, match="by kim"):
            next(read)
        assert login.ended is not None


def test_it_can_be_opened_and_closed_by_hand(daemon: ScriptedDaemon) -> None:
    login = plain(daemon)
    login.close()  # harmless
    with pytest.raises(RuntimeError, match="not open"):
        login.lock("x").acquire()
    login.open()
    with pytest.raises(RuntimeError, match="opened already"):
        login.open()
    login.close("going home")
    login.close()
    wait_for(lambda: daemon.of("logout"))
    assert daemon.of("logout")[0].payload == {"reason": "going home"}
