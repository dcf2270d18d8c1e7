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
from msgspec import UNSET

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


class _CloudEvent(msgspec.Struct, gc=False, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str = "application/json"
    data: msgspec.Raw
    subject: str | msgspec.UnsetType


class _Whose(msgspec.Struct, gc=False):
    """What of an event stands in columns of its own, and is told with its data."""

    site: str | None
    company: str | None
    user: str | None
    by: str | None
    reason: str | None


_whose_names = re.compile(rb'"(?:site|company|user|by|reason)":').search


def _event_data(row: EventRow) -> msgspec.Raw:
    """What was stored goes through as it is, without being taken apart: that is a third of telling a wave."""
    whose = _Whose(row.site, row.company, row.user, row.actor, row.reason)
    if row.data == b"{}" or _whose_names(row.data):  # one of the names may stand there already: it gives way
        data: dict[str, Any] = _shallow(row.data)
        data.update(msgspec.structs.asdict(whose))
        return msgspec.Raw(encode_json(data))
    return msgspec.Raw(row.data[:-1] + b"," + encode_json(whose)[1:])


def event(row: EventRow, store_id: str, daemon: str) -> tuple[str, bytes] | None:
    """Topic and CloudEvent of a stored event; None for one that is of no site."""
    if row.site is None:
        return None
    topic = f"{EVENTS}{row.site}/{row.company or SITE_WIDE}/{row.type}"
    cloud_event = _CloudEvent(
        id=f"{store_id}-{row.seq}",
        source=f"/whosin/{daemon}",
        type=row.type,
        time=rfc3339(row.at),
        data=_event_data(row),
        subject=UNSET if row.session is None else row.session,
    )
    return topic, encode_json(cloud_event)
