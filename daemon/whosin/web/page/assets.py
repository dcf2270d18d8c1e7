"""Styles and scripts, all shipped, none from elsewhere; each answer may be kept for ever.

The address holds a digest of all of them, so that after an upgrade nobody runs yesterday's script.
"""

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from starlette.responses import Response

from whosin.web.problem import Problem

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}

router = APIRouter(include_in_schema=False)


def _below(folder: Traversable, name: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for one in sorted(folder.iterdir(), key=lambda it: it.name):
        path = f"{name}/{one.name}" if name else one.name
        if one.is_dir():
            found |= _below(one, path)
        elif one.name.rpartition(".")[2] in TYPES:
            found[path] = one.read_bytes()
    return found


@cache
def files() -> dict[str, bytes]:
    """Every asset by its path, read once."""
    return _below(resources.files("whosin.web.page").joinpath("assets"))


@cache
def base() -> str:
    """The address that all of them are below."""
    digest = hashlib.sha256()
    for name, content in files().items():
        digest.update(name.encode() + b"\0" + content)
    return f"/assets/{digest.hexdigest()[:16]}"


@router.api_route("/assets/{digest}/{path:path}", methods=["GET", "HEAD"])
async def asset(digest: str, path: str) -> Response:
    content = files().get(path)
    if content is None or base() != f"/assets/{digest}":
        raise Problem(404, "not_found", "There is no such file; the page may be older than the daemon.")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=TYPES[path.rpartition(".")[2]], headers=headers)
