"""The shapes of answers, as the API is described by them: a module for each subject.

Answers are not checked on their way out (`web.answers`); the tests hold them to these models instead.
Times are RFC 3339, UTC, with milliseconds and `Z`.
"""

from whosin.web.schemas.administration import (
    Account,
    Accounts,
    BackedUp,
    CreatedAccount,
    CreatedToken,
    Reloaded,
    Token,
    Tokens,
)
from whosin.web.schemas.base import Answer, Moment
from whosin.web.schemas.cleanup import Cleanup, Confirmed, Hold, Pass, PassCompany, Passes
from whosin.web.schemas.guidance import (
    Advised,
    Followup,
    FollowupCounts,
    Followups,
    Guidance,
    LeftToDo,
    Match,
    Rule,
)
from whosin.web.schemas.overview import (
    CleanupShort,
    Companies,
    Company,
    Event,
    History,
    SignIn,
    Source,
    Stats,
    Storage,
)
from whosin.web.schemas.plain import Alive, ProblemDetails, Ready, WrongField
from whosin.web.schemas.sessions import (
    Blocked,
    Freed,
    FreedLock,
    HeldLock,
    HeldResource,
    Lock,
    Locks,
    LogOffResult,
    LogOffResults,
    Session,
    Sessions,
)

__all__ = [
    "Account",
    "Accounts",
    "Advised",
    "Alive",
    "Answer",
    "BackedUp",
    "Blocked",
    "Cleanup",
    "CleanupShort",
    "Companies",
    "Company",
    "Confirmed",
    "CreatedAccount",
    "CreatedToken",
    "Event",
    "Followup",
    "FollowupCounts",
    "Followups",
    "Freed",
    "FreedLock",
    "Guidance",
    "HeldLock",
    "HeldResource",
    "History",
    "Hold",
    "LeftToDo",
    "Lock",
    "Locks",
    "LogOffResult",
    "LogOffResults",
    "Match",
    "Moment",
    "Pass",
    "PassCompany",
    "Passes",
    "ProblemDetails",
    "Ready",
    "Reloaded",
    "Rule",
    "Session",
    "Sessions",
    "SignIn",
    "Source",
    "Stats",
    "Storage",
    "Token",
    "Tokens",
    "WrongField",
]
