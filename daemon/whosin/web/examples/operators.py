"""Examples of operators, and of signing in."""

from typing import Any

Json = dict[str, Any]

_WHO: Json = {"name": "grace", "role": "operator", "site": "north"}
_OPERATOR: Json = {
    **_WHO,
    "disabled": False,
    "has_password": True,
    "created": "2026-10-05T08:00:00.000Z",
    "signed_in_at": "2026-11-02T07:58:12.345Z",
    "sessions": 1,
}
_LINK: Json = {
    "link": "/sign-in/link?code=shown-this-once",
    "link_until": "2026-11-02T09:00:00.000Z",
}

EXAMPLES: dict[str, Json] = {
    "NewOperator": _WHO,
    "OperatorChange": {"role": "administrator", "site": None},
    "SignInWith": {"name": "grace", "password": "correct horse battery"},
    "SignOut": {"everywhere": True},
    "PasswordChange": {"old": "correct horse battery", "new": "staple correct horse"},
    "Operator": _OPERATOR,
    "OperatorList": {"items": [_OPERATOR], "next": None, "total": 1},
    "AddedOperator": {**_OPERATOR, "has_password": False, "signed_in_at": None, "sessions": 0, **_LINK},
    "OneTimeLink": {"name": "grace", **_LINK},
    "Me": {**_WHO, "kind": "operator", "csrf": "vQ2k-of-this-session"},
    "SignedOut": {"ended": 2},
}
