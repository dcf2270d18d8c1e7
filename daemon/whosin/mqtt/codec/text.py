"""What MQTT calls a valid string, topic name and topic filter.

Owns: these checks. Must not know: packets.
"""

from __future__ import annotations

from typing import Final

_PLUS: Final = ord("+")
_HASH: Final = ord("#")


def topic_problem(topic: bytes) -> str | None:
    """What is wrong with a topic name (section 4.7), or None: UTF-8, not empty, no NUL, no wildcard."""
    if not topic:
        return "an empty topic"
    if not topic.isascii():
        try:
            topic.decode()
        except UnicodeDecodeError:
            return f"a topic that is not UTF-8: {topic[:64]!r}"
    if 0 in topic:  # a byte looked for as a number takes a tenth of the time
        return f"a topic with a NUL in it: {topic[:64]!r}"
    if _PLUS in topic or _HASH in topic:
        return f"a topic with a wildcard in it: {topic[:64]!r}"
    if len(topic) > 0xFFFF:
        return f"a topic of {len(topic)} bytes; at most 65535 are allowed"
    return None


def filter_problem(pattern: str) -> str | None:
    """What is wrong with a topic filter (section 4.7), or None.

    `+` stands for one whole level, `#` for the whole rest and only at the end.
    """
    if not pattern:
        return "an empty topic filter"
    if "\0" in pattern:
        return f"a topic filter with a NUL in it: {pattern[:64]!r}"
    levels = pattern.split("/")
    for depth, level in enumerate(levels):
        if "+" in level and level != "+":
            return f"a topic filter with '+' beside other characters: {pattern[:64]!r}"
        if "#" in level and (level != "#" or depth != len(levels) - 1):
            return f"a topic filter with '#' elsewhere than alone at its end: {pattern[:64]!r}"
    return None


def shared_filter_problem(pattern: str) -> str | None:
    """What is wrong with a `$share/<name>/<filter>` (MQTT 5, section 4.8.2), or None."""
    parts = pattern.split("/", 2)
    if len(parts) < 3 or not parts[1] or "+" in parts[1] or "#" in parts[1]:
        return f"a shared filter that is not $share/<name>/<filter>: {pattern[:64]!r}"
    return filter_problem(parts[2])
