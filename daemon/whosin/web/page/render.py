"""From a template and what it shows to an answer, under a strict policy of what the browser may do.

Owns the environment of the templates. Must not know which views there are.
"""

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from whosin.web.page import assets
from whosin.web.page.texts import Texts

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; "  # the marks in Pico's form elements
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@cache
def texts() -> Texts:
    return Texts()


@cache
def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("whosin.web.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    env.globals |= {"t": texts(), "asset": _asset}
    env.filters |= {"n": lambda number: f"{number:,}", "people": people, "facts": facts}
    env.tests["stamp"] = lambda value: isinstance(value, str) and _STAMP.fullmatch(value) is not None
    return env


def _asset(path: str) -> str:
    assert path in assets.files(), path
    return f"{assets.base()}/{path}"


def people(blocks: list[dict[str, Any]]) -> list[str]:
    """The users among those that are blocked, each once."""
    return list(dict.fromkeys(one["user"] for one in blocks))


def facts(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """The data of an event in words: what is empty or no is left out, and the resource stands elsewhere."""
    found: list[tuple[str, Any]] = []
    for name, value in event["data"].items():
        if name == "resource" or value in (None, "", [], {}, False):
            continue
        label = texts().label("history.field", name).replace("_", " ")
        found.append((label, _in_words(value)))
    return found


def _in_words(value: Any) -> Any:
    if value is True:
        return "✓"
    if isinstance(value, list):
        return ", ".join(str(_in_words(one)) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(one)}" for name, one in value.items())
    return value


def html(template: str, code: int = 200, headers: dict[str, str] | None = None, /, **shown: Any) -> Response:
    body = _environment().get_template(template).render(**shown)
    return Response(
        body,
        code,
        {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", **(headers or {})},
        media_type="text/html",
    )
