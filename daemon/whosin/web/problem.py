"""A refusal as RFC 9457 problem details, with a `code` for programs and a sentence for people.

Knows no framework but the response it becomes, so that it is there before the API is.
"""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A refusal on its way out. `more` are extension members, `errors` one entry per wrong field."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.more = more

    def body(self, instance: str) -> bytes:
        return msgspec.json.encode(
            {
                "type": f"urn:whosin:problem:{self.code}",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "instance": instance,
                "code": self.code,
                **self.more,
            }
        )

    def response(self, instance: str) -> Response:
        return Response(self.body(instance), self.status, self.headers, MEDIA_TYPE)
