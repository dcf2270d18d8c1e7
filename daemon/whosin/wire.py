"""The wire: topic and bytes to messages, answers and events to topic and bytes.

Owns names, sizes and encodings on MQTT (JSON, RFC 3339 times, CloudEvents 1.0). Must not know brokers or
rules. Whatever a stranger may send leads to a message or to `BadInput` with one of the reasons of rule 11.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from whosin import messages
from whosin.errors import BadInput
from whosin.messages import Batch, Message
from whosin.model import Answer
from whosin.ports import Clock, EventRow

UP = "whosin/v1/up/"
DOWN = "whosin/v1/down/"
EVENTS = "whosin/v1/events/"
HEARTBEAT = b"/heartbeat"
BATCH_ID = "@batch"
SITE_WIDE = "@all"  # stands in the topic of an event that is of no one company

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_PAYLOAD = 8 * 1024
MAX_BATCH = 256 * 1024

IDENT = re.compile(r"[A-Za-z0-9._~:-]{1,64}\Z")

_TYPES: dict[str, type[Message]] = {
    "login": messages.Login,
    "heartbeat": messages.Heartbeat,
    "logout": messages.Logout,
    "lost": messages.Lost,
    "lock": messages.LockRequest,
    "unlock": messages.Unlock,
}
_decoders = {verb: msgspec.json.Decoder(kind) for verb, kind in _TYPES.items()}
_batch_decoder = msgspec.json.Decoder(Batch)
encode_json = msgspec.json.Encoder().encode
_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode  # what is inside goes through as it is


class Heard(NamedTuple):
    """One message and what its topic says of its sender; `message` is a Batch for session `@batch`."""

    site: str
    company: str
    session: str
    verb: str
    message: Message | Batch


def decode(topic: bytes, payload: bytes, *, retain: bool) -> Heard:
    """Topic and payload as a message. Raises BadInput."""
    if retain:
        raise BadInput("retained", "a retained message on an up topic")
    site, company, session, verb = split(topic)
    batch = session == BATCH_ID
    limit = MAX_BATCH if batch else MAX_PAYLOAD
    if len(payload) > limit:
        raise BadInput("size", f"{len(payload)} bytes of payload; at most {limit} are allowed")
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError as error:
            raise BadInput("encoding", f"the payload is not UTF-8: {error}") from None
    decoder = _batch_decoder if batch else _decoders[verb]
    try:
        message = decoder.decode(payload or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput("schema", str(error)) from None
    return Heard(site, company, session, "batch" if batch else verb, message)


def split(topic: bytes) -> tuple[str, str, str, str]:
    """Site, company, session and verb of an up topic. Raises BadInput `topic` or `unknown_verb`."""
    try:
        text = topic.decode("ascii")
    except UnicodeDecodeError:
        raise BadInput("topic", "the topic holds more than ASCII") from None
    levels = text.removeprefix(UP).split("/")
    if not text.startswith(UP) or len(levels) != 4:
        raise BadInput("topic", f"expected {UP}<site>/<company>/<session>/<verb>")
    site, company, session, verb = levels
    for name, value in (("site", site), ("company", company), ("session", session)):
        if not IDENT.match(value) and not (name == "session" and value == BATCH_ID):
            raise BadInput("topic", f"the {name} {value!r} does not match [A-Za-z0-9._~:-]{{1,64}}")
    if verb not in _TYPES or (session == BATCH_ID and verb != "heartbeat"):
        raise BadInput("unknown_verb", f"expected one of {', '.join(_TYPES)}; a batch is a heartbeat")
    return site, company, session, verb


# --- outwards --------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _second(epoch_s: int) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch_s))
    except OSError:  # Windows knows only 1970 to 3000
        return (EPOCH + timedelta(seconds=epoch_s)).isoformat()[:19]


def rfc3339(wall_ms: int) -> str:
    """Epoch milliseconds as `2026-11-21T08:15:00.000Z`."""
    return f"{_second(wall_ms // 1000)}.{wall_ms % 1000:03d}Z"


def parse_rfc3339(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time (or a date). Raises ValueError."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only where people type times

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def outward(data: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """The same for the world outside: `since_ms: 17…` becomes `since: "2026-…Z"`, 0 becomes null."""
    out: dict[str, Any] = {}
    for key, value in data.items():
        kind = type(value)
        if kind is str:
            out[key] = value
        elif (kind is int or value is None) and key.endswith("_ms"):
            out[key[:-3]] = rfc3339(clock.wall_ms(value)) if value else None
        elif kind is dict:
            out[key] = outward(value, clock)
        elif kind is list and value and type(value[0]) is dict:
            out[key] = [outward(item, clock) for item in value]
        else:
            out[key] = value
    return out


def answer(given: Answer, clock: Clock) -> tuple[str, bytes]:
    """Topic and payload of an answer."""
    topic = f"{DOWN}{given.site}/{given.company}/{given.session}/{given.kind}"
    return topic, encode_json(outward(given.payload, clock))


def event(row: EventRow, store_id: str, daemon: str) -> tuple[str, bytes] | None:
    """Topic and CloudEvent of a stored event; None for one that is of no site."""
    if row.site is None:
        return None
    topic = f"{EVENTS}{row.site}/{row.company or SITE_WIDE}/{row.type}"
    data: dict[str, Any] = _shallow(row.data)
    data.update(site=row.site, company=row.company, user=row.user, by=row.actor, reason=row.reason)
    cloud_event = {
        "specversion": "1.0",
        "id": f"{store_id}-{row.seq}",
        "source": f"/whosin/{daemon}",
        "type": row.type,
        "time": rfc3339(row.at),
        "datacontenttype": "application/json",
        "data": data,
    }
    if row.session is not None:
        cloud_event["subject"] = row.session
    return topic, encode_json(cloud_event)
