"""What a broker was handed and cannot have handed on, read from its own log (`log_type all`).

Only this is excused: what the broker received while it knew of no subscription of the observer, and what the
observer had not acknowledged when the broker was killed. Must not know the daemon, nor what is right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STARTS = re.compile(r"mosquitto version \S+ starting$", re.MULTILINE)
ENDS = re.compile(r"mosquitto version \S+ terminating$", re.MULTILINE)
RECEIVED = re.compile(r"Received PUBLISH from (\S+) \(d\d, q1, r\d, m\d+, '([^']*)'")
SENDING = re.compile(r"Sending PUBLISH to (\S+) \(d\d, q1, r\d, m(\d+), '([^']*)'")
ACKNOWLEDGED = re.compile(r"Received PUBACK from (\S+) \(Mid: (\d+), RC:\d+\)")
WELCOMED = re.compile(r"Sending CONNACK to (\S+) \((\d), 0\)")
SUBSCRIBES = re.compile(r"Received SUBSCRIBE from (\S+)$")


@dataclass(eq=False)
class _Message:
    topic: str
    wanted: bool  # the observer had subscribed
    mid: str | None = None
    arrived: bool = False


def lost(log: str, sender: str, observer: str) -> list[str]:
    """The topics of what `sender` handed to the broker, which still runs, and `observer` cannot have got."""
    lives = STARTS.split(log)[1:]
    found = []
    for number, life in enumerate(lives, 1):
        killed = number < len(lives) and not ENDS.search(life)
        found += [it for it in _messages(life.splitlines(), sender, observer) if _gone(it, killed=killed)]
    return [it.topic for it in found]


def _gone(message: _Message, *, killed: bool) -> bool:
    return not message.wanted or (killed and not message.arrived)


def _messages(lines: list[str], sender: str, observer: str) -> list[_Message]:
    """Of one life of the broker: whether the observer got each."""
    welcomes = (match for line in lines if (match := WELCOMED.search(line)))
    subscribed = next((match[2] == "1" for match in welcomes if match[1] == observer), False)
    messages: list[_Message] = []
    for line in lines:
        if (match := RECEIVED.search(line)) and match[1] == sender:
            messages.append(_Message(match[2], subscribed))
        elif (match := SUBSCRIBES.search(line)) and match[1] == observer:
            subscribed = True
        elif (match := SENDING.search(line)) and match[1] == observer:
            _, mid, topic = match.groups()
            again = any(it.mid == mid and not it.arrived for it in messages)
            fresh = (it for it in messages if it.wanted and it.mid is None and it.topic == topic)
            if not again and (message := next(fresh, None)) is not None:
                message.mid = mid
        elif (match := ACKNOWLEDGED.search(line)) and match[1] == observer:
            for it in messages:
                it.arrived = it.arrived or it.mid == match[2]
    return messages
