"""Everything that a good account may not do, tried at the door and at a Mosquitto run as it is shipped.

After each attack Anna's session is what it was and she is served, nobody heard what was forged, nothing of it
is in the daemon, and Eve heard nothing but what is hers.
"""

from __future__ import annotations

import contextlib
import ssl
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.security.attacks import ALL, Attack
from tests.security.line import Line, Who
from tests.security.place import ACCOUNTS, ANNA, EVE, WAYS, Person, Place
from tests.support.certificates import Authority, needs_openssl
from tests.support.mosquitto import find_program, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = needs_openssl


class Scene:
    """Anna at work, an observer who listens, and what the daemon knows."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.daemon = place.daemon
        self.anna = Person(place, "anna", ANNA)
        self.anna.lock("sales-order/SO-1")
        self.observer = place.line("acme-events", "observer-of-acme")
        self.observer.hear("whosin/v1/#")
        self.before = self.daemon.api("GET", f"sessions/{ANNA}")

    def judge(self) -> None:
        """All is as it was, but for what Anna herself did."""
        self.anna.works()
        self.observer.settle()
        session = self.daemon.api("GET", f"sessions/{ANNA}")
        same = ("status", "user", "machine", "site", "company", "since", "disconnected_at")
        assert {key: session[key] for key in same} == {key: self.before[key] for key in same}
        assert [lock["resource"] for lock in session["locks"]] == ["sales-order/SO-1"]
        assert set(self.daemon.sessions(status="active,disconnected,logged_off,removed")) == {ANNA}
        assert not [topic for topic, body in self.observer.heard if b"forged" in body or EVE in topic]
        assert not [body for _, body in self.anna.line.heard if b"forged" in body or b"ended" in body]
        statuses = {body for topic, body in self.observer.heard if topic == "whosin/v1/daemon/test"}
        assert statuses == {b"online"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Scene]]:
    """Each way in is opened once, by whoever asks first."""
    made: dict[str, Scene] = {}
    with contextlib.ExitStack() as leaving:

        def scene_of(way: str) -> Scene:
            if way not in made:
                place = Place(tmp_path_factory.mktemp("place"), way)
                leaving.callback(place.close)
                it = made[way] = Scene(place)
                leaving.callback(it.anna.line.close)
                leaving.callback(it.observer.close)
            return made[way]

        yield scene_of


@pytest.fixture
def scene(request: pytest.FixtureRequest, scenes: Callable[[str], Scene]) -> Scene:
    if request.param.startswith("mosquitto") and find_program("mosquitto") is None:
        pytest.skip("NOT TESTED: mosquitto is missing")
    return scenes(request.param)


def own(attack: Attack, topic: str) -> bool:
    """Whether her account may hear this topic."""
    role, site, _ = ACCOUNTS[attack.as_who]
    kind, of_site, *more = [*topic.removeprefix("whosin/v1/").split("/"), "", ""]
    if role == "observer":
        return kind == "daemon" or (kind, of_site) == ("events", site)
    return (kind, of_site) == ("down", site) and (role == "gateway" or more[1] == attack.ident)


FEW = 5  # one in so many is tried by certificate too: how one signs in changes nothing of what one may


def table() -> list[Any]:
    return [
        pytest.param(way, attack, id=f"{way}: {attack.name}")
        for way in WAYS
        for attack in (ALL if way.endswith("password") else ALL[::FEW])
    ]


@pytest.mark.parametrize(("scene", "attack"), table(), indirect=["scene"])
def test_an_attack_by_an_account_changes_nothing_and_hears_nothing(scene: Scene, attack: Attack) -> None:
    rejected = 'whosin_messages_rejected_total{reason="forbidden"}'
    before = scene.daemon.metric(rejected)
    eve = scene.place.line(attack.as_who, attack.ident, will=attack.will)
    if eve.welcome:
        attack.does(eve)
        scene.anna.works()  # answers and events that could be overheard
        eve.settle()
    if attack.cut:
        eve.cut()
    scene.judge()
    assert [topic for topic, _ in eve.heard if not own(attack, topic)] == []
    if scene.place.door and attack.forbidden:
        assert scene.daemon.metric(rejected) > before
    eve.close()


every_way = pytest.mark.parametrize("scene", WAYS, indirect=True)


@every_way
def test_nobody_comes_in_who_is_not_known(scene: Scene, tmp_path: Any) -> None:
    place = scene.place
    trusting = place.servers.trusting()
    forged = Authority(tmp_path / "forged").issue("anna" if place.door else "acme")
    strangers = {
        "nobody": Who(trusting),
        "a name alone": Who(trusting, "acme"),
        "a wrong password": Who(trusting, "anna" if place.door else "acme", "guess"),
        "an unknown name": Who(trusting, "' or 1=1 --", "x"),
        "no TLS": Who(None, "anna", "x"),
        "a certificate of another authority": Who(place.servers.trusting(forged)),
        "a certificate that was taken back": Who(place.servers.trusting(place.revoked)),
    }
    for about, who in strangers.items():
        line = Line(place.port, who, ANNA)
        assert not line.welcome, about
        line.close()
    scene.judge()


@every_way
def test_a_name_with_wildcards_is_nobodys(scene: Scene) -> None:
    """Mosquitto has such a user here, made by somebody careless; still it may say and hear nothing."""
    place = scene.place
    line = Line(place.port, Who(place.servers.trusting(), "+", "of +"), ANNA + "x")
    if line.welcome:
        line.hear("whosin/v1/down/acme/+/+/+")
        line.say(f"whosin/v1/up/acme/books/{ANNA}x/login", {"user": "eve", "client": "till"})
        line.settle()
    scene.judge()
    assert line.heard == []
    line.close()


@every_way
def test_answers_kept_for_a_client_are_not_given_to_another_account_that_takes_its_id(scene: Scene) -> None:
    """Not even where the id is known: the other account's session begins anew."""
    place = scene.place
    bob = place.line("bob", "kept-by-bob", kept=True)
    bob.hear("whosin/v1/down/acme/+/kept-by-bob/+")
    bob.say("whosin/v1/up/acme/books/kept-by-bob/unlock", {"resource": "x"})
    assert bob.answer("/unknown") == {}
    bob.cut()
    asked = place.line("acme-portal", "portal")
    asked.say("whosin/v1/up/acme/books/kept-by-bob/unlock", {"resource": "y"})
    asked.settle()
    scene.anna.works()
    eve = place.line("rival", "kept-by-bob", kept=True)
    eve.hear("whosin/v1/down/#")
    eve.settle()
    scene.judge()
    assert eve.heard == []
    for line in (asked, eve):
        line.close()


@pytest.mark.parametrize("scene", [way for way in WAYS if way.startswith("door")], indirect=True)
def test_at_the_door_a_colleague_who_knows_the_id_of_a_session_is_no_way_in(scene: Scene) -> None:
    """Accounts made for one user speak for no other's session; and a client id is an account's own."""
    bob = scene.place.line("bob", ANNA)
    assert bob.welcome
    bob.hear("whosin/v1/down/#")
    for verb in ("logout", "lost", "login", "unlock"):
        body = {"user": "anna", "client": "till", "resource": "sales-order/SO-1"}
        bob.say(f"whosin/v1/up/acme/books/{ANNA}/{verb}", body)
    bob.settle()
    scene.judge()
    bob.close()


@every_way
def test_old_tls_is_not_spoken(scene: Scene) -> None:
    old = scene.place.servers.trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what is tried
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    assert not Line(scene.place.port, Who(old, "acme", "of acme"), "x").welcome
    wait_for(lambda: scene.daemon.get("/readyz", token=None)[0] == 200)
