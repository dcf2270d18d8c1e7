"""Thousands of strangers before the way in, and those who never read: who works is served meanwhile."""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.security.place import ANNA, Person, Place
from tests.support.certificates import needs_openssl
from tests.support.daemon import until
from tests.support.mosquitto import find_program
from whosin.mqtt.codec import V5, encode_publish

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_openssl

CROWD = 5_000
SIGNED_IN = 60  # of them by TLS and with a good account: a handshake costs both sides a millisecond and more
FILES = 2 * CROWD


@pytest.fixture(scope="module")
def many_files() -> Iterator[None]:
    """For this process and the daemons it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < FILES:
        pytest.skip(f"NOT TESTED: {FILES} open files are needed and {before[1]} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], FILES), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module", params=["door-password", "mosquitto-password"])
def place(
    request: pytest.FixtureRequest, many_files: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    if request.param.startswith("mosquitto") and find_program("mosquitto") is None:
        pytest.skip("NOT TESTED: mosquitto is missing")
    made = Place(tmp_path_factory.mktemp("place"), request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def anna(place: Place) -> Iterator[Person]:
    made = Person(place, "anna", ANNA)
    yield made
    made.line.close()


def silent(port: int, leaving: contextlib.ExitStack) -> None:
    """Comes, says nothing, stays."""
    line = socket.socket()
    leaving.callback(line.close)
    line.settimeout(10)
    with contextlib.suppress(OSError):
        line.connect(("127.0.0.1", port))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are another matter there")
def test_five_thousand_connections_hold_up_nobody_who_is_in(place: Place, anna: Person) -> None:
    with contextlib.ExitStack() as leaving:
        for nth in range(CROWD - SIGNED_IN):
            silent(place.port, leaving)
            if nth % 500 == 0:
                anna.works()
        anna.works()
        if place.door:  # of those who say nothing no more than so many
            assert place.daemon.metric("whosin_door_connections") <= 4_000 + 10
            until(lambda: place.daemon.metric("whosin_door_connections") < 10, 40)
        for nth in range(SIGNED_IN):
            line = place.line("rival", f"crowd-{nth}")
            leaving.callback(line.close)
            assert line.welcome
            line.hear("#")
            if nth % 20 == 0:
                anna.works()
        anna.works()
        late = place.line("bob", "a-late-one")
        assert late.welcome, "there is room for whoever has an account"
        late.close()
    assert place.daemon.status(ANNA) == "active"


def asks(nth: int, count: int) -> bytes:
    """Questions of sessions that nobody knows: each is answered."""
    body = b'{"resource": "x"}'
    topics = [f"whosin/v1/up/rival/c/slow-{nth}-{one}/unlock".encode() for one in range(count)]
    return b"".join(encode_publish(topic, body, qos=0, packet_id=0, version=V5) for topic in topics)


def test_those_who_ask_and_never_read_hold_up_nobody(place: Place, anna: Person) -> None:
    with contextlib.ExitStack() as leaving:
        readers = []
        for nth in range(8):
            line = place.line("rival-portal", f"slow-{nth}")
            leaving.callback(line.close)
            line.hear("whosin/v1/down/rival/#")
            readers.append(line)
        for nth, line in enumerate(readers):
            line.raw(asks(nth, 2_000))
            anna.works()
        for _ in range(10):
            anna.works()
    assert place.daemon.status(ANNA) == "active"
    assert place.daemon.get("/readyz", token=None)[0] == 200
