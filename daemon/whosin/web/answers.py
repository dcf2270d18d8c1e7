"""JSON answers, written by msgspec straight from what the engine gave; the models only document them.

Checking a thousand items against a model on their way out would cost more than finding them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from whosin.operations import Page

_encode = msgspec.json.Encoder().encode


def answer(value: Any, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json")


def page(found: Page, **more: Any) -> Response:
    return answer({"items": found.items, "next": found.next, "total": found.total, **more})


def listing(
    items: Sequence[Any], limit: int | None = None, cursor: str | None = None, **more: Any
) -> Response:
    """A page cut from a whole list, and what else there is to say. The cursor is a place in the list: one
    that changes may shift."""
    start = place(cursor)
    end = len(items) if limit is None else start + limit
    following = str(end) if end < len(items) else None
    return answer({"items": items[start:end], "next": following, "total": len(items), **more})


def place(cursor: str | None) -> int:
    """The cursor is digits; its model has seen to that."""
    return int(cursor) if cursor else 0
