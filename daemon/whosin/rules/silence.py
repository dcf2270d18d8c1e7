"""Mass silence: when many fall silent at once, suspect ourselves or the network, not them (rule 9).

Owns the counting per client type in each company and site, and the holds that keep automatic removal away.
Must not know deadlines, locks or who removes. A window opens with a fall; its base are the sessions that were
active just before, and of those that fall within it only they count.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from math import ceil

from msgspec import Struct

from whosin.model import Company, Event, Policy, Session, Status
from whosin.rules.outcome import Outcome

GroupKey = tuple[str, str, str]  # site, company ("" for the whole site), client type
NEVER = 1 << 62


@dataclass(slots=True)
class Hold:
    """Automatic removal of who fell at or after `opened_ms` waits until `until_ms`, or a confirmation."""

    key: GroupKey
    opened_ms: int
    alerted_ms: int
    until_ms: int
    confirmed: set[str] = field(default_factory=set)  # companies confirmed out of a site's hold


class _Fall(Struct, gc=False, order=True):
    """One session's fall, and how many of its group were active just before. In order of time, then key."""

    at_ms: int
    key: int
    base: int
    session: Session
    told: bool = False  # it is held back, and an alert has said so


class _Group:
    """`falls` are those of the last window, in order, of who has not come back. `count` is how many fell
    ever; before it reaches `look_at` no window can have become a mass silence, so none is looked at. Nor is
    one while none of its falls is `untold`."""

    __slots__ = ("active", "count", "falls", "latest_ms", "listed", "look_at", "untold")

    def __init__(self) -> None:
        self.active = 0
        self.falls: list[_Fall] = []
        self.listed = False  # among those to let go of falls in time
        self.latest_ms = 0
        self.count = 0
        self.look_at = NEVER
        self.untold = 0

    def tell(self, falls: Iterable[_Fall]) -> None:
        """They are held back now, and said to be."""
        for fall in falls:
            self.untold -= not fall.told
            fall.told = True

    def slide(self, at_ms: int, window_ms: int) -> None:
        """Falls from before the window that ends at `at_ms` (or at a later fall) count no more."""
        self.latest_ms = max(self.latest_ms, at_ms)
        since_ms = self.latest_ms - window_ms
        gone = 0
        for fall in self.falls:
            if fall.at_ms >= since_ms:
                break
            self.untold -= not fall.told
            gone += 1
        if gone:
            del self.falls[:gone]

    def forget(self, session: Session) -> None:
        """It came back."""
        if (place := self._place(session.disconnected_ms, session)) is not None:
            self.untold -= not self.falls.pop(place).told

    def twins(self, falls: Iterable[_Fall]) -> Iterator[_Fall]:
        """This group's own note of falls that another group knows, too."""
        for fall in falls:
            if (place := self._place(fall.at_ms, fall.session)) is not None:
                yield self.falls[place]

    def _place(self, at_ms: int, session: Session) -> int | None:
        falls = self.falls
        place = bisect_left(falls, _Fall(at_ms, session.key, -1, session))
        return place if place < len(falls) and falls[place].session is session else None


