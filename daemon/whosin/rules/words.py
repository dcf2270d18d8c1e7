"""Texts that many sessions say alike, each kept once. Bounded: strangers may say what they like."""

from __future__ import annotations


class Words:
    """At most `most` different ones; what comes later is as good, and kept by whoever says it."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int = 4_096) -> None:
        self._known: dict[str, str] = {}
        self._most = most

    def same(self, text: str) -> str:
        """An equal text, if it is known already the one that was said first."""
        known = self._known.get(text)
        if known is not None:
            return known
        if len(self._known) < self._most:
            self._known[text] = text
        return text
