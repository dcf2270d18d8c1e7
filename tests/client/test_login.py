"""One session on its own connection, against a real broker."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.client.conftest import QUICK, ann
from tests.client.scripted_daemon import ScriptedDaemon, until
from tests.support.mosquitto import Mosquitto, free_port
from whosin.client import Login, LoginRefused, NoAnswer, NotConnected, SessionEnded, State

Make = "Callable[..., Login]"


async def test_entering_logs_in_with_everything_it_was_told(daemon: ScriptedDaemon, login: Make) -> None:
    async with login(app="Ledger 4.2", os_session="console", address="203.0.113.7") as ours:
        assert ours.state is State.CONNECTED
        heard = daemon.of("login", ours.id)[0]
    assert heard.payload == {
        "user": "ann",
        "client": "desktop",
        "machine": "PC-7",
        "app": "Ledger 4.2",
        "os_session": "console",
        "address": "203.0.113.7",
        "conn": 1,
    }
    assert heard.qos == 1


async def test_leaving_logs_out_and_publishes_no_will(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ours:
        pass
    assert ours.state is State.CLOSED
    assert ours.ended is None
    async with login(user="bob") as other:  # by now a will of the first would have arrived
        await until(lambda: daemon.of("login", other.id))
    assert [each.payload for each in daemon.of("logout", ours.id)] == [{}]
    assert not daemon.of("lost")


async def test_an_exception_inside_is_the_reason_of_the_logout(daemon: ScriptedDaemon, login: Make) -> None:
    with pytest.raises(ZeroDivisionError):
        async with login() as ours:
            raise ZeroDivisionError
    await until(lambda: daemon.of("logout", ours.id))
    assert daemon.of("logout")[0].payload == {"reason": "the program stopped: ZeroDivisionError"}


async def test_a_refusal_is_raised_with_its_code_and_leaves_nothing(
    daemon: ScriptedDaemon, login: Make
) -> None:
    daemon.refuse["ann"] = ("seats", "All 50 desktop seats are taken; ask Kim Reed")
    ours = login()
    with pytest.raises(LoginRefused, match="ask Kim Reed") as refused:
        async with ours:
            pytest.fail("was let in")
    assert refused.value.code == "seats"
    assert ours.state is State.ENDED
    assert len(asyncio.all_tasks()) == 1


async def test_it_beats_by_itself_at_the_pace_the_daemon_asked_for(
    daemon: ScriptedDaemon, login: Make
) -> None:
    daemon.heartbeat_every_s = 0.05
    idle = iter(range(1000))
    async with login(activity="posting", idle_s=lambda: next(idle)) as ours:
        await until(lambda: len(daemon.of("heartbeat")) >= 2)
        ours.activity = None
        ours.idle_s = None
        seen = len(daemon.of("heartbeat"))
        await until(lambda: len(daemon.of("heartbeat")) >= seen + 3)
    first, second, *_, last = daemon.of("heartbeat")
    assert first.payload == {"activity": "posting", "idle_s": 0, "conn": 1}
    assert second.payload["idle_s"] == 1
    assert last.payload == {"conn": 1}
    assert first.qos == 0
    assert ours.beats >= 5


async def test_a_broken_idle_callable_is_told_and_the_beats_go_on(
    daemon: ScriptedDaemon, login: Make, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.heartbeat_every_s = 0.05
    async with login(idle_s=lambda: 1 / 0):
        await until(lambda: len(daemon.of("heartbeat")) >= 2)
    assert "activity or idle_s failed" in caplog.text
    assert daemon.of("heartbeat")[0].payload == {"conn": 1}


async def test_a_break_publishes_the_will_and_it_comes_back_with_a_higher_number(
    daemon: ScriptedDaemon, login: Make
) -> None:
    states: list[State] = []
    async with login(on_state=states.append) as ours:
        await ours.cut()
        lost = await until(lambda: daemon.of("lost", ours.id))
        assert lost[0].payload == {"conn": 1}
        await until(lambda: ours.state is State.RECONNECTING)
        await ours.mend()
        await until(lambda: ours.state is State.CONNECTED)
        assert daemon.of("login", ours.id)[-1].payload["conn"] >= 2
    assert states == [State.CONNECTED, State.RECONNECTING, State.CONNECTED, State.CLOSED]


async def test_it_comes_back_when_the_broker_was_away(
    mosquitto: Mosquitto, daemon: ScriptedDaemon, login: Make
) -> None:
    async with login(answer_s=0.2) as ours:
        mosquitto.kill()
        await until(lambda: ours.state is State.RECONNECTING)
        assert str(mosquitto.port) in await until(lambda: ours.why)
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: ours.state is State.CONNECTED)
        await until(lambda: ours.logins == 2)


async def test_what_was_said_while_it_was_briefly_away_arrives(daemon: ScriptedDaemon, login: Make) -> None:
    texts: list[Any] = []
    async with login(on_message=texts.append) as ours:
        await ours.cut()
        await until(lambda: daemon.of("lost", ours.id))
        daemon.say(ours.id, "message", text="Please save", **{"from": "Kim"}, at="2026-01-05T17:00:00.000Z")
        await ours.mend()
        await until(lambda: texts)
    assert texts == ["Please save"]
    assert (texts[0].sender, texts[0].at) == ("Kim", "2026-01-05T17:00:00.000Z")


async def test_messages_can_be_read_in_a_loop_which_ends_with_the_login(
    daemon: ScriptedDaemon, login: Make
) -> None:
    ours = login()
    read: list[str] = []

    async def reading() -> None:
        async for text in ours.messages():
            read.append(text)  # noqa: PERF401 - one by one, as they come

    async with ours:
        task = asyncio.create_task(reading())
        daemon.say(ours.id, "message", text="one")
        daemon.say(ours.id, "message", text="two")
        await until(lambda: len(read) == 2)
    await asyncio.wait_for(task, 5)
    assert read == ["one", "two"]


async def test_unread_messages_are_bounded(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ours:
        for number in range(150):
            ours.hear("message", b'{"text": "%d"}' % number)
        first = await anext(ours.messages())
    assert first == "50"


async def test_a_callback_that_fails_is_logged_and_harms_nothing(
    daemon: ScriptedDaemon, login: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: object) -> None:
        raise RuntimeError("no window")

    async with login(on_message=fail) as ours:
        daemon.say(ours.id, "message", text="hello")
        await until(lambda: "no window" in caplog.text)
        assert ours.state is State.CONNECTED


async def test_unknown_makes_it_log_in_again_by_itself(daemon: ScriptedDaemon, login: Make) -> None:
    daemon.heartbeat_every_s = 0.05
    async with login() as ours:
        daemon.forget(ours.id)
        await until(lambda: ours.logins == 2)
        assert ours.id in daemon.sessions


async def test_a_session_ended_from_outside_stops_and_says_by_whom(
    daemon: ScriptedDaemon, login: Make
) -> None:
    async with login() as ours:
        daemon.end(ours.id, status="removed", by="kim", at="2026-01-05T17:00:00.000Z", reason="maintenance")
        ended = await asyncio.wait_for(ours.wait_ended(), 5)
        assert ours.state is State.ENDED
        assert ended is ours.ended
        assert ended is not None
        assert (ended.status, ended.by, ended.reason) == ("removed", "kim", "maintenance")
        with pytest.raises(SessionEnded, match="removed by kim"):
            await ours.lock("stock").acquire()
        with pytest.raises(SessionEnded):
            await anext(ours.messages())
        with pytest.raises(RuntimeError):
            await ours.open()
    assert not daemon.of("logout")
    assert not daemon.of("lost")


async def test_a_login_refused_after_the_daemon_forgot_it_ends_it(
    daemon: ScriptedDaemon, login: Make
) -> None:
    daemon.heartbeat_every_s = 0.05
    async with login() as ours:
        daemon.refuse["ann"] = ("locked", "The account is locked")
        daemon.forget(ours.id)
        ended = await asyncio.wait_for(ours.wait_ended(), 5)
        assert ended is not None
        assert ended.status == "refused"
        assert "locked" in str(ended)


async def test_another_program_with_the_same_session_is_not_fought(
    unused_tcp_port: int,
) -> None:
    """Mosquitto 2.0 closes the older connection without a word; others say why, as this one does."""

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)  # CONNECT
        writer.write(bytes.fromhex("20 03 00 00 00"))
        subscribe = await reader.read(1000)
        writer.write(bytes.fromhex("90 04") + subscribe[2:4] + bytes.fromhex("00 01"))
        await reader.read(1000)  # the login
        writer.write(bytes.fromhex("e0 02 8e 00"))
        writer.close()

    server = await asyncio.start_server(broker, "127.0.0.1", unused_tcp_port)
    async with server:
        ours = Login(f"mqtt://127.0.0.1:{unused_tcp_port}", **ann())
        with pytest.raises(NotConnected, match=r"[Tt]aken over"):
            await ours.open()
        assert ours.ended is not None
        assert ours.ended.status == "taken_over"
    assert len(asyncio.all_tasks()) == 1


async def test_a_given_session_counts_its_connections_above_those_of_earlier_programs(
    daemon: ScriptedDaemon, login: Make
) -> None:
    async with login(session="the-session"):
        pass
    assert daemon.of("login")[0].payload["conn"] > 1_000_000_000


async def test_silence_of_the_daemon_is_no_answer_and_is_cleaned_up(
    daemon: ScriptedDaemon, login: Make
) -> None:
    daemon.mute = True
    ours = login(login_timeout_s=0.5, answer_s=0.1)
    with pytest.raises(NoAnswer, match="does not answer"):
        async with ours:
            pytest.fail("was let in")
    assert len(daemon.of("login", ours.id)) >= 2  # it asked again
    await until(lambda: daemon.of("logout", ours.id))  # in case it was let in without hearing of it
    assert len(asyncio.all_tasks()) == 1


async def test_a_broker_that_is_not_there_is_no_answer_with_the_reason() -> None:
    ours = Login(f"mqtt://127.0.0.1:{free_port()}", **ann(login_timeout_s=0.3))
    with pytest.raises(NoAnswer, match=r"cannot connect to mqtt://127\.0\.0\.1"):
        async with ours:
            pytest.fail("was let in")
    await until(lambda: len(asyncio.all_tasks()) == 1)  # an attempt may be under way in its thread


async def test_a_broker_that_starts_later_is_waited_for(tmp_path: Any) -> None:
    broker = Mosquitto(tmp_path)
    ours = Login(f"mqtt://127.0.0.1:{broker.port}", **ann(answer_s=0.2))
    entering = asyncio.create_task(ours.open())
    await until(lambda: ours.why)
    await asyncio.to_thread(broker.start)
    scripted = await asyncio.to_thread(ScriptedDaemon(broker.port).start)
    try:
        await asyncio.wait_for(entering, 10)
        await ours.close()
    finally:
        await asyncio.to_thread(scripted.stop)
        await asyncio.to_thread(broker.stop)


async def test_a_wrong_password_is_refused_at_once(tmp_path: Any) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    broker = Mosquitto(
        tmp_path, listener=f"listener {{port}} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}"
    )
    await asyncio.to_thread(broker.start)
    try:
        with pytest.raises(LoginRefused) as refused:
            async with Login(f"mqtt://ann:wrong@127.0.0.1:{broker.port}", **ann()):
                pytest.fail("was let in")
        assert refused.value.code == "not_authorized"
        assert "wrong" not in str(refused.value)
    finally:
        await asyncio.to_thread(broker.stop)


async def test_cancelling_while_connecting_leaves_no_task_behind(mosquitto: Mosquitto) -> None:
    mosquitto.pause()  # accepts connections, says nothing
    try:
        entering = asyncio.create_task(Login(f"mqtt://127.0.0.1:{mosquitto.port}", **ann()).open())
        await until(lambda: any(task.get_name() == "whosin-connect" for task in asyncio.all_tasks()))
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
    finally:
        mosquitto.resume()
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_cancelling_inside_logs_out(daemon: ScriptedDaemon, login: Make) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with login():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: daemon.of("logout"))
    assert len(asyncio.all_tasks()) == 1


async def test_leaving_without_a_connection_says_so_and_does_not_hang(
    daemon: ScriptedDaemon, login: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whosin.client.login.GOODBYE_S", 0.1)
    async with login() as ours:
        await ours.cut()
        await until(lambda: ours.state is State.RECONNECTING)
    assert "could not log out" in caplog.text
    assert not daemon.of("logout")


async def test_abandoning_leaves_like_a_crash(daemon: ScriptedDaemon, login: Make) -> None:
    ours = await login().open()
    await ours.abandon()
    await until(lambda: daemon.of("lost", ours.id))
    quiet = await login().open()
    await quiet.abandon(broken=False)
    assert not daemon.of("logout")
    assert not daemon.of("lost", quiet.id)
    assert len(asyncio.all_tasks()) == 1


async def test_a_defect_in_the_client_ends_the_session_loudly(
    daemon: ScriptedDaemon, login: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("a defect")

    async with login() as ours:
        ours._spawn(broken(), "broken")
        ended = await asyncio.wait_for(ours.wait_ended(), 5)
    assert ended is not None
    assert ended.status == "failed"
    assert isinstance(ended.__cause__, RuntimeError)
    assert caplog.records[0].levelno == logging.ERROR


async def test_answers_that_cannot_be_read_are_passed_over(daemon: ScriptedDaemon, login: Make) -> None:
    async with login() as ours:
        for kind, payload in (
            ("lock", b"{"),
            ("lock", b'{"resource": 1}'),
            ("message", b"[]"),
            ("login", b"\xff"),
            ("novelty", b"{}"),
        ):
            ours.hear(kind, payload)
        ours.heard("whosin/v1/down/nonsense", b"")
        assert ours.state is State.CONNECTED


@pytest.mark.parametrize(
    "about",
    [
        {"site": "head office"},
        {"company": "a/b"},
        {"session": "#"},
        {"user": ""},
        {"app": "x" * 300},
        {"url": "http://127.0.0.1"},
        {"url": "mqtt://"},
    ],
)
def test_what_cannot_be_said_on_the_wire_is_refused_when_it_is_made(about: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"expected|allowed|empty"):
        Login(**ann(**about))


def test_a_password_is_not_shown() -> None:
    with pytest.raises(ValueError, match="expected") as error:
        Login("http://ann:hunter2@127.0.0.1", **ann())
    assert "hunter2" not in str(error.value)
    ours = Login("mqtts://ann:hunter2@127.0.0.1", **ann())
    assert "hunter2" not in repr(ours) + repr(ours._terms)
    assert ours._terms.broker.port == 8883
    assert QUICK.pause_s(1, ours._draw) <= QUICK.first_s
