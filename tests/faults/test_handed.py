"""What a broker's log proves it cannot have handed on, and nothing more."""

from __future__ import annotations

from tests.faults.handed import lost

START = "1: mosquitto version 2.0.11 starting"
STOP = "1: mosquitto version 2.0.11 terminating"
SUBSCRIBE = "1: Received SUBSCRIBE from observer"


def got(topic: str, sender: str = "daemon") -> str:
    return f"1: Received PUBLISH from {sender} (d0, q1, r0, m9, '{topic}', ... (7 bytes))"


def sent(topic: str, mid: int, to: str = "observer", dup: int = 0) -> str:
    return f"1: Sending PUBLISH to {to} (d{dup}, q1, r0, m{mid}, '{topic}', ... (7 bytes))"


def acked(mid: int, by: str = "observer") -> str:
    return f"1: Received PUBACK from {by} (Mid: {mid}, RC:0)"


def welcome(present: int, client: str = "observer") -> str:
    return f"1: Sending CONNACK to {client} ({present}, 0)"


def told(*lines: str) -> list[str]:
    return lost("\n".join(lines), "daemon", "observer")


def test_what_came_before_the_subscription_is_lost_and_what_came_after_is_not() -> None:
    assert told(START, got("a"), welcome(0), got("b"), SUBSCRIBE, got("c")) == ["a", "b"]


def test_a_subscription_that_was_kept_counts_from_the_start() -> None:
    assert told(START, got("a"), welcome(0, "another"), welcome(1), got("b"), SUBSCRIBE) == []


def test_what_was_not_acknowledged_when_the_broker_was_killed_is_lost() -> None:
    life = (START, welcome(0), SUBSCRIBE, got("a"), got("b"), sent("a", 1), sent("b", 2), acked(1), got("c"))
    assert told(*life, START) == ["b", "c"]
    assert told(*life) == []
    assert told(*life, STOP, START) == []


def test_what_is_sent_again_is_still_the_same() -> None:
    life = (START, welcome(0), SUBSCRIBE, got("a"), got("a"), sent("a", 1), welcome(1), sent("a", 1, dup=1))
    assert told(*life, acked(1), START) == ["a"]
    assert told(*life, acked(1), sent("a", 1), acked(1), START) == []


def test_only_what_the_one_said_and_the_other_heard_counts() -> None:
    life = (START, welcome(0), "1: Received SUBSCRIBE from another", got("a"), got("b", "another"), SUBSCRIBE)
    assert told(*life, got("c"), sent("c", 1), sent("c", 1, "another"), acked(1, "another"), START) == [
        "a",
        "c",
    ]
