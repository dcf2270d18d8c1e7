"""Whatever is committed, in whatever order and across restarts, a store holds what a few dicts would hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store import rows
from tests.store.conftest import SqliteAdapter
from whosin.ports import Changes, EndedQuery, FollowupQuery, HistoryQuery

KEYS = st.integers(1, 6)
TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=5)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
STATUSES = st.sampled_from(["active", "disconnected", "logged_off", "removed"])
PLACES = st.tuples(st.sampled_from(["north", "south"]), st.sampled_from(["acme", "bolt"]), st.integers(1, 3))
NAMES = st.sampled_from(["a", "b", "ä'%_"])


def session_of(key, status, machine, conn):
    return rows.session(key, status=status, machine=machine, conn=conn, ended=status in FINAL)


FINAL = {"logged_off", "removed"}
SESSIONS = st.dictionaries(KEYS, st.tuples(STATUSES, TEXTS, st.none() | NUMBERS), max_size=4).map(
    lambda drawn: {key: session_of(key, *fields) for key, fields in drawn.items()}
)
BEATS = st.lists(
    st.builds(rows.beat, KEYS, seen=NUMBERS, activity=TEXTS, conn=st.none() | NUMBERS), max_size=4
)


TURNS = st.dictionaries(KEYS, st.tuples(STATUSES, TEXTS, NUMBERS), max_size=4).map(
    lambda drawn: {
        key: rows.turn(key, status=status, reason=reason, ended=ended)
        for key, (status, reason, ended) in drawn.items()
    }
)


def keyed(keys, build):
    """Some of the keys, each with a row or None."""
    return st.dictionaries(keys, st.booleans() | st.tuples(TEXTS), max_size=3).map(
        lambda drawn: {key: build(key, text) if text else None for key, text in drawn.items()}
    )


def lock_of(place, text):
    site, company, token = place
    return rows.lock(token, site=site, company=company, session=token, activity=str(text))


def want_of(place, text):
    site, company, order = place
    return rows.want(order, site=site, company=company, guidance=str(text))


def hold_of(key, text):
    site, company, client = key
    return rows.hold(company, site=site, client=client, confirmed=str(text))


CHANGES = st.builds(
    Changes,
    sessions=SESSIONS,
    beats=BEATS,
    turns=TURNS,
    companies=st.dictionaries(PLACES.map(lambda place: place[:2]), st.none() | NUMBERS, max_size=2),
    locks=keyed(PLACES, lock_of),
    wants=keyed(PLACES, want_of),
    events=st.lists(st.builds(rows.event, st.integers(1, 30), reason=TEXTS, data=st.binary()), max_size=4),
    passes=st.dictionaries(KEYS, st.booleans(), max_size=2).map(
        lambda drawn: {key: rows.cleanup_pass(key, finished=int(done)) for key, done in drawn.items()}
    ),
    holds=keyed(st.tuples(NAMES, NAMES, NAMES), hold_of),
    followups=st.dictionaries(KEYS, st.booleans(), max_size=2).map(
        lambda drawn: {key: rows.followup(key, done=int(done)) for key, done in drawn.items()}
    ),
    meta=st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=3), max_size=2),
    accounts=keyed(NAMES, lambda name, text: rows.account(name, user=str(text))),
    tokens=keyed(NAMES, lambda name, text: rows.token(name, site=str(text))),
    observers=keyed(NAMES, lambda name, text: rows.observer(name, account=str(text))),
    operators=keyed(NAMES, lambda name, text: rows.operator(name, site=str(text))),
    web_sessions=keyed(
        st.binary(max_size=2), lambda id_hash, text: rows.web_session(id_hash, name=str(text))
    ),
)


class Model:
    """The same promises, in dicts."""

    def __init__(self):
        self.live, self.ended, self.events, self.companies, self.meta = {}, {}, {}, {}, {}
        self.passes, self.followups = {}, {}
        named = ("accounts", "tokens", "observers", "operators", "web_sessions")
        self.rest = {name: {} for name in ("locks", "wants", "holds", *named)}

    def without_the_impossible(self, changes):
        """A session that is over stays over, and a beat is of a living one."""
        for key in set(changes.sessions) & set(self.ended):
            if changes.sessions[key].status not in FINAL:
                del changes.sessions[key]
        return changes

    def apply(self, changes):
        for beat in changes.beats:
            if beat.key in self.live:
                self.live[beat.key] = self.live[beat.key]._replace(**beat._asdict())
        for key, row in changes.sessions.items():
            if row.status in FINAL:
                self.live.pop(key, None)
                self.ended[key] = row
            else:
                self.live[key] = row
        for key, turn in changes.turns.items():
            if key in self.live:
                self.live[key] = self.live[key]._replace(**turn._asdict())
                if turn.status in FINAL:
                    self.ended[key] = self.live.pop(key)
        for row in changes.events:
            self.events.setdefault(row.seq, row)  # what happened stays as it was first told
        self.passes |= changes.passes
        self.followups |= changes.followups
        for key, token in changes.companies.items():
            self.companies.pop(key, None) if token is None else self.companies.update({key: token})
        self.meta |= changes.meta
        for name, held in self.rest.items():
            for key, row in getattr(changes, name).items():
                held.pop(key, None) if row is None else held.update({key: row})

    def check(self, loaded):
        locked = {row.session for row in self.rest["locks"].values()}
        ended = [row for key, row in self.ended.items() if key in locked]
        assert sorted(loaded.sessions) == sorted([*self.live.values(), *ended])
        assert loaded.companies == self.companies
        assert loaded.meta == self.meta
        for name, held in self.rest.items():
            assert sorted(getattr(loaded, name)) == sorted(held.values()), name
        places = [(row.site, row.company, row.order) for row in loaded.wants]
        assert places == sorted(places)
        assert loaded.last_seq == max(self.events, default=0)
        assert loaded.last_key == max([*self.live, *self.ended], default=0)
        assert loaded.last_pass == max(self.passes, default=0)
        assert loaded.last_followup == max(self.followups, default=0)
        left = sum(1 for row in self.followups.values() if not row.done)
        assert loaded.open_followups == ({("north", "normal"): left} if left else {})
        open_passes = [key for key, row in self.passes.items() if not row.finished]
        assert (loaded.unfinished_pass or (None,))[0] == max(open_passes, default=None)


@settings(
    max_examples=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=st.lists(st.lists(CHANGES, max_size=4), min_size=1, max_size=4))
async def test_random_changes_are_held_as_dicts_would_hold_them(batches):
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        adapter = SqliteAdapter(Path(folder))
        for batch in batches:  # a restart between two of them
            async with adapter.opened() as (store, loaded):
                model.check(loaded)
                for changes in batch:
                    await store.commit(model.without_the_impossible(changes))
                    model.apply(changes)
                newest_first = [model.events[seq] for seq in sorted(model.events, reverse=True)]
                assert await store.history(HistoryQuery()) == newest_first
                left = [model.followups[key] for key in sorted(model.followups, reverse=True)]
                assert await store.followups(FollowupQuery()) == left
                ended = [model.ended[key] for key in sorted(model.ended, reverse=True)]
                assert await store.ended_sessions(EndedQuery(tuple(FINAL))) == ended
                assert await store.find_ended(f"id-{key}" for key in range(9)) == {
                    row.id: row for row in ended
                }
        model.check(await adapter.reloaded())
