"""What Eve tries, in one table for every way in.

She has a good account of her own, the one of `as_who`, and does with it what she may not. What must come of
it is the same for all, so the table does not say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.security.place import ANNA, BOB, EVE
from whosin.mqtt.codec import Will

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.security.line import Line

UP, DOWN, EVENTS = "whosin/v1/up", "whosin/v1/down", "whosin/v1/events"
LOGIN = {"user": "eve", "client": "till"}


@dataclass(frozen=True)
class Attack:
    """She connects as `ident`; `does` is what she does once she is in, `cut` whether her line then breaks, so
    that her will is published."""

    name: str
    as_who: str
    does: Callable[[Line], None] = lambda _line: None
    ident: str = EVE
    will: Will | None = None
    cut: bool = False
    forbidden: bool = True
    """At the door it is counted as such."""


def saying(
    *topics: str, payload: object = None, qos: int = 1, retain: bool = False
) -> Callable[[Line], None]:
    def does(line: Line) -> None:
        for topic in topics:
            line.say(topic, payload, qos=qos, retain=retain)
            line.settle()

    return does


def hearing(*filters: str) -> Callable[[Line], None]:
    return lambda line: line.hear(*filters)


def as_another(line: Line) -> None:
    saying(f"{UP}/acme/books/{ANNA}/logout", f"{UP}/rival/books/{ANNA}/login", payload=LOGIN)(line)
    line.hear(f"{DOWN}/#", f"{DOWN}/acme/+/{ANNA}/+")


def will(topic: str, payload: bytes = b"{}", *, retain: bool = False) -> Will:
    return Will(topic.encode(), payload, 1, retain)


ALL = [
    *(
        Attack(
            f"{verb} for a colleague's session", "bob", saying(f"{UP}/acme/books/{ANNA}/{verb}", payload=body)
        )
        for verb, body in {
            "heartbeat": {"user": "eve", "client": "till"},
            "login": LOGIN,
            "logout": {},
            "lost": {},
            "lock": {"resource": "loot"},
            "unlock": {"resource": "sales-order/SO-1"},
        }.items()
    ),
    *(
        Attack(
            f"{verb} for a session of another site",
            "rival",
            saying(f"{UP}/acme/books/{ANNA}/{verb}", payload=body),
        )
        for verb, body in {"logout": {}, "unlock": {"resource": "sales-order/SO-1"}, "lost": {}}.items()
    ),
    Attack(
        "a login of her own session at another site",
        "rival",
        saying(f"{UP}/acme/books/{EVE}/login", payload=LOGIN),
    ),
    Attack(
        "a batch without being a gateway",
        "rival",
        saying(f"{UP}/acme/books/@batch/heartbeat", payload={"sessions": [ANNA]}),
    ),
    Attack(
        "a batch for one's own site without being a gateway",
        "bob",
        saying(f"{UP}/acme/books/@batch/heartbeat", payload={"sessions": [ANNA]}),
    ),
    Attack(
        "a gateway for another site",
        "rival-portal",
        saying(f"{UP}/acme/books/{ANNA}/logout", f"{UP}/acme/books/@batch/heartbeat", payload={}),
    ),
    Attack(
        "an observer that speaks",
        "acme-events",
        saying(f"{UP}/acme/books/{EVE}/login", f"{UP}/acme-events/books/{EVE}/login", payload=LOGIN),
    ),
    Attack(
        "an answer to a colleague",
        "bob",
        saying(
            f"{DOWN}/acme/books/{ANNA}/ended",
            f"{DOWN}/acme/books/{ANNA}/lock",
            payload={"resource": "forged", "granted": True},
        ),
        forbidden=False,
    ),
    Attack(
        "an answer by a gateway of the site",
        "acme-portal",
        saying(f"{DOWN}/acme/books/{ANNA}/message", payload={"text": "forged"}),
        forbidden=False,
    ),
    Attack(
        "an event of the site",
        "bob",
        saying(f"{EVENTS}/acme/books/session.removed", payload={"forged": True}),
        forbidden=False,
    ),
    Attack(
        "an event by an observer",
        "acme-events",
        saying(f"{EVENTS}/acme/books/session.removed", payload={"forged": True}),
        forbidden=False,
    ),
    Attack(
        "the daemon's status",
        "bob",
        saying("whosin/v1/daemon/test", payload=b"forged", retain=True),
        forbidden=False,
    ),
    Attack(
        "the daemon's status by an observer",
        "acme-events",
        saying("whosin/v1/daemon/test", payload=b"forged", retain=True),
        forbidden=False,
    ),
    Attack(
        "the broker's own topics",
        "bob",
        saying("$SYS/broker/uptime", "$share/x/forged", payload=b"forged"),
        forbidden=False,
    ),
    Attack(
        "a retained login of her own",
        "rival",
        saying(f"{UP}/rival/books/{EVE}/login", payload=LOGIN, retain=True),
        forbidden=False,
    ),
    Attack(
        "a retained login of a colleague",
        "bob",
        saying(f"{UP}/acme/books/{ANNA}/login", payload=LOGIN, retain=True),
    ),
    Attack(
        "a login with a payload a little too large",
        "rival",
        saying(f"{UP}/rival/books/{EVE}/login", payload={**LOGIN, "machine": "x" * 9_000}),
        forbidden=False,
    ),
    Attack(
        "a login with a huge payload",
        "rival",
        saying(f"{UP}/rival/books/{EVE}/login", payload=b"{" + b" " * 400_000),
        forbidden=False,
    ),
    Attack(
        "a gateway's packet above every bound",
        "rival-portal",
        saying(f"{UP}/rival/books/@batch/heartbeat", payload=b" " * 2_000_000),
        forbidden=False,
    ),
    Attack("a will for a colleague", "bob", will=will(f"{UP}/acme/books/{ANNA}/logout"), cut=True),
    Attack("a will for another site", "rival", will=will(f"{UP}/acme/books/{ANNA}/lost"), cut=True),
    Attack(
        "a will as an event",
        "rival",
        will=will(f"{EVENTS}/acme/books/session.removed", b'{"forged": true}'),
        cut=True,
    ),
    Attack(
        "a retained will as the daemon's status",
        "rival",
        will=will("whosin/v1/daemon/test", b"forged", retain=True),
        cut=True,
    ),
    Attack(
        "a retained will as a login",
        "rival",
        will=will(f"{UP}/rival/books/{EVE}/login", b'{"user": "eve", "client": "till"}', retain=True),
        cut=True,
        forbidden=False,
    ),
    Attack("to hear everything", "rival", hearing("#", "+/#", "whosin/#", "whosin/v1/#"), forbidden=False),
    Attack(
        "to hear everything of a depth", "rival", hearing("+/+/+/+/+/+/+", "+/+/+/+/+/+"), forbidden=False
    ),
    Attack(
        "to hear all answers",
        "rival",
        hearing(f"{DOWN}/#", f"{DOWN}/acme/#", f"{DOWN}/+/+/{ANNA}/+"),
        forbidden=False,
    ),
    Attack(
        "to hear a colleague's answers",
        "bob",
        hearing(f"{DOWN}/acme/+/{ANNA}/#", f"{DOWN}/acme/books/+/+", f"{DOWN}/acme/#"),
        forbidden=False,
    ),
    Attack(
        "to hear what others say", "bob", hearing(f"{UP}/#", f"{UP}/acme/books/{ANNA}/+"), forbidden=False
    ),
    Attack(
        "to hear the events without being an observer",
        "bob",
        hearing(f"{EVENTS}/#", f"{EVENTS}/acme/#"),
        forbidden=False,
    ),
    Attack(
        "to hear the events of another site",
        "rival-events",
        hearing("whosin/v1/#", f"{EVENTS}/+/+/+", f"{EVENTS}/acme/#"),
        forbidden=False,
    ),
    Attack(
        "a gateway to hear another site's answers",
        "rival-portal",
        hearing("whosin/v1/#", f"{DOWN}/acme/#"),
        forbidden=False,
    ),
    Attack(
        "to hear by a shared subscription",
        "rival",
        hearing("$share/x/#", f"$share/x/{DOWN}/#", f"$share/x/{UP}/#"),
        forbidden=False,
    ),
    Attack("to hear the broker", "rival", hearing("$SYS/#"), forbidden=False),
    *(
        Attack(
            f"a topic with tricks: {trick!r}",
            "rival",
            saying(f"{UP}/{trick}", payload=LOGIN),
            forbidden=False,
        )
        for trick in (
            f"acme/books/{ANNA}/logout/",
            f"acme//{EVE}/login",
            f"rival/../acme/books/{EVE}/login",
            f"rival/books/{EVE}/../{ANNA}/logout",
            f"rival/books/{EVE}%2f/login",
            f"Acme/books/{EVE}/login",
            f"/acme/books/{EVE}/login",
            f"rival/acme/books/{EVE}/login",
            f"acme/books/{EVE}/login\u0000",
            f"acme/+/{EVE}/login",
            f"acme/books/#/{EVE}",
        )
    ),
    *(
        Attack(
            f"a client id with tricks: {ident!r}",
            "rival",
            as_another,
            ident=ident,
            forbidden=False,
        )
        for ident in ("+", "#", f"+/{ANNA}", f"{EVE}/#", "", f"books/{ANNA}")
    ),
    Attack(
        "a colleague's client id, heard by another site",
        "rival",
        hearing(f"{DOWN}/acme/+/{BOB}/+", "#"),
        ident=BOB,
        forbidden=False,
    ),
]
