"""Mass silence: when many fall silent at once, suspect ourselves or the network, not them (rule 9).

Owns the counting per client type in each company and site, and the holds that keep automatic removal away.
Must not know deadlines, locks or who removes. A group's window opens with the first fall in it; it has as
base the sessions that were active then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from whosin.model import Event, Policy, Session, Status
from whosin.rules.outcome import Outcome

GroupKey = tuple[str, str, str]  # site, company ("" for the whole site), client type


@dataclass(slots=True)
class Hold:
    """Automatic removal of who fell at or after `opened_ms` waits until `until_ms`, or a confirmation."""

    key: GroupKey
    opened_ms: int
    alerted_ms: int
    until_ms: int
    confirmed: set[str] = field(default_factory=set)  # companies confirmed out of a site's hold


class _Group:
    __slots__ = ("active", "falls")

    def __init__(self) -> None:
        self.active = 0
        # who fell and has not come back, in order of falling: when, and how many were active just before
        self.falls: OrderedDict[Session, tuple[int, int]] = OrderedDict()


class Silence:
    """Told of every session that becomes active or ceases to be; keeps `holds`."""

    def __init__(self, policy: Policy, out: Outcome) -> None:
        self.policy = policy
        self.out = out
        self.holds: dict[GroupKey, Hold] = {}
        self._groups: dict[GroupKey, _Group] = {}

    # --- told by the roll -----------------------------------------------------------------------------

    def active(self, session: Session) -> None:
        """It logged in or came back."""
        for key in _keys(session):
            group = self._groups.setdefault(key, _Group())
            group.active += 1
            group.falls.pop(session, None)

    def inactive(self, session: Session) -> None:
        """It ended while active, or disconnected for a reason of its own (idle)."""
        for key in _keys(session):
            self._groups[key].active -= 1

    def forget(self, session: Session) -> None:
        """It ended while disconnected."""
        for key in _keys(session):
            if group := self._groups.get(key):
                group.falls.pop(session, None)

    def fell(self, session: Session, at_ms: int) -> None:
        """It fell silent; `at_ms` is its deadline. May open a hold."""
        window_ms = self._window_ms(session.client)
        for key in _keys(session):
            group = self._groups[key]
            self._slide(group, at_ms - window_ms)
            opened = self._opened(group, at_ms)
            if session.since_ms <= opened:
                group.falls[session] = (at_ms, group.active)
                self._judge(key, group, len(group.falls), at_ms)
            group.active -= 1

    def restore(self, fallen: Iterable[Session], holds: Iterable[Hold]) -> None:
        """After a restart: the disconnected in order of falling, and the holds."""
        for session in fallen:
            for key in _keys(session):
                group = self._groups.setdefault(key, _Group())
                group.falls[session] = (session.disconnected_ms, 0)
        for group in self._groups.values():
            base = group.active + len(group.falls)
            for nth, (session, (at_ms, _)) in enumerate(list(group.falls.items())):
                group.falls[session] = (at_ms, base - nth)
        for hold in holds:
            self.holds[hold.key] = hold

    # --- asked before something is removed automatically ------------------------------------------------

    def held(self, session: Session) -> Hold | None:
        """The hold that keeps this disconnected session, if any."""
        if session.reason == "idle":
            return None
        for key in _keys(session):
            hold = self.holds.get(key)
            if hold and session.disconnected_ms >= hold.opened_ms and session.company.name not in hold.confirmed:
                return hold
        return None

    def suspect(self, session: Session, peers: Iterable[Session], at_ms: int) -> None:
        """Before a removal: count the active `peers` silent for over two heartbeats as fallen already, so
        that the first to reach their deadlines are not removed before the others reach theirs."""
        kind = self.policy.client_type(session.client)
        quiet_before = at_ms - 2 * kind.heartbeat_every_ms
        quiet: dict[GroupKey, int] = {}
        company_key, site_key = _keys(session)
        for peer in peers:
            if peer.status is Status.ACTIVE and peer.client == session.client and peer.seen_ms < quiet_before:
                quiet[site_key] = quiet.get(site_key, 0) + 1
                if peer.company is session.company:
                    quiet[company_key] = quiet.get(company_key, 0) + 1
        for key, count in quiet.items():
            group = self._groups[key]
            self._slide(group, at_ms - self._window_ms(session.client))
            if group.falls:
                self._judge(key, group, len(group.falls) + count, at_ms)

    def recent(self, session: Session, at_ms: int) -> bool:
        """Did anybody of its groups fall within the window? Only then can there be something to suspect."""
        since = at_ms - self._window_ms(session.client)
        for key in _keys(session):
            group = self._groups.get(key)
            if group and group.falls:
                self._slide(group, since)
                if group.falls:
                    return True
        return False

    # --- commands and moments -------------------------------------------------------------------------

    def confirm(self, site: str, company: str | None, client: str | None, at_ms: int, actor: str) -> int:
        """An operator says that the silence is real. How many holds that touched."""
        touched = 0
        for key, hold in list(self.holds.items()):
            if key[0] != site or (client is not None and key[2] != client):
                continue
            if company is None or key[1] == company:
                self._lift(key)
            elif key[1] == "" and company not in hold.confirmed:
                hold.confirmed.add(company)
                self.out.holds[key] = None
            else:
                continue
            touched += 1
            self.out.events.append(
                Event("cleanup.confirmed", at_ms, site, company, None, None, {"client": key[2]}, actor)
            )
        return touched

    def tick(self, at_ms: int) -> None:
        """Holds that have run out go."""
        for key, hold in list(self.holds.items()):
            if hold.until_ms <= at_ms:
                self._lift(key)

    def _lift(self, key: GroupKey) -> None:
        del self.holds[key]
        self.out.holds[key] = None
        if group := self._groups.get(key):
            group.falls.clear()

    # --- inside ---------------------------------------------------------------------------------------

    def _window_ms(self, client: str) -> int:
        return self.policy.mass.window_ms + self.policy.client_type(client).heartbeat_every_ms

    @staticmethod
    def _slide(group: _Group, since_ms: int) -> None:
        falls = group.falls
        while falls:
            first = next(iter(falls))
            if falls[first][0] >= since_ms:
                return
            del falls[first]

    @staticmethod
    def _opened(group: _Group, at_ms: int) -> int:
        return next(iter(group.falls.values()))[0] if group.falls else at_ms

    def _judge(self, key: GroupKey, group: _Group, fallen: int, at_ms: int) -> None:
        mass = self.policy.mass
        if fallen < mass.minimum or key in self.holds:
            return
        opened, base = next(iter(group.falls.values()))
        if fallen < mass.share * base or self._told_by_companies(key, group):
            return
        hold = Hold(key, opened, at_ms, at_ms + mass.hold_ms)
        self.holds[key] = hold
        self.out.holds[key] = None
        site, company, client = key
        data = {
            "kind": "mass_silence",
            "client": client,
            "fallen": fallen,
            "of": base,
            "opened_ms": opened,
            "held_until_ms": hold.until_ms,
            "message": f"{fallen} of {base} {client} sessions fell silent together; a network, a server or this "
            "daemon may be at fault. They are not removed automatically until confirmed.",
            "action": "Find out whether these people are really gone; if so, confirm the cleanup.",
        }
        self.out.events.append(Event("alert.raised", at_ms, site, company or None, None, None, data))

    def _told_by_companies(self, key: GroupKey, group: _Group) -> bool:
        """A site's alert is left out when its companies' alerts have said it all (one alert, not two)."""
        site, company, client = key
        if company:
            return False
        told = [key for key in self.holds if key[0] == site and key[2] == client and key[1]]
        return sum(len(self._groups[key].falls) for key in told if key in self._groups) >= len(group.falls)


def _keys(session: Session) -> tuple[GroupKey, GroupKey]:
    company = session.company
    return (company.site, company.name, session.client), (company.site, "", session.client)
