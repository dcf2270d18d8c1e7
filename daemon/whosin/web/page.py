"""The first page: what this is, how it is doing, and where programs find the API.

No script, and nothing from elsewhere.
"""

import base64
import hashlib
from html import escape
from typing import Any

from starlette.responses import Response

from whosin.web.auth import Engine, Who
from whosin.web.pageguard import PageForViewers, page

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5a6673;--paper:#f6f7f9;--card:#fff;--line:#dde2e8}
:root{--good:#1b7f4b;--bad:#b3261e;--link:#0b5cad}
@media(prefers-color-scheme:dark){
:root{--ink:#e6eaef;--soft:#9aa6b2;--paper:#14191f;--card:#1c232b;--line:#2f3944}
:root{--good:#5bd093;--bad:#ff8a80;--link:#7db7ff}
}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:44rem;margin:0 auto;padding:2.5rem 1.25rem}
h1{margin:0;font-size:1.75rem}
p{margin:.5rem 0 1.5rem;color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem;margin:0 0 1.5rem}
dl div{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.75rem 1rem}
dt{color:var(--soft);font-size:.875rem}
dd{margin:0;font-size:1.5rem;font-weight:600;font-variant-numeric:tabular-nums}
ul{margin:0;padding-left:1.2rem}
a{color:var(--link)}
.good{color:var(--good)}.bad{color:var(--bad)}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_HASH}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

router = page(PageForViewers)


async def show_page(engine: Engine, who: Who) -> Response:
    """The counts, for whoever is signed in."""
    body = _document(engine.problems(), _counts(await engine.stats(who)))
    return Response(body, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


router.add_api_route("/", show_page, methods=["GET", "HEAD"])


def _document(problems: list[str], counts: str) -> str:
    if problems:
        state = "".join(f'<li class="bad">{escape(problem)}</li>' for problem in problems)
        state = f'<strong class="bad">Not ready</strong></p><ul>{state}</ul><p>'
    else:
        state = '<strong class="good">Ready</strong>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Whosin</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Whosin</h1>
<p>Who is in, who fell out, and what they still lock. {state}</p>
{counts}
<ul>
<li><a href="/api/v1/openapi.json">The API</a>, described for programs (OpenAPI); it needs a token</li>
<li><a href="/account">Your account</a>: sign out, change the password</li>
<li><a href="/metrics">Metrics</a> for Prometheus</li>
<li>Is it <a href="/healthz">alive</a>? Is it <a href="/readyz">ready</a>?</li>
</ul>
</main>
</body>
</html>
"""


def _counts(stats: dict[str, Any]) -> str:
    sessions = stats["sessions"]
    shown = {
        "Active": sessions.get("active", 0),
        "Disconnected": sessions.get("disconnected", 0),
        "Locks": stats["locks"],
        "Waiting": stats["waiting"],
        "Companies": stats["companies"],
        "Cleanup": "on" if stats["cleanup"]["enabled"] else "off",
    }
    cards = "".join(
        f"<div><dt>{name}</dt><dd>{escape(str(value))}</dd></div>" for name, value in shown.items()
    )
    return f"<dl>{cards}</dl>"
