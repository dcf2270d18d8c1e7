"""How sessions, locks and those they block read: states, colours, counts of people, table columns.

Owns the picture of the API's items for people; where they come from and where they go is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whosin.cli.table import Column
from whosin.cli.words import age, local, some, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Json = dict[str, Any]

STATUS_STYLES = {"active": "green", "disconnected": "yellow", "logged_off": "dim", "removed": "dim"}
HURTS = "bold red"


def state(item: Json) -> str:
    """The status, and what else an operator has to know about it."""
    marks = [
        word
        for word, holds in (
            ("lost", item.get("lost") and item["status"] == "active"),
            ("idle", item.get("idle")),
            ("held back", item.get("held_back")),
        )
        if holds
    ]
    return str(item["status"]).replace("_", " ") + (f" ({', '.join(marks)})" if marks else "")


def style(item: Json) -> str:
    """A colour by status; what is gone silent and keeps people from working stands out."""
    if item["status"] == "disconnected" and item.get("blocks"):
        return HURTS
    return STATUS_STYLES.get(str(item["status"]), "")


def people(blocks: Sequence[Json], most: int = 3) -> str:
    """Whom somebody keeps waiting: `2: anna, ben`. Empty for nobody."""
    names = list(dict.fromkeys(str(one["user"]) for one in blocks))
    return f"{len(names)}: {some(names, most)}" if names else ""


def person(item: Json) -> str:
    """A user, and the machine where it is known."""
    return f"{item['user']} on {item['machine']}" if item.get("machine") else str(item["user"])


def last_change(item: Json) -> str | None:
    """Since when the session is what it is."""
    stamp = {"active": item["since"], "disconnected": item.get("disconnected_at")}
    found = stamp.get(str(item["status"]), item.get("ended_at"))
    return None if found is None else str(found)


def session_columns(at: datetime, id_length: int) -> list[Column]:
    """Of a list of sessions. `id_length`: so much of an id tells them apart."""
    return [
        Column("STATUS", state, least=14, style=style),
        Column("USER", lambda s: s["user"], least=14),
        Column("SITE", lambda s: s["site"], drop=5, least=12),
        Column("COMPANY", lambda s: s["company"], drop=1, least=12),
        Column("CLIENT", lambda s: s["client"], drop=3, least=8),
        Column("MACHINE", lambda s: s["machine"], drop=2, least=10),
        Column("ADDRESS", lambda s: s["address"], drop=8, least=15),
        Column("APP", lambda s: s["app"], drop=9, least=16),
        Column("FOR", lambda s: age(last_change(s), at, brief=True), least=6),
        Column("SEEN", lambda s: age(s["last_seen"], at, brief=True), drop=4, least=6),
        Column("LOCKS", lambda s: str(len(s["locks"])) if s["locks"] else "", drop=1, least=5, right=True),
        Column("HOLDS", lambda s: some([lock["resource"] for lock in s["locks"]], 2), drop=6, least=20),
        Column("BLOCKS", lambda s: people(s["blocks"]), least=14, style=HURTS),
        Column("ACTIVITY", lambda s: s["activity"], drop=7, least=20),
        Column("TO DO", lambda s: some(s["guidance"], 1), drop=6, least=16),
        Column("ID", lambda s: s["id"][:id_length], least=min(id_length, 8)),
    ]


def lock_columns(at: datetime) -> list[Column]:
    return [
        Column("RESOURCE", lambda lock: lock["resource"], least=19, style=lock_style),
        Column("MODE", lambda lock: lock["mode"] if lock["mode"] != "exclusive" else "", drop=4),
        Column("SITE", lambda lock: lock["site"], drop=5, least=12),
        Column("COMPANY", lambda lock: lock["company"], drop=1, least=12),
        Column("HELD BY", lambda lock: lock["user"], least=14),
        Column("MACHINE", lambda lock: lock["machine"], drop=3, least=10),
        Column("CLIENT", lambda lock: lock["client"], drop=6, least=8),
        Column("STATUS", lambda lock: lock_state(lock, at), least=12, style=lock_style),
        Column("FOR", lambda lock: age(lock["since"], at, brief=True), drop=2, least=6),
        Column("BLOCKS", lambda lock: people(lock["blocks"]), least=14, style=HURTS),
        Column("ACTIVITY", lambda lock: lock["activity"], drop=7, least=12),
        Column("TOKEN", lambda lock: str(lock["token"]), drop=8, right=True),
    ]


def lock_state(lock: Json, at: datetime) -> str:
    """Of its holder, or why the lock outlives it."""
    if lock.get("release_at"):
        return f"goes {until(lock['release_at'], at)}"
    if lock.get("left_behind"):
        return "left behind"
    return str(lock["status"]).replace("_", " ") + (" (sticky)" if lock.get("sticky") else "")


def lock_style(lock: Json) -> str:
    if lock.get("left_behind"):
        return HURTS if lock.get("blocks") else "magenta"
    return style(lock)


def held_columns(at: datetime) -> list[Column]:
    """Of the locks of one session."""
    return [
        Column("RESOURCE", lambda lock: lock["resource"], least=16),
        Column("MODE", lambda lock: lock["mode"] + (", sticky" if lock["sticky"] else ""), drop=1),
        Column("FOR", lambda lock: age(lock["since"], at, brief=True), drop=1),
        Column("ACTIVITY", lambda lock: lock["activity"], drop=3, least=12),
        Column("GUIDANCE", lambda lock: lock["rule"], drop=2),
        Column("TOKEN", lambda lock: str(lock["token"]), drop=4, right=True),
    ]


def waiting_columns(at: datetime) -> list[Column]:
    """Of those whom one session blocks."""
    return [
        Column("USER", lambda one: one["user"], least=8),
        Column("MACHINE", lambda one: one["machine"], drop=2),
        Column("CLIENT", lambda one: one["client"], drop=3),
        Column("WANTS", lambda one: one["resource"], least=12),
        Column("HOW", lambda one: "waits" if one["waiting"] else "was refused", drop=1),
        Column("FOR", lambda one: age(one["since"], at, brief=True), drop=1),
        Column("SESSION", lambda one: one["session"], drop=4),
    ]


EVENT_STYLES = {
    "session.logged_in": "green",
    "session.reconnected": "green",
    "session.disconnected": "yellow",
    "session.refused": "red",
    "session.removed": "magenta",
    "alert.raised": HURTS,
}


ACCESS = ("operator.", "token.", "account.")


def event_columns(at: datetime, id_length: int) -> list[Column]:
    """Of what happened, in the history and in `top`."""
    return [
        Column("WHEN", lambda event: local(event["at"], at), least=8),
        Column(
            "WHAT",
            lambda event: event["type"],
            least=20,
            style=lambda event: EVENT_STYLES.get(event["type"], ""),
        ),
        Column("USER", lambda event: event["user"], least=14),
        Column("SITE", lambda event: event["site"], drop=6, least=12),
        Column("COMPANY", lambda event: event["company"], drop=3, least=12),
        Column("ABOUT", about, drop=1, least=19),
        Column("BY", by, drop=4, least=8),
        Column("REASON", lambda event: event["reason"], drop=2, least=10),
        Column("SESSION", lambda event: (event["session"] or "")[:id_length], drop=5, least=8),
    ]


def about(event: Json) -> str:
    """What an event's data adds for people: its resource, the text it carries, or whose access it was."""
    data = event["data"]
    text = data.get("resource") or data.get("text") or data.get("message")
    return str(text or (_access(event["type"], data) if event["type"].startswith(ACCESS) else ""))


def _access(kind: str, data: Json) -> str:
    """Whose, and what became of it: `grace: role operator → viewer`."""
    before, after = data.get("before"), data.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        said = [f"{key} {before.get(key)} → {after[key]}" for key in after if after[key] != before.get(key)]
    else:
        said = [str(data[key]) for key in ("role", "how", "address") if data.get(key)]
    if data.get("count", 1) > 1:
        said.append(f"{data['count']} times")
    name = data.get("name") or ("unknown name" if kind == "operator.sign_in_failed" else "")
    return f"{name}: {', '.join(said)}" if said else str(name)


def by(event: Json) -> str:
    """Who did it, where that was not the user."""
    return "" if event["actor"] in (None, event["user"]) else str(event["actor"])