class Silence:
    """Told of every session that becomes active or ceases to be; keeps `holds`, counts `lifts` of them."""

    def __init__(self, policy: Policy, out: Outcome) -> None:
        self.policy = policy
        self.out = out
        self.holds: dict[GroupKey, Hold] = {}
        self.lifts = 0
        self._groups: dict[GroupKey, _Group] = {}
        self._recent: deque[tuple[int, GroupKey]] = deque()  # groups with falls, to let go of those in time
        self._suspected: dict[tuple[str, str], int] = {}  # when a site's quiet ones were last counted

    def set_policy(self, policy: Policy) -> None:
        """Other numbers may be a mass now: all is looked at again when somebody falls, or a pass asks."""
        self.policy = policy
        for group in self._groups.values():
            group.look_at = group.count

    # --- told by the roll -----------------------------------------------------------------------------

    def active(self, session: Session) -> None:
        """It logged in or came back."""
        for key in _keys(session):
            self._groups.setdefault(key, _Group()).active += 1
        self.forget(session)

    def inactive(self, session: Session) -> None:
        """It ended while active, or disconnected for a reason of its own (idle)."""
        for key in _keys(session):
            group = self._groups[key]
            group.active -= 1
            self._tidy(key, group)

    def forget(self, session: Session) -> None:
        """It shows that it had not fallen silent for good: it came back, said goodbye or was replaced."""
        for key in _keys(session):
            group = self._groups.get(key)
            if group is not None and group.falls:
                group.forget(session)

    def fell(self, session: Session, at_ms: int) -> None:
        """It fell silent; `at_ms` is its deadline. May open a hold."""
        window_ms = self._window_ms(session.client)
        for key in _keys(session):
            group = self._groups[key]
            group.slide(at_ms, window_ms)
            if at_ms >= group.latest_ms - window_ms:
                self._note_fall(key, group, session, at_ms)
            group.active -= 1
            if not group.active:
                self._tidy(key, group)

    def _note_fall(self, key: GroupKey, group: _Group, session: Session, at_ms: int) -> None:
        falls = group.falls
        told = bool(self.holds) and self._covered(key, session.company.name, at_ms)
        fall = _Fall(at_ms, session.key, group.active, session, told)
        group.untold += not told
        if falls and falls[-1] > fall:  # proven earlier, though it fell later
            place = bisect_left(falls, fall)
            fall.base += len(falls) - place
            falls.insert(place, fall)
        else:
            falls.append(fall)
        group.count += 1
        if (
            group.look_at >= group.count + self.policy.mass.minimum
        ):  # else no need of any base can come sooner
            group.look_at = min(group.look_at, group.count + self._need(fall.base) - 1)
        if not group.listed:
            self._list(key, group)
        if group.untold and group.count >= group.look_at:
            self._look(key, group, falls, at_ms)

    def restore(self, fallen: Iterable[Session], holds: Iterable[Hold]) -> None:
        """After a restart: the disconnected in order of falling, and the holds."""
        for session in fallen:
            for key in _keys(session):
                group = self._groups.setdefault(key, _Group())
                insort(group.falls, _Fall(session.disconnected_ms, session.key, 0, session))
                group.untold += 1
                self._list(key, group)
        for group in self._groups.values():
            base = group.active + len(group.falls)
            group.count = group.look_at = len(group.falls)
            for nth, fall in enumerate(group.falls):
                fall.base = base - nth
                group.latest_ms = fall.at_ms
        for hold in holds:
            self.holds[hold.key] = hold
        for key, group in self._groups.items():
            self._tell(key, group)

    # --- asked before something is removed automatically ------------------------------------------------

    def held(self, session: Session) -> Hold | None:
        """The hold that keeps this disconnected session, if any."""
        if session.reason == "idle":
            return None
        for key in _keys(session):
            hold = self.holds.get(key)
            if hold is None or session.disconnected_ms < hold.opened_ms:
                continue
            if session.company.name not in hold.confirmed:
                return hold
        return None

    def suspect(self, session: Session, companies: Iterable[Company], at_ms: int) -> None:
        """Before a removal: count the active ones in the site's `companies` silent for over two heartbeats as
        fallen already, so that the first to reach their deadlines are not removed before the others reach
        theirs."""
        site, client = session.company.site, session.client
        if self._suspected.get((site, client)) == at_ms:
            return
        if len(self._suspected) > 10_000:
            self._suspected.clear()
        self._suspected[site, client] = at_ms
        quiet: dict[GroupKey, list[Session]] = {key: [] for key in _keys(session)}
        for peer in self._quiet(client, companies, at_ms):
            for key in _keys(peer):
                quiet.setdefault(key, []).append(peer)
        for key in sorted(
            quiet, key=lambda key: key[1] == ""
        ):  # the site last: its companies may have told it all
            group = self._groups.get(key)
            if group is None:
                continue
            news = any(not self._covered(key, it.company.name, at_ms) for it in quiet[key])
            if not self._in_reach(key, group, len(quiet[key]), news=news):
                continue
            since_ms = at_ms - self._window_ms(client)
            falls = [fall for fall in group.falls if fall.at_ms >= since_ms]
            if falls and (news or any(not fall.told for fall in falls)):
                self._look(key, group, falls, at_ms, quiet[key], news=news)

    def _quiet(self, client: str, companies: Iterable[Company], at_ms: int) -> Iterator[Session]:
        """Who was silent for over two heartbeats. A company where nobody of these is active is passed over:
        after a wave that is most of them."""
        before_ms = at_ms - 2 * self.policy.client_type(client).heartbeat_every_ms
        for company in companies:
            group = self._groups.get((company.site, company.name, client))
            if group is None or not group.active:
                continue
            for peer in company.sessions.values():
                if peer.status is Status.ACTIVE and peer.client == client and peer.seen_ms < before_ms:
                    yield peer

    def _in_reach(self, key: GroupKey, group: _Group, quiet: int, *, news: bool) -> bool:
        """Can a window be a mass silence with so many `quiet` ones? Else looking at thousands of falls at
        each step of a pass is for nothing. `look_at` says so unless looking back was made rarer for a hold of
        its own, or windows count as news that did not when it was set."""
        if key in self.holds or (news and group.untold < len(group.falls)):
            return True
        return group.count + quiet >= group.look_at

    def rehearse(self) -> Callable[[], None]:
        """For a dry run: the result makes all that is suspected from now on forgotten, and nobody told."""
        holds, noted, suspected = dict(self.holds), dict(self.out.holds), dict(self._suspected)
        told = len(self.out.events)

        def forget() -> None:
            opened = self.holds != holds
            self.holds, self._suspected = holds, suspected
            if opened:
                for key, group in self._groups.items():
                    for fall in group.falls:
                        fall.told = self._covered(key, fall.session.company.name, fall.at_ms)
                    group.untold = sum(not fall.told for fall in group.falls)
                    group.look_at = group.count
            self.out.holds.clear()
            self.out.holds.update(noted)
            del self.out.events[told:]

        return forget

    def recent(self, session: Session, at_ms: int) -> bool:
        """Did anybody of its groups fall within the window? Only then can there be something to suspect."""
        since_ms = at_ms - self._window_ms(session.client)
        for key in _keys(session):
            group = self._groups.get(key)
            if group is not None and group.falls and group.falls[-1].at_ms >= since_ms:
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
                self.lifts += 1
                self.out.holds[key] = None
                self._dealt_with(key, company)
            else:
                continue
            touched += 1
            self.out.events.append(
                Event("cleanup.confirmed", at_ms, site, company, None, None, {"client": key[2]}, actor)
            )
        return touched

    def tick(self, at_ms: int, proven_ms: int) -> None:
        """Holds that have run out go; so do falls too old to be part of anything: those that a fall after
        `proven_ms` cannot be in one window with."""
        for key, hold in list(self.holds.items()):
            if hold.until_ms <= at_ms:
                self._lift(key)
        while self._recent and self._recent[0][0] < proven_ms - self._window_ms(self._recent[0][1][2]):
            _, key = self._recent.popleft()
            if group := self._groups.get(key):
                group.listed = False
                group.slide(proven_ms, self._window_ms(key[2]))
                self._list(key, group)
                self._tidy(key, group)

    def _lift(self, key: GroupKey) -> None:
        del self.holds[key]
        self.lifts += 1
        self.out.holds[key] = None
        self._dealt_with(key, key[1] or None)

    def _dealt_with(self, key: GroupKey, company: str | None) -> None:
        """These falls do not count towards the next hold. None: those of the whole site."""
        site, _, client = key
        whole = self._groups.get((site, "", client))
        if whole is None:
            return
        kept = [it for it in whole.falls if company is not None and it.session.company.name != company]
        gone = whole.falls if not kept else [it for it in whole.falls if it.session.company.name == company]
        for one in {(site, "", client), *((site, it.session.company.name, client) for it in gone)}:
            group = self._groups.get(one)
            if group is not None:
                group.falls = [] if one[1] else kept
                group.untold = sum(not fall.told for fall in group.falls)

    # --- inside ---------------------------------------------------------------------------------------

    def _tell(self, key: GroupKey, group: _Group, falls: Iterable[_Fall] | None = None) -> None:
        """Note which of its falls, or of these, are held back by now."""
        group.tell(
            it
            for it in (group.falls if falls is None else falls)
            if self._covered(key, it.session.company.name, it.at_ms)
        )

    def _spread(self, key: GroupKey) -> None:
        """A hold opened: note so in its group, and where else it tells for. A company's looks in its site's
        group for its own falls only: a wave may open a hold in each of a thousand companies."""
        site, company, client = key
        group = self._groups[key]
        self._tell(key, group)
        whole = site, "", client
        if not company:
            for place in {it.session.company.name for it in group.falls}:
                if (one := self._groups.get((site, place, client))) is not None:
                    self._tell((site, place, client), one)
        elif (around := self._groups.get(whole)) is not None:
            self._tell(whole, around, around.twins(group.falls))

    def _list(self, key: GroupKey, group: _Group) -> None:
        if group.falls and not group.listed:
            group.listed = True
            self._recent.append((group.falls[0].at_ms, key))

    def _window_ms(self, client: str) -> int:
        return self.policy.mass.window_ms + self.policy.client_type(client).heartbeat_every_ms

    def _need(self, base: int) -> int:
        """How many of so many are a mass."""
        return max(self.policy.mass.minimum, ceil(self.policy.mass.share * base - 1e-9))

    def _covered(self, key: GroupKey, company: str, at_ms: int) -> bool:
        """Is this fall held back already, and said so? One trouble is one alert: a company's hold tells for
        the site what fell in that company, a site's for all of its companies."""
        own = self.holds.get(key)
        if own is not None and at_ms >= own.opened_ms:
            return True
        site, _, client = key
        for other in ((site, company, client), (site, "", client)):
            hold = self.holds.get(other)
            if hold is not None and at_ms >= hold.opened_ms and company not in hold.confirmed:
                return True
        return False

    def _look(
        self,
        key: GroupKey,
        group: _Group,
        falls: Sequence[_Fall],
        at_ms: int,
        quiet: Sequence[Session] = (),
        *,
        news: bool = False,
    ) -> None:
        """Is there a window that is a mass silence, and not told yet? `quiet` are counted as fallen too, and
        are `news` unless they are held back already. The first such window is taken. Looked through from the
        last to the first: who logged in after one opened, did so after all before.
        """
        logins = [-session.since_ms for session in quiet]  # a heap, the latest first
        heapify(logins)
        missing = NEVER
        found: tuple[_Fall, int] | None = None
        for fall in reversed(falls):
            heappush(logins, -fall.session.since_ms)
            while logins and -logins[0] > fall.at_ms:
                heappop(logins)
            news = news or not fall.told
            if not news:
                continue
            need = self._need(fall.base)
            if len(logins) >= need:
                found = fall, len(logins)
            missing = min(missing, need - len(logins))
        if found is not None:
            self._hold(key, *found, at_ms)
        elif not quiet and len(falls) == len(group.falls):  # all: one proven late may be near any of them
            if key in self.holds:  # only who fell before it is left to be found: `suspect` looks again
                missing = max(missing, len(falls) // 8)
            group.look_at = group.count + missing

    def _hold(self, key: GroupKey, opening: _Fall, fallen: int, at_ms: int) -> None:
        site, company, client = key
        earlier = self.holds.get(key)
        if earlier is not None:  # it began sooner than was proven when it was told: the same trouble
            self.holds[key] = replace(earlier, opened_ms=min(opening.at_ms, earlier.opened_ms))
            self.out.holds[key] = None
            self._spread(key)
            return
        hold = Hold(key, opening.at_ms, at_ms, at_ms + self.policy.mass.hold_ms)
        self.holds[key] = hold
        self.out.holds[key] = None
        self._spread(key)
        data = {
            "kind": "mass_silence",
            "client": client,
            "fallen": fallen,
            "of": opening.base,
            "opened_ms": opening.at_ms,
            "held_until_ms": hold.until_ms,
            "message": f"{fallen} of {opening.base} {client} sessions fell silent together; a network, a "
            "server or this daemon may be at fault. They are not removed automatically until confirmed.",
            "action": "Find out whether these people are really gone; if so, confirm the cleanup.",
        }
        self.out.events.append(Event("alert.raised", at_ms, site, company or None, None, None, data))

    def _tidy(self, key: GroupKey, group: _Group) -> None:
        """Client types are named by strangers: an empty group is not kept. One with falls is listed, and
        looked at here once they are too old."""
        if not group.active and not group.falls:
            self._groups.pop(key, None)


def _keys(session: Session) -> tuple[GroupKey, GroupKey]:
    company = session.company
    return (company.site, company.name, session.client), (company.site, "", session.client)
