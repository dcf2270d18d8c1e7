"""A real Mosquitto that refuses, that allows too little, that shows a certificate nobody trusts."""

from __future__ import annotations

import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import Authority, needs_openssl
from tests.support.mosquitto import SHIPPED, Mosquitto, find_program, needs_mosquitto
from tests.support.ports import free_port
from whosin.doctor import broker
from whosin.doctor.findings import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.doctor.conftest import Found

READ = "topic read whosin/v1/up/#"


@pytest.fixture
def visit(patient, look, tmp_path: Path) -> Callable[..., Found]:
    """What is found at that url, by that account."""

    def made(url: str, password: str | None = None, more: str = "") -> Found:
        login = ""
        if password is not None:
            (tmp_path / "password").write_text(password)
            login = f'username = "whosin"\npassword_file = "{tmp_path / "password"}"\n'
        return look(broker.check(patient(f'[mqtt]\nurl = "{url}"\n{login}{more}')))

    return made


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    started: list[Mosquitto] = []

    def made(acl: str | None = None, listener: str = "") -> Mosquitto:
        passwords = tmp_path / "passwords"
        passwords.touch()
        program = find_program("mosquitto_passwd") or ""
        subprocess.run([program, "-b", passwords, "whosin", "right"], check=True, capture_output=True)
        lines = ["listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}", listener]
        if acl is not None:
            (tmp_path / "acl").write_text(acl)
            lines.append(f"acl_file {tmp_path / 'acl'}")
        started.append(Mosquitto(tmp_path, listener="\n".join(lines)).start())
        return started[-1]

    yield made
    for one in started:
        one.stop()


def test_without_a_broker_nothing_is_said(patient, look):
    assert look(broker.check(patient())) == []


@needs_mosquitto
def test_the_shipped_rules_are_enough_and_say_where_they_can_not_be_proven(start, visit):
    site = start((SHIPPED / "whosin.acl").read_text())
    found = visit(f"mqtt://127.0.0.1:{site.port}", "right")
    assert found.levels("broker") == [Level.OK]
    assert found.levels("broker rights") == [Level.OK, Level.OK]
    assert READ in found.of("broker rights")[0][1]


@needs_mosquitto
def test_with_every_right_what_clients_say_is_proven_to_be_heard(start, visit):
    found = visit(f"mqtt://127.0.0.1:{start().port}", "right")
    assert found.of("broker rights")[0] == ("ok", "what clients say to whosin/v1/up/# is heard", "")


@needs_mosquitto
@pytest.mark.parametrize("password", ["wrong", None])
def test_a_refused_password_is_named_with_whom_it_was_tried_for(start, visit, password):
    ((level, found, advice),) = visit(f"mqtt://127.0.0.1:{start().port}", password).of("broker")
    assert level == "problem"
    assert "it refuses the user name" in found
    assert ("as whosin" if password else "without a user name") in found
    assert "mqtt.password_file" in advice


@needs_mosquitto
def test_a_missing_right_to_hear_is_found_where_we_may_speak_there(start, visit):
    """Mosquitto grants the subscription, and delivers nothing."""
    site = start("user whosin\ntopic write whosin/v1/#\n")
    found = visit(f"mqtt://127.0.0.1:{site.port}", "right").of("broker rights")
    level, said, advice = found[0]
    assert (level, said) == ("problem", "whosin/v1/up/# is granted, but nothing said there is delivered")
    assert READ in advice


@needs_mosquitto
def test_missing_rights_to_speak_are_named_as_lines_of_the_access_list(start, visit):
    site = start(f"user whosin\n{READ}\ntopic write whosin/v1/down/#\n")
    level, said, advice = visit(f"mqtt://127.0.0.1:{site.port}", "right").of("broker rights")[1]
    assert level == "problem"
    assert "may not answer: whosin/v1/events/# (not authorized), whosin/v1/daemon/#" in said
    assert advice.endswith("topic write whosin/v1/events/#; topic write whosin/v1/daemon/#")


@needs_mosquitto
def test_limits_that_are_too_small_are_warnings(tmp_path, visit):
    site = Mosquitto(tmp_path, extra="")
    site.config.write_text(f"listener {site.port} 127.0.0.1\nallow_anonymous true\nmax_packet_size 20000\n"
                           "max_inflight_messages 20\n")  # fmt: skip
    site.start()
    try:
        found = visit(f"mqtt://127.0.0.1:{site.port}").of("broker limits")
    finally:
        site.stop()
    assert [level for level, _, _ in found] == ["warning"] * len(found)
    assert any("maximum packet size is 20,000" in said for _, said, _ in found)


def test_a_broker_that_is_down_and_a_name_that_is_none_are_told_apart(visit):
    ((_, down, _),) = visit(f"mqtt://127.0.0.1:{free_port()}").of("broker")
    ((_, none, _),) = visit("mqtt://no-such-host.invalid").of("broker")
    assert down.startswith("nobody listens at mqtt://127.0.0.1:")
    assert none == "the name in mqtt://no-such-host.invalid:1883 is not known here"


def test_a_broker_that_says_nothing_does_not_hold_anybody(visit, monkeypatch):
    monkeypatch.setattr(broker, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ((level, said, _),) = visit(f"mqtt://127.0.0.1:{mute.getsockname()[1]}").of("broker")
    assert (level, "fell silent" in said) == ("problem", True)


def test_something_else_than_a_broker_is_said_to_have_ended_it(visit):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        ((level, said, _),) = visit(f"mqtt://127.0.0.1:{server.getsockname()[1]}").of("broker")
        thread.join(5)
    assert level == "problem"
    assert "ended the conversation" in said


# --- TLS -----------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(start, tmp_path) -> tuple[Mosquitto, Authority]:
    authority = Authority(tmp_path / "authority")
    pair = authority.issue("localhost", server=True)
    return start(None, f"certfile {pair.cert}\nkeyfile {pair.key}"), authority


@needs_mosquitto
@needs_openssl
def test_a_trusted_certificate_tells_how_long_it_is_good(sealed, visit):
    site, authority = sealed
    found = visit(f"mqtts://localhost:{site.port}", "right", f'ca_file = "{authority.ca}"')
    ((level, said, _),) = found.of("broker certificate")
    assert level == "warning", "those of tests are good for two days"
    assert said.startswith("that of localhost expires on ")
    assert found.levels("broker") == [Level.OK]


@needs_mosquitto
@needs_openssl
def test_a_certificate_of_an_unknown_authority_and_one_for_another_name_are_told_apart(sealed, visit):
    site, authority = sealed
    ((_, unknown, advice),) = visit(f"mqtts://localhost:{site.port}", "right").of("broker")
    assert "not trusted: unable to get local issuer certificate" in unknown
    assert "mqtt.ca_file" in advice
    other = visit(f"mqtts://127.0.0.2:{site.port}", "right", f'ca_file = "{authority.ca}"')
    assert other.levels("broker") == [Level.PROBLEM]


@needs_mosquitto
def test_tls_where_none_is_spoken_is_named(start, visit):
    ((level, said, _),) = visit(f"mqtts://localhost:{start().port}", "right").of("broker")
    assert level == "problem"
    assert "speaks no TLS there" in said
