"""Rows with what a test does not care about filled in."""

from __future__ import annotations

import contextlib
import json

from whosin.ports import (
    AccountRow,
    AlertRow,
    BeatRow,
    DeliveryRow,
    EventRow,
    FollowupRow,
    HoldRow,
    LockRow,
    ObserverRow,
    OperatorRow,
    PassRow,
    SessionRow,
    TokenRow,
    TurnRow,
    WantRow,
    WebSessionRow,
)

NOON = 1_700_000_000_000
"""Wall-clock milliseconds; every default moment is this one."""


def session(key: int, **fields) -> SessionRow:
    row = SessionRow(
        key=key, id=f"id-{key}", site="north", company="acme", user="ann@example.com", client="desktop",
        machine="PC-7", address="192.0.2.7", app="Desk 1.2", os_session="3", conn=1,
        at="2026-01-05T09:00:00.000Z", status="active", since=NOON, seen=NOON, lost=0, disconnected=0,
        ended=0, ended_by=None, reason=None, replaced_by=None, idle_s=None, idle=0, activity=None,
        source="door",
    )  # fmt: skip
    return row._replace(**fields)


def ended(key: int, **fields) -> SessionRow:
    return session(key, **{"status": "removed", "ended": NOON, "ended_by": "cleanup", **fields})


def beat(key: int, **fields) -> BeatRow:
    row = BeatRow(seen=NOON + 1, conn=2, at=None, idle_s=5, activity="amends", source="link", key=key)
    return row._replace(**fields)


def turn(key: int, **fields) -> TurnRow:
    row = TurnRow(
        status="disconnected", lost=0, disconnected=NOON + 2, ended=0, ended_by=None, reason="silence",
        replaced_by=None, idle=0, key=key,
    )  # fmt: skip
    return row._replace(**fields)


def end(key: int, **fields) -> TurnRow:
    return turn(
        key, **{"status": "removed", "ended": NOON + 3, "ended_by": "cleanup", "reason": "cleanup", **fields}
    )


def lock(token: int, **fields) -> LockRow:
    row = LockRow(
        site="north", company="acme", token=token, resource="sales-order/SO-1", session=1, shared=0, sticky=0,
        since=NOON, activity=None, guidance=None, release_at=0,
    )  # fmt: skip
    return row._replace(**fields)


def want(order: int, **fields) -> WantRow:
    row = WantRow(
        site="north", company="acme", order=order, session=1, resource="sales-order/SO-1", shared=0, sticky=0,
        activity=None, guidance=None, asked=NOON, until=0, refused_by="[]",
    )  # fmt: skip
    return row._replace(**fields)


def event(seq: int, **fields) -> EventRow:
    row = EventRow(
        seq=seq, at=NOON + seq, type="session.logged_in", site="north", company="acme", session="id-1",
        user="ann@example.com", actor=None, reason=None, data=b"{}",
    )._replace(**fields)  # fmt: skip
    with contextlib.suppress(ValueError):
        found = json.loads(row.data)
        name = found.get("resource") if isinstance(found, dict) else None
        row = row._replace(resource=name if isinstance(name, str) else None)
    return row


def cleanup_pass(ident: int, **fields) -> PassRow:
    return PassRow(id=ident, started=NOON, finished=NOON + 9, actor="cleanup", report=b"{}")._replace(
        **fields
    )


def hold(company: str = "acme", **fields) -> HoldRow:
    row = HoldRow(
        site="north", company=company, client="desktop", opened=NOON, alerted=NOON, until=NOON, confirmed="[]"
    )
    return row._replace(**fields)


def followup(ident: int, **fields) -> FollowupRow:
    row = FollowupRow(
        id=ident, opened=NOON, site="north", company="acme", session="id-1", user="ann@example.com",
        client="desktop", machine="PC-7", resource="sales-order/SO-1", rule="order", severity="normal",
        text="Open the order.", done=0, done_by=None, note=None,
    )  # fmt: skip
    return row._replace(**fields)


def account(name: str, **fields) -> AccountRow:
    row = AccountRow(name=name, role="client", site="north", user=None, secret_hash=b"\0\1", created=NOON)
    return row._replace(**fields)


def token(name: str, **fields) -> TokenRow:
    return TokenRow(name=name, role="viewer", site=None, secret_hash=b"\0\1", created=NOON)._replace(**fields)


def observer(client_id: str, **fields) -> ObserverRow:
    row = ObserverRow(client_id=client_id, account=None, filters='{"#": 1}', acked=0, left_ms=60_000)
    return row._replace(**fields)


def operator(name: str, **fields) -> OperatorRow:
    row = OperatorRow(
        name=name, role="operator", site=None, password_hash="$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
        disabled=0, created=NOON, password_set=NOON, signed_in=0, link_hash=None, link_until=0,
    )  # fmt: skip
    return row._replace(**fields)


def alert(number: int, **fields) -> AlertRow:
    row = AlertRow(
        number=number, id=f"alert-{number}", kind="blocking", site="north", company="acme",
        severity="warning", raised=NOON, told=NOON, cleared=0, reminders=0, total=1, body=b"{}",
    )  # fmt: skip
    return row._replace(**fields)


def web_session(id_hash: bytes, **fields) -> WebSessionRow:
    row = WebSessionRow(
        id_hash=id_hash, kind="operator", name="ann", created=NOON, seen=NOON, address="192.0.2.7"
    )
    return row._replace(**fields)


def delivery(number: int, channel: str = "office", phase: str = "raised", **fields) -> DeliveryRow:
    row = DeliveryRow(
        alert=number, channel=channel, phase=phase, id=f"alert-{number}-{channel}", state="pending", tries=0,
        since=NOON, at=0, due=NOON, error=None,
    )  # fmt: skip
    return row._replace(**fields)
