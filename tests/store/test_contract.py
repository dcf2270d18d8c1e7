"""What `ports.Store` promises, whoever implements it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.store import rows
from tests.store.rows import NOON
from whosin.errors import Refused, StoreError
from whosin.ports import AlertQuery, Changes, EndedQuery, FollowupQuery, HistoryQuery, Store
from whosin.store import search


def both(*changed, by="key"):
    return {getattr(row, by): row for row in changed}


# --- open and commit -------------------------------------------------------------------------------


async def test_every_adapter_is_a_store(adapter):
    assert isinstance(adapter.store(), Store)


async def test_a_new_store_is_empty_and_counts_from_zero(adapter):
    loaded = await adapter.reloaded()
    assert (loaded.sessions, loaded.locks, loaded.meta, loaded.unfinished_pass) == ([], [], {}, None)
    assert (loaded.last_seq, loaded.last_key, loaded.last_pass) == (0, 0, 0)


async def test_a_store_keeps_its_id(adapter):
    first, second = await adapter.reloaded(), await adapter.reloaded()
    assert first.store_id == second.store_id
    assert len(bytes.fromhex(first.store_id)) == 16


async def test_everything_committed_is_loaded_again(adapter):
    changes = Changes(
        sessions={7: rows.session(7, activity="größer 👍")},
        companies={("north", "acme"): 12},
        locks={("north", "acme", 12): rows.lock(12, session=7)},
        wants={("north", "acme", 3): rows.want(3, session=7)},
        events=[rows.event(41, data=b'{"a":"\xc3\xa4"}')],
        passes={2: rows.cleanup_pass(2, finished=0)},
        holds={("north", "", "web"): rows.hold("", client="web")},
        followups={5: rows.followup(5), 4: rows.followup(4, severity="critical", done=NOON)},
        meta={"cleanup": "on"},
        accounts={"till": rows.account("till")},
        tokens={"page": rows.token("page", secret_hash=bytes(range(256)))},
        observers={"erp": rows.observer("erp")},
        operators={"ann": rows.operator("ann", link_hash=bytes(range(32)), link_until=9)},
        web_sessions={b"\0\xff": rows.web_session(b"\0\xff")},
        alerts={3: rows.alert(3, site=None)},
        deliveries={(3, "office", "raised"): rows.delivery(3, error="später")},
    )
    async with adapter.opened() as (store, _):
        await store.commit(changes)
    loaded = await adapter.reloaded()
    assert loaded.sessions == [changes.sessions[7]]
    assert loaded.companies == changes.companies
    assert loaded.locks == list(changes.locks.values())
    assert loaded.wants == list(changes.wants.values())
    assert loaded.holds == list(changes.holds.values())
    assert loaded.unfinished_pass == changes.passes[2]
    assert loaded.open_followups == {("north", "normal"): 1}
    assert loaded.meta == changes.meta
    assert loaded.accounts == list(changes.accounts.values())
    assert loaded.tokens == list(changes.tokens.values())
    assert loaded.observers == list(changes.observers.values())
    assert (loaded.last_seq, loaded.last_key, loaded.last_pass, loaded.last_followup) == (41, 7, 2, 5)
    assert loaded.operators == list(changes.operators.values())
    assert loaded.web_sessions == list(changes.web_sessions.values())
    assert loaded.alerts == list(changes.alerts.values())
    assert loaded.deliveries == list(changes.deliveries.values())
    assert loaded.last_alert == 3


async def test_loaded_rows_are_of_their_row_types(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1)}, events=[rows.event(1)]))
        assert (await store.history(HistoryQuery()))[0].type == "session.logged_in"
        assert (await store.events_after(0, 1))[0].seq == 1
        assert (await store.session("id-1")).user == "ann@example.com"
    assert (await adapter.reloaded()).sessions[0]._replace(key=2).key == 2


async def test_a_later_commit_overwrites_a_row_and_none_deletes_it(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(locks={("north", "acme", n): rows.lock(n) for n in (1, 2)}))
        await store.commit(
            Changes(
                locks={("north", "acme", 1): None, ("north", "acme", 2): rows.lock(2, sticky=1)},
                accounts={"nobody": None},
            )
        )
    assert (await adapter.reloaded()).locks == [rows.lock(2, sticky=1)]


async def test_committing_the_same_changes_again_is_harmless(adapter):
    changes = Changes(
        sessions={1: rows.session(1), 2: rows.ended(2)}, events=[rows.event(1)], meta={"published.door": "1"}
    )
    async with adapter.opened() as (store, _):
        await store.commit(changes)
        await store.commit(changes)
        assert await store.events_after(0, 9) == changes.events
    assert (await adapter.reloaded()).sessions == [changes.sessions[1]]


async def test_empty_changes_commit(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes())


async def test_a_row_that_can_never_be_stored_is_a_value_error_and_nothing_of_the_commit_is_there(adapter):
    async with adapter.opened() as (store, _):
        for bad in (rows.event(2, at=2**70), rows.event(2, reason="\ud800"), rows.event(2, type=None)):
            with pytest.raises(ValueError, match="cannot be stored"):
                await store.commit(Changes(events=[rows.event(1), bad]))
        assert await store.events_after(0, 9) == []
        await store.commit(Changes(events=[rows.event(1)]))


async def test_an_id_is_of_one_session(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1, id="x")}))
        with pytest.raises(ValueError, match="id"):
            await store.commit(Changes(sessions={2: rows.session(2, id="x")}))


async def test_a_store_that_is_closed_says_so(adapter):
    async with adapter.opened() as (store, _):
        pass
    for call in (store.commit(Changes()), store.session("x"), store.backup("x")):
        with pytest.raises(StoreError, match="not open"):
            await call
    await store.close()


async def test_a_store_opens_again_after_it_was_closed(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(meta={"a": "b"}))
    assert (await store.open()).meta == {"a": "b"}
    await store.close()


# --- beats -----------------------------------------------------------------------------------------


async def test_a_beat_changes_its_part_of_a_session(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1), 2: rows.session(2)}))
        await store.commit(Changes(beats=[rows.beat(1, conn=None, activity=None)]))
        assert (await store.session("id-1")).seen == NOON + 1
    expected = rows.session(1)._replace(
        seen=NOON + 1, conn=None, at=None, idle_s=5, activity=None, source="link"
    )
    assert (await adapter.reloaded()).sessions == [expected, rows.session(2)]


async def test_the_last_beat_of_a_session_counts(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1)}))
        await store.commit(Changes(beats=[rows.beat(1, seen=5), rows.beat(1, seen=6)]))
        await store.commit(Changes(beats=[rows.beat(1, seen=7)]))
    assert (await adapter.reloaded()).sessions[0].seen == 7


@pytest.mark.parametrize("together", [True, False], ids=["in one commit", "in the next commit"])
async def test_a_whole_session_wins_over_its_beat(adapter, together):
    row = rows.session(1, seen=NOON + 99, activity="whole")
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1)}))
        if together:
            await store.commit(Changes(beats=[rows.beat(1)], sessions={1: row}))
        else:
            await store.commit(Changes(beats=[rows.beat(1)]))
            await store.commit(Changes(sessions={1: row}))
    assert (await adapter.reloaded()).sessions == [row]


async def test_a_beat_of_an_ended_or_unknown_session_changes_nothing(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.ended(1)}))
        await store.commit(Changes(beats=[rows.beat(1), rows.beat(2)]))
        assert await store.session("id-1") == rows.ended(1)
    assert (await adapter.reloaded()).sessions == []


# --- turns -----------------------------------------------------------------------------------------


def turned(row, turn):
    return row._replace(**turn._asdict())


async def test_a_turn_changes_its_part_of_a_session_and_leaves_its_beat(adapter):
    beat, turn = rows.beat(1), rows.turn(1, lost=NOON, replaced_by="id-2", idle=1)
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1), 2: rows.session(2)}))
        await store.commit(Changes(beats=[beat], turns={1: turn}))
    expected = turned(rows.session(1)._replace(**beat._asdict()), turn)
    assert (await adapter.reloaded()).sessions == [expected, rows.session(2)]


async def test_a_turn_that_is_the_end_moves_the_session_to_the_ended_with_its_beat(adapter):
    beat, end = rows.beat(1), rows.end(1)
    expected = turned(rows.session(1)._replace(**beat._asdict()), end)
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1), 2: rows.session(2)}))
        await store.commit(Changes(beats=[beat]))
        for _ in range(2):  # a commit whose answer was lost is made again
            await store.commit(Changes(turns={1: end}))
            assert await store.find_ended(["id-1", "id-2"]) == {"id-1": expected}
    assert (await adapter.reloaded()).sessions == [rows.session(2)]


async def test_a_turn_of_an_ended_or_unknown_session_changes_nothing(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.ended(1)}))
        await store.commit(Changes(turns={1: rows.turn(1), 2: rows.end(2), 3: rows.turn(3)}))
        assert await store.find_ended(["id-1", "id-2", "id-3"]) == {"id-1": rows.ended(1)}
    assert (await adapter.reloaded()).sessions == []


async def test_a_turn_is_newer_than_the_whole_row_beside_it(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(
            Changes(sessions=both(rows.session(1), rows.session(2)), turns={1: rows.turn(1), 2: rows.end(2)})
        )
        assert await store.find_ended(["id-2"]) == {"id-2": turned(rows.session(2), rows.end(2))}
    assert (await adapter.reloaded()).sessions == [turned(rows.session(1), rows.turn(1))]


async def test_a_login_and_its_end_in_one_commit_may_be_committed_again(adapter):
    """As when the first time was stored after all, though the disk said that it was not."""
    changes = Changes(sessions={1: rows.session(1)}, beats=[rows.beat(1)], turns={1: rows.end(1)})
    async with adapter.opened() as (store, _):
        for _ in range(2):
            await store.commit(changes)
            assert await store.find_ended(["id-1"]) == {"id-1": turned(rows.session(1), rows.end(1))}
    assert (await adapter.reloaded()).sessions == []


@pytest.mark.parametrize("count", [49, 50, 1_000, 2_077])
async def test_however_many_come_at_once_each_is_written(adapter, count):
    numbers = range(1, count + 1)
    async with adapter.opened() as (store, _):
        await store.commit(
            Changes(
                sessions=both(*(rows.session(n, machine=f"PC-{n}") for n in numbers)),
                events=[rows.event(n, reason=f"because {n}") for n in numbers],
            )
        )
        await store.commit(Changes(beats=[rows.beat(n, activity=f"does {n}") for n in numbers]))
        await store.commit(Changes(turns={n: rows.turn(n, reason=f"fell {n}") for n in numbers}))
        found = await store.events_after(0, 10_000)
        assert [row.reason for row in found] == [f"because {n}" for n in numbers]
    loaded = await adapter.reloaded()
    assert [(row.machine, row.activity, row.reason) for row in loaded.sessions] == [
        (f"PC-{n}", f"does {n}", f"fell {n}") for n in numbers
    ]
    async with adapter.opened() as (store, _):
        await store.commit(Changes(turns={n: rows.end(n, ended_by=f"who {n}") for n in numbers}))
        ended = await store.find_ended(f"id-{n}" for n in numbers)
        assert {(row.activity, row.ended_by) for row in ended.values()} == {
            (f"does {n}", f"who {n}") for n in numbers
        }
    assert (await adapter.reloaded()).sessions == []


# --- ended sessions --------------------------------------------------------------------------------


async def test_only_the_living_are_loaded_and_those_whose_locks_are_still_there(adapter):
    changes = Changes(
        sessions=both(rows.session(1), rows.session(2, status="disconnected"), rows.ended(3), rows.ended(4)),
        locks={("north", "acme", 9): rows.lock(9, session=4, sticky=1)},
    )
    async with adapter.opened() as (store, _):
        await store.commit(changes)
    loaded = await adapter.reloaded()
    assert loaded.sessions == [changes.sessions[1], changes.sessions[2], changes.sessions[4]]
    assert loaded.last_key == 4


async def test_a_session_that_ends_moves_to_the_ended_with_its_last_row(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions={1: rows.session(1)}))
        await store.commit(Changes(beats=[rows.beat(1)]))
        assert await store.find_ended(["id-1"]) == {}
        await store.commit(Changes(sessions={1: rows.ended(1, seen=NOON + 2)}))
        assert await store.find_ended(["id-1"]) == {"id-1": rows.ended(1, seen=NOON + 2)}
        assert await store.session("id-1") == rows.ended(1, seen=NOON + 2)
    assert (await adapter.reloaded()).sessions == []


async def test_find_ended_takes_any_number_of_any_ids(adapter):
    odd = ["", "'; DROP TABLE sessions; --", "%", "ä", "id-2"]
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions=both(rows.session(1), *(rows.ended(n) for n in range(2, 3000)))))
        assert await store.find_ended([]) == {}
        assert list(await store.find_ended(odd)) == ["id-2"]
        found = await store.find_ended(f"id-{n}" for n in range(5000))
        assert sorted(row.key for row in found.values()) == list(range(2, 3000))


async def test_session_finds_any_status_or_nothing(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(sessions=both(rows.session(1), rows.ended(2, status="logged_off"))))
        assert (await store.session("id-1")).status == "active"
        assert (await store.session("id-2")).status == "logged_off"
        assert await store.session("id-3") is None


ENDED = EndedQuery(statuses=("logged_off", "removed"))


async def test_ended_sessions_come_newest_key_first_and_page(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(
            Changes(sessions=both(*(rows.ended(n) for n in (3, 1, 50_000, 9)), rows.session(10)))
        )
        first = await store.ended_sessions(EndedQuery(ENDED.statuses, limit=3))
        assert [row.key for row in first] == [50_000, 9, 3]
        rest = await store.ended_sessions(EndedQuery(ENDED.statuses, limit=3, before_key=3))
        assert [row.key for row in rest] == [1]
        assert await store.count_ended(EndedQuery(ENDED.statuses, limit=1, before_key=3)) == 4


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        ({"statuses": ("removed",)}, [2, 1]),
        ({"statuses": ()}, []),
        ({"site": "south"}, [3]),
        ({"company": "bolt"}, [2]),
        ({"user": "ben@example.com"}, [3]),
        ({"client": "web"}, [3]),
        ({"site": "north", "company": "bolt", "client": "web"}, []),
        ({"text": "ANN@"}, [2, 1]),
        ({"text": "pc-7"}, [3, 2, 1]),
        ({"text": "olt"}, [2]),
        ({"text": "id-1"}, [1]),
        ({"text": "i_-1"}, []),
        ({"text": ""}, [3, 2, 1]),
    ],
)
async def test_ended_sessions_are_filtered(adapter, fields, keys):
    three = both(
        rows.ended(1),
        rows.ended(2, company="bolt"),
        rows.ended(3, site="south", user="ben@example.com", client="web", status="logged_off"),
    )
    query = EndedQuery(**{"statuses": ENDED.statuses, **fields})
    async with adapter.opened() as (store, _):
        assert await store.count_ended(query) == 0
        await store.commit(Changes(sessions=three))
        assert [row.key for row in await store.ended_sessions(query)] == keys
        assert await store.count_ended(query) == len(keys)


# --- history ---------------------------------------------------------------------------------------

LATER = NOON + 3_600_000
FELL = "session.disconnected"
HISTORY = [
    rows.event(1, at=NOON),
    rows.event(2, at=NOON + 10, type="session.disconnected", reason="idle"),
    rows.event(3, at=NOON + 5, type="lock.granted", data=b'{"resource":"sales-order/SO-1"}'),
    rows.event(
        4, at=LATER, type="lock.granted", session="id-2", user="Zoë", data=b'{"resource":"sales-order"}'
    ),
    rows.event(
        5, at=LATER, type="lockx", site="south", company="bolt", session=None, user=None, data=b'{"n":1}'
    ),
    rows.event(6, at=LATER, type="lock.released", session="50%_x", data=b'{"resource":"sales-orders/1"}'),
    rows.event(
        7,
        at=LATER + 1,
        type="cleanup.finished",
        site=None,
        company=None,
        actor="olga",
        data=b'{"resource":["*"],"about":"with \\"quotes\\""}',
    ),
    rows.event(8, at=LATER + 2, type="odd", session="id-3", reason="Straße", data=b"not JSON"),
]


@pytest.mark.parametrize(
    ("fields", "seqs"),
    [
        ({}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"limit": 2}, [8, 7]),
        ({"limit": 2, "before_seq": 7}, [6, 5]),
        ({"before_seq": 1}, []),
        ({"site": "south"}, [5]),
        ({"company": "bolt"}, [5]),
        ({"session": "id-2"}, [4]),
        ({"session": "id-1", "type": "lock.granted"}, [3]),
        ({"user": "Zoë"}, [4]),
        ({"actor": "olga"}, [7]),
        ({"text": "OLGA"}, [7]),
        ({"text": "resource"}, []),
        ({"text": 'with "quotes"'}, [7]),
        ({"type": "lock.granted"}, [4, 3]),
        ({"type": "lock."}, [6, 4, 3]),
        ({"type": "lock"}, []),
        ({"type": "%."}, []),
        ({"resource": "sales-order"}, [4, 3]),
        ({"resource": "sales-order/SO-1"}, [3]),
        ({"resource": "sales-order/SO"}, []),
        ({"resource": "Sales-order"}, []),
        ({"text": "sales-ORDER"}, [6, 4, 3]),
        ({"text": "IDLE"}, [2]),
        ({"text": "50%_"}, [6]),
        ({"text": "ZOË"}, [4]),
        ({"text": "STRASSE"}, []),
        ({"text": "straßE"}, [8]),
        ({"text": "x" * 100_000}, []),
        ({"since": NOON + 5}, [8, 7, 6, 5, 4, 3, 2]),
        ({"since": LATER + 3}, []),
        ({"until": NOON + 5}, [1]),
        ({"since": NOON + 5, "until": LATER}, [3, 2]),
        ({"since": LATER, "type": "lock.", "site": "north", "limit": 1}, [6]),
    ],
    ids=str,
)
async def test_history_is_filtered_newest_first(adapter, fields, seqs):
    async with adapter.opened() as (store, _):
        assert await store.history(HistoryQuery(**fields)) == []
        await store.commit(Changes(events=HISTORY))
        assert [row.seq for row in await store.history(HistoryQuery(**fields))] == seqs


@pytest.mark.parametrize(
    ("fields", "total"),
    [({}, 8), ({"limit": 1}, 8), ({"type": "lock.", "before_seq": 4}, 3), ({"session": "id-2"}, 1),
     ({"resource": "sales-order", "limit": 1}, 2), ({"since": NOON + 5, "until": LATER}, 2)],
    ids=str,
)  # fmt: skip
async def test_history_is_counted_in_all_pages(adapter, fields, total):
    async with adapter.opened() as (store, _):
        assert await store.count_history(HistoryQuery(**fields)) == (0, True)
        await store.commit(Changes(events=HISTORY))
        assert await store.count_history(HistoryQuery(**fields)) == (total, True)


async def test_counting_looks_at_so_many_only_where_no_index_leads(adapter, monkeypatch):
    monkeypatch.setattr(search, "COUNTED", 4)
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=HISTORY))
        assert await store.count_history(HistoryQuery(type="lock.")) == (1, False)
        assert await store.count_history(HistoryQuery()) == (8, True)
        assert await store.count_history(HistoryQuery(resource="sales-order")) == (2, True)
        assert await store.count_history(HistoryQuery(type="odd", since=LATER + 1)) == (1, True)


async def test_a_resource_is_not_found_by_the_beginning_of_its_name(adapter):
    names = ["order/1", "order/1/lines", "order/10", "order/1-b", "order"]
    made = [rows.event(n, data=json.dumps({"resource": name}).encode()) for n, name in enumerate(names, 1)]
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=made))
        assert [row.seq for row in await store.history(HistoryQuery(resource="order/1"))] == [2, 1]
        assert len(await store.history(HistoryQuery(resource="order"))) == 5


async def test_what_became_of_those_who_held_a_resource_is_found_with_it(adapter):
    """On Friday Anna fell and was removed; she had locked the order on Thursday."""
    order, other = b'"sales-order/SO-1"', b'"sales-order/SO-10"'
    made = [
        rows.event(1, type="lock.granted", session="a", data=b'{"resource":%s}' % order),
        rows.event(2, type="lock.granted", session="b", data=b'{"resource":%s}' % other),
        rows.event(3, type="lock.granted", session="c", data=b'{"resource":%s}' % order),
        rows.event(40_000, at=LATER, type=FELL, session="a", data=b'{"locks":[%s]}' % order),
        rows.event(40_001, at=LATER, type=FELL, session="b", data=b'{"locks":[%s]}' % other),
        rows.event(40_002, at=LATER, type="session.logged_off", session="c", data=b'{"released":[]}'),
        rows.event(40_003, at=LATER + 1, type="session.removed", session="a",
                   data=b'{"held":[{"resource":%s,"release_at":"x"}]}' % order),
        rows.event(40_004, at=LATER + 1, type="lock.released", session="a", data=b'{"resource":%s}' % order),
    ]  # fmt: skip
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=made))

        async def found(**query):
            asked = HistoryQuery(resource="sales-order/SO-1", **query)
            listed = [row.seq for row in await store.history(asked)]
            assert await store.count_history(asked) == (len(listed), True)
            return listed

        assert await found() == [40_004, 40_003, 40_000, 3, 1]
        assert await found(since=LATER) == [40_004, 40_003, 40_000]
        assert await found(type="session.removed") == [40_003]
        assert await found(session="a", until=LATER + 1) == [40_000, 1]
        everybody = await store.history(HistoryQuery(resource="sales-order"))
        assert len(everybody) == 7


async def test_what_happened_is_never_changed_and_only_what_was_pruned_goes(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=[rows.event(n) for n in range(1, 10)]))
        await store.commit(Changes(events=[rows.event(3, user="mallory")]))
        assert (await store.history(HistoryQuery(user="mallory"))) == []
        for tampering in (
            "UPDATE events SET user = 'mallory'", "DELETE FROM events", "DELETE FROM events WHERE seq = 5",
        ):  # fmt: skip
            with pytest.raises(ValueError, match="append-only"):
                await store._writer.run(lambda db, statement: db.execute(statement), tampering)
        assert await store.prune(NOON + 4, 99) == 3
        with pytest.raises(ValueError, match="append-only"):
            await store._writer.run(lambda db: db.execute("DELETE FROM events WHERE seq = 4"))
        assert await store.prune(NOON, 99) == 0
        assert [row.seq for row in await store.events_after(0, 99)] == [4, 5, 6, 7, 8, 9]


async def test_history_is_found_behind_any_number_of_other_events(adapter):
    """The search goes in steps; what matches may be many of them away."""
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=[rows.event(1, type="a"), rows.event(60_000, type="a")]))
        await store.commit(Changes(events=[rows.event(n) for n in range(59_000, 59_900)]))
        assert [row.seq for row in await store.history(HistoryQuery(type="a"))] == [60_000, 1]
        assert [row.seq for row in await store.history(HistoryQuery(type="a", limit=1, before_seq=9))] == [1]


async def test_events_after_come_oldest_first(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=HISTORY))
        assert await store.events_after(0, 3) == HISTORY[:3]
        assert await store.events_after(6, 99) == HISTORY[6:]
        assert await store.events_after(8, 1) == []


async def test_no_answer_is_longer_than_ten_thousand_rows(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=[rows.event(n) for n in range(1, 10_011)]))
        assert len(await store.events_after(0, 10**9)) == 10_000
        assert len(await store.history(HistoryQuery(limit=10**9))) == 10_000


async def test_passes_come_newest_first(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(passes={n: rows.cleanup_pass(n) for n in (1, 2, 3)}))
        assert [row.id for row in await store.passes(2)] == [3, 2]
    assert (await adapter.reloaded()).unfinished_pass is None


# --- follow-ups ------------------------------------------------------------------------------------


async def test_follow_ups_are_found_by_each_filter_newest_first_and_counted_in_all_pages(adapter):
    made = [
        rows.followup(1),
        rows.followup(2, done=NOON, done_by="olga", note="looked at Größe"),
        rows.followup(3, site="south"),
        rows.followup(4, company="beta", user="ben"),
        rows.followup(5, session="other", resource=None),
    ]
    async with adapter.opened() as (store, _):
        await store.commit(Changes(followups={row.id: row for row in made}))

        async def found(**query):
            asked = FollowupQuery(**query)
            ids = [row.id for row in await store.followups(asked)]
            whole = len(await store.followups(FollowupQuery(**{**query, "limit": 99, "before_id": None})))
            assert await store.count_followups(asked) == whole
            return ids

        assert await found() == [5, 4, 3, 2, 1]
        assert await found(limit=2) == [5, 4]
        assert await found(limit=2, before_id=4) == [3, 2]
        assert await found(open=True) == [5, 4, 3, 1]
        assert await found(open=False) == [2]
        assert await found(site="south") == [3]
        assert await found(company="beta") == [4]
        assert await found(session="other") == [5]
        assert await found(text="GRÖßE") == [2]
        assert await found(text="so-1", open=True) == [4, 3, 1]
        assert await store.followup(2) == made[1]
        assert await store.followup(6) is None


async def test_prune_takes_done_follow_ups_and_never_an_open_one(adapter):
    done = {n: rows.followup(n, done=NOON + n) for n in (1, 2, 3, 5)}
    async with adapter.opened() as (store, _):
        await store.commit(Changes(followups={**done, 4: rows.followup(4, opened=1)}))
        assert await store.prune(NOON + 3, 1) == 1
        assert await store.prune(NOON + 3, 9) == 1
        assert await store.prune(NOON * 2, 9) == 1
        assert [row.id for row in await store.followups(FollowupQuery())] == [5, 4]


# --- alerts ----------------------------------------------------------------------------------------


def alerts(*changed):
    return {row.number: row for row in changed}


def deliveries(*changed):
    return {(row.alert, row.channel, row.phase): row for row in changed}


async def test_open_alerts_and_those_with_something_to_deliver_are_loaded(adapter):
    async with adapter.opened() as (store, _):
        put = alerts(rows.alert(1), rows.alert(2, cleared=NOON), rows.alert(3, cleared=NOON))
        owed = deliveries(
            rows.delivery(1, state="sent"), rows.delivery(3, "b"), rows.delivery(3, "a", state="given_up")
        )
        await store.commit(Changes(alerts=put, deliveries=owed))
        await store.commit(Changes(deliveries=deliveries(rows.delivery(3, "b", tries=2))))
    loaded = await adapter.reloaded()
    assert [row.number for row in loaded.alerts] == [1, 3]
    assert loaded.deliveries == [rows.delivery(3, "b", tries=2)]
    assert loaded.last_alert == 3


async def test_alerts_are_found_newest_first_by_site_kind_and_state(adapter):
    put = alerts(
        rows.alert(1), rows.alert(2, site="south"), rows.alert(3, kind="storage", site=None),
        rows.alert(4, cleared=NOON), rows.alert(5),
    )  # fmt: skip

    async def found(store, **query):
        return [row.number for row in await store.alerts(AlertQuery(**query))]

    async with adapter.opened() as (store, _):
        await store.commit(Changes(alerts=put))
        assert await found(store) == [5, 4, 3, 2, 1]
        assert await found(store, site="north") == [5, 4, 1]
        assert await found(store, kind="storage") == [3]
        assert await found(store, open=True) == [5, 3, 2, 1]
        assert await found(store, open=False) == [4]
        assert await found(store, before=4, limit=2) == [3, 2]
        first, second = rows.delivery(1, "b"), rows.delivery(1, "a", phase="cleared", since=NOON + 1)
        await store.commit(Changes(deliveries=deliveries(second, first, rows.delivery(2))))
        assert await store.deliveries([1, 9]) == [first, second]


async def test_prune_takes_alerts_that_are_over_with_their_deliveries(adapter):
    put = alerts(
        rows.alert(1, cleared=NOON), rows.alert(2), rows.alert(3, cleared=NOON),
        rows.alert(4, cleared=NOON + 9),
        rows.alert(5, cleared=NOON),
    )  # fmt: skip
    owed = deliveries(rows.delivery(1, state="sent"), rows.delivery(2, state="sent"), rows.delivery(3))
    async with adapter.opened() as (store, _):
        await store.commit(Changes(alerts=put, deliveries=owed))
        assert await store.prune(NOON + 5, 99) == 1
        assert [row.number for row in await store.alerts(AlertQuery())] == [5, 4, 3, 2]
        assert [row.alert for row in await store.deliveries([1, 2, 3])] == [2, 3]


# --- prune -----------------------------------------------------------------------------------------


async def test_prune_deletes_what_is_older_and_no_more_than_asked(adapter):
    async with adapter.opened() as (store, _):
        await store.commit(Changes(events=[rows.event(n, at=NOON + n) for n in range(1, 11)]))
        assert await store.prune(NOON + 6, 3) == 3
        assert await store.prune(NOON + 6, 3) == 2
        assert await store.prune(NOON + 6, 3) == 0
        assert [row.seq for row in await store.events_after(0, 99)] == [6, 7, 8, 9, 10]


async def test_prune_keeps_what_a_sink_has_still_to_publish(adapter):
    async with adapter.opened() as (store, _):
        meta = {"published.door": "10", "published.link": "4", "publishedx": "1"}
        await store.commit(Changes(events=[rows.event(n) for n in range(1, 11)], meta=meta))
        assert await store.prune(NOON + 99, 99) == 4
        assert (await store.events_after(0, 1))[0].seq == 5


async def test_prune_takes_ended_sessions_but_those_that_a_lock_names(adapter):
    changes = Changes(
        sessions=both(*(rows.ended(n, ended=NOON + n) for n in (1, 2, 3, 4)), rows.session(5), rows.ended(6)),
        locks={("north", "acme", 1): rows.lock(1, session=2)},
    )
    async with adapter.opened() as (store, _):
        await store.commit(changes)
        assert await store.prune(NOON + 4, 99) == 2
        assert [row.key for row in await store.ended_sessions(ENDED)] == [6, 4, 2]
        assert await store.session("id-5") is not None


async def test_prune_takes_finished_passes(adapter):
    passes = {n: rows.cleanup_pass(n, finished=0 if n == 2 else NOON) for n in (1, 2, 3, 4)}
    async with adapter.opened() as (store, _):
        await store.commit(Changes(passes=passes))
        assert await store.prune(NOON + 1, 99) == 2
        assert [row.id for row in await store.passes(9)] == [4, 2]


async def test_numbers_are_never_given_twice_even_when_all_is_pruned(adapter):
    changes = Changes(
        events=[rows.event(n) for n in range(1, 9)],
        sessions=both(*(rows.ended(n) for n in range(1, 6))),
        passes={n: rows.cleanup_pass(n) for n in (1, 2)},
    )
    async with adapter.opened() as (store, _):
        await store.commit(changes)
        await store.prune(NOON * 2, 10**6)
    loaded = await adapter.reloaded()
    assert (loaded.last_seq, loaded.last_key, loaded.last_pass) == (8, 5, 2)


# --- backup ----------------------------------------------------------------------------------------


async def test_a_backup_overwrites_nothing_and_needs_its_folder(adapter, tmp_path):
    (tmp_path / "taken").write_text("mine")
    async with adapter.opened() as (store, _):
        with pytest.raises(Refused, match="exists already") as refused:
            await store.backup(str(tmp_path / "taken"))
        assert refused.value.code == "exists"
        with pytest.raises(Refused, match="not a folder") as refused:
            await store.backup(str(tmp_path / "none" / "backup"))
        assert refused.value.code == "bad_path"
    assert (tmp_path / "taken").read_text() == "mine"
    assert not (tmp_path / "none").exists()


# --- cancellation ----------------------------------------------------------------------------------


async def test_a_cancelled_commit_that_began_is_finished_and_the_next_one_works(adapter):
    async with adapter.opened() as (store, _):
        big = asyncio.create_task(store.commit(Changes(events=[rows.event(n) for n in range(1, 5001)])))
        await asyncio.sleep(0)  # it has been handed over
        big.cancel()
        with pytest.raises(asyncio.CancelledError):
            await big
        await store.commit(Changes(events=[rows.event(5001)]))
        assert len(await store.events_after(0, 9999)) == 5001


async def test_commits_cancelled_anywhere_leave_whole_transactions(adapter):
    async with adapter.opened() as (store, _):
        for turn in range(40):
            pair = [rows.event(2 * turn + n, data=json.dumps({"turn": turn}).encode()) for n in (1, 2)]
            task = asyncio.create_task(store.commit(Changes(events=pair)))
            for _ in range(turn % 8):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.commit(Changes(meta={"last": "commit"}))
        found = [row.seq for row in await store.events_after(0, 999)]
        assert all((seq + 1 if seq % 2 else seq - 1) in found for seq in found)


async def test_commits_made_at_once_are_done_in_their_order(adapter):
    async with adapter.opened() as (store, _):
        await asyncio.gather(*(store.commit(Changes(meta={"n": str(n)})) for n in range(50)))
    assert (await adapter.reloaded()).meta == {"n": "49"}
