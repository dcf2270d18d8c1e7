"""systemd's protocol: which datagrams go to the socket that it names."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from whosin.service import systemd

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd is Linux's")


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as its:
        its.bind(str(tmp_path / "notify"))
        its.settimeout(5)
        yield its


def said(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def connected(manager: socket.socket, **more: str) -> systemd.Systemd:
    found = systemd.from_environment({"NOTIFY_SOCKET": manager.getsockname(), **more})
    assert found is not None
    return found


def test_while_it_starts_the_limit_is_put_off(manager):
    connected(manager).starting("the broker\nis away")
    assert said(manager) == ["STATUS=Starting: the broker is away", "EXTEND_TIMEOUT_USEC=30000000"]


def test_ready_alive_stopping(manager):
    its = connected(manager)
    its.ready("3 active")
    assert said(manager) == ["READY=1", "STATUS=3 active"]
    its.alive("4 active")
    assert said(manager) == ["WATCHDOG=1", "STATUS=4 active"]
    its.stopping()
    assert said(manager) == ["STOPPING=1", "STATUS=Stopping"]
    its.failed("cannot start: no")
    assert said(manager) == ["STATUS=cannot start: no"]


def test_a_reload_says_when_it_began(manager):
    connected(manager).reloading()
    first, second = said(manager)
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_texts_of_strangers_cannot_add_a_line_and_are_cut(manager):
    connected(manager).ready("x\nREADY=0\r\n" + "y" * 1000)
    lines = said(manager)
    assert len(lines) == 2
    assert len(lines[1]) == len("STATUS=") + systemd.LONGEST_STATUS


def test_signs_of_life_are_due_at_half_of_the_watchdogs_time(manager):
    assert connected(manager, WATCHDOG_USEC="30000000").alive_every_s == 15
    assert connected(manager, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid())).alive_every_s == 15
    assert connected(manager, WATCHDOG_USEC="30000000", WATCHDOG_PID="1").alive_every_s is None
    assert connected(manager).alive_every_s is None


@pytest.mark.parametrize("address", ["", "relative", "@", "/"])
def test_without_a_socket_nobody_is_told(address):
    assert systemd.from_environment({"NOTIFY_SOCKET": address}) is None
    assert systemd.from_environment({}) is None


def test_its_variables_are_not_left_for_other_programs(manager):
    environ = {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "HOME": "/x",
    }
    systemd.from_environment(environ)
    assert environ == {"HOME": "/x"}


def test_an_abstract_socket_is_found():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0whosin-{os.getpid()}")
        manager.settimeout(5)
        systemd.Systemd(f"@whosin-{os.getpid()}").ready("fine")
        assert said(manager) == ["READY=1", "STATUS=fine"]


def test_a_system_that_does_not_listen_is_no_problem(tmp_path):
    its = systemd.Systemd(str(tmp_path / "gone"))
    its.ready("fine")
    its.alive("fine")
