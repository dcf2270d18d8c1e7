"""Whose sessions are the same person's, on the same machine, in the same program (rule 4: replacing).

Owns the index. Most have one session, so that is kept itself, filed by a hash of who it is: a tuple and a
list for each would take more memory than all else that is known of a session's user.
"""

from __future__ import annotations

from whosin.model import Session
from whosin.rules.admission import Person, person


class Persons:
    """Live sessions whose person is known. Whether one is another's is looked at anew: hashes may collide."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[int, Session | list[Session]] = {}

    def add(self, session: Session) -> None:
        if (who := person(session)) is None:
            return
        found = self._found.get(_place(who))
        if found is None:
            self._found[_place(who)] = session
        elif isinstance(found, list):
            found.append(session)
        else:
            self._found[_place(who)] = [found, session]

    def remove(self, session: Session) -> None:
        """Harmless for one that was never added."""
        if (who := person(session)) is None:
            return
        found = self._found.get(_place(who))
        if isinstance(found, list):
            if session in found:
                found.remove(session)
            if len(found) == 1:
                self._found[_place(who)] = found[0]
        elif found is session:
            del self._found[_place(who)]

    def others(self, session: Session) -> list[Session]:
        """The other sessions of the same person, in the order of their logins."""
        if (who := person(session)) is None:
            return []
        found = self._found.get(_place(who))
        if found is None:
            return []
        same = found if isinstance(found, list) else [found]
        return [one for one in same if one is not session and person(one) == who]


def _place(who: Person) -> int:
    """A hash of 30 bits: a number so small takes a third less memory, for each who is filed."""
    return hash(who) & 0x3FFF_FFFF
