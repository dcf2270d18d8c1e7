"""The seams: Clock, Intake and Peer, Transport, Store. Each is a Protocol; who implements it is unknown here.

Times that cross to the Store are wall-clock epoch milliseconds; all others are on the engine's timeline
(see `model`). Everything here is called from the event loop's thread.
"""

from whosin.ports.rows import (
    AccountRow,
    AlertRow,
    BeatRow,
    Changes,
    DeliveryRow,
    EventRow,
    FollowupRow,
    HoldRow,
    Loaded,
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
from whosin.ports.seams import Clock, Intake, Peer, Received, Transport
from whosin.ports.store import AlertQuery, EndedQuery, FollowupQuery, HistoryQuery, Store

__all__ = [
    "AccountRow",
    "AlertQuery",
    "AlertRow",
    "BeatRow",
    "Changes",
    "Clock",
    "DeliveryRow",
    "EndedQuery",
    "EventRow",
    "FollowupQuery",
    "FollowupRow",
    "HistoryQuery",
    "HoldRow",
    "Intake",
    "Loaded",
    "LockRow",
    "ObserverRow",
    "OperatorRow",
    "PassRow",
    "Peer",
    "Received",
    "SessionRow",
    "Store",
    "TokenRow",
    "Transport",
    "TurnRow",
    "WantRow",
    "WebSessionRow",
]
