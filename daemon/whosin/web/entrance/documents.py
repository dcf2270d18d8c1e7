"""The small pages as documents: no script, nothing from elsewhere, light and dark, and every text escaped.

Owns their look and their words. Must not know who may do what.
"""

import base64
import hashlib
from html import escape

from starlette.responses import Response

from whosin.operations import SignedIn
from whosin.web.problem import Problem

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#55606d;--paper:#f6f7f9;--card:#fff;--line:#c3cad3}
:root{--bad:#a8201a;--good:#14693c;--link:#0b5cad;--on:#fff}
@media(prefers-color-scheme:dark){
:root{--ink:#e6eaef;--soft:#a3aebb;--paper:#14191f;--card:#1c232b;--line:#465261}
:root{--bad:#ff9a91;--good:#6fdca0;--link:#86bdff;--on:#0d1520}
}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:26rem;margin:0 auto;padding:2.5rem 1.25rem}
h1{margin:0 0 .25rem;font-size:1.6rem}
h2{margin:0 0 .75rem;font-size:1.15rem}
p{margin:.25rem 0 1rem}
.soft{color:var(--soft)}
.bad{color:var(--bad);font-weight:600}
.good{color:var(--good);font-weight:600}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1.1rem 1.25rem}
section+section{margin-top:1rem}
label{display:block;margin:0 0 .9rem;font-weight:600}
label small{display:block;font-weight:400;color:var(--soft)}
input:not([type=checkbox]){display:block;width:100%;margin-top:.25rem;padding:.55rem .65rem;font:inherit}
input:not([type=checkbox]){color:inherit;background:var(--paper);border:1px solid var(--line)}
input,button{border-radius:.4rem}
button{padding:.6rem 1.1rem;font:inherit;font-weight:600;cursor:pointer;border:1px solid var(--link)}
button{color:var(--on);background:var(--link)}
button.quiet{color:var(--link);background:transparent}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
summary{cursor:pointer;color:var(--link);margin-bottom:.75rem}
a{color:var(--link)}
code{overflow-wrap:anywhere}
form+form{margin-top:.75rem}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # by no-referrer the browser would hide the Origin of our own forms
}
_ROLES = {
    "viewer": "sees everything and changes nothing",
    "operator": "sees everything, logs off and cleans up",
    "administrator": "may do everything",
}


def page(title: str, body: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """One document; `body` is HTML already."""
    document = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(title)} · Whosin</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Whosin</h1>
<p class="soft">Who is in, who fell out, and what they still lock.</p>
{body}
</main>
</body>
</html>
"""
    return Response(document, status, _HEADERS | (headers or {}), "text/html")


def sign_in(next_: str, name: str = "", problem: Problem | None = None, *, nobody: bool = False) -> Response:
    """The form. `nobody`: there is no operator yet."""
    hidden = f'<input type="hidden" name="next" value="{escape(next_)}">'
    focus = ("", " autofocus") if name else (" autofocus", "")
    hint = _NOBODY if nobody else ""
    body = f"""{_told(problem)}{hint}<section>
<h2>Sign in</h2>
<form method="post" action="/sign-in">{hidden}
<label>Name <input name="name" value="{escape(name)}" autocomplete="username" maxlength="64"
 autocapitalize="none" spellcheck="false" required{focus[0]}></label>
<label>Password <input type="password" name="password" autocomplete="current-password" maxlength="256"
 required{focus[1]}></label>
<button>Sign in</button>
</form>
</section>
<section>
<details><summary>Sign in with a token instead</summary>
<form method="post" action="/sign-in">{hidden}
<label>Token <input type="password" name="token" autocomplete="off" maxlength="512" required></label>
<button>Sign in with the token</button>
</form>
</details>
<p class="soft">Forgotten the password? An administrator makes a one-time link with which you choose a new
 one: <code>whosin operators link NAME</code></p>
</section>"""
    return _answer("Sign in", body, problem)


_NOBODY = """<section>
<h2>Nobody can sign in yet</h2>
<p>On the machine where Whosin runs, this prints a one-time link for the first operator:</p>
<p><code>whosin operators add NAME --role administrator</code></p>
</section>
"""


def link(code: str, whose: str | None, name: str = "", problem: Problem | None = None) -> Response:
    """Choose a password: the first administrator (`whose` None) chooses a name too."""
    if whose is None:
        title, intro = "Set up the first administrator", "You will be the first to sign in here."
        field = f"""<label>Your name <small>letters, digits and . _ @ + -; the history will show it</small>
<input name="name" value="{escape(name)}" autocomplete="username" maxlength="64" autocapitalize="none"
 spellcheck="false" required autofocus></label>"""
    else:
        title, intro = f"Choose a password, {whose}", "This link works once."
        field = f'<input type="hidden" name="name" value="{escape(whose)}" autocomplete="username">'
    body = f"""{_told(problem)}<section>
<h2>{escape(title)}</h2>
<p>{intro}</p>
<form method="post" action="/sign-in/link"><input type="hidden" name="code" value="{escape(code)}">
{field}
{_CHOOSE}
<button>Save and sign in</button>
</form>
</section>"""
    return _answer(title, body, problem)


_CHOOSE = """<label>New password <small>12 characters or more</small>
<input type="password" name="password" autocomplete="new-password" minlength="12" maxlength="256"
 required></label>
<label>The same again
<input type="password" name="again" autocomplete="new-password" minlength="12" maxlength="256"
 required></label>"""


def dead_link() -> Response:
    body = """<section>
<h2>This link cannot be used</h2>
<p>It was used already, is too old, or was replaced by a newer one.</p>
<p>An administrator makes another: <code>whosin operators link NAME</code></p>
<p><a href="/sign-in">Sign in</a></p>
</section>"""
    return page("Link", body, 410)


def account(
    signed_in: SignedIn, sessions: int | None, problem: Problem | None = None, done: str = ""
) -> Response:
    """Who one is, one's own password, and the way out."""
    caller = signed_in.caller
    csrf = f'<input type="hidden" name="csrf" value="{escape(signed_in.csrf)}">'
    where = f"the site {escape(caller.site)}" if caller.site is not None else "every site"
    password = ""
    if signed_in.kind == "operator":
        password = f"""<section>
<h2>Change the password</h2>
<form method="post" action="/account/password">{csrf}
<label>Present password
<input type="password" name="old" autocomplete="current-password" maxlength="256" required></label>
{_CHOOSE}
<p class="soft">You are then signed out everywhere else.</p>
<button>Change it</button>
</form>
</section>"""
    others = "" if sessions is None else f" You are signed in {sessions} time{'s' if sessions != 1 else ''}."
    said = f'<p class="good" role="status">{escape(done)}</p>' if done else ""
    body = f"""{_told(problem)}{said}<section>
<h2>{escape(caller.name)}</h2>
<p>{escape(caller.role)} of {where}: {_ROLES.get(caller.role, "")}.{others}</p>
<form method="post" action="/sign-out">{csrf}<button>Sign out</button></form>
<form method="post" action="/sign-out">{csrf}<input type="hidden" name="everywhere" value="true">
<button class="quiet">Sign out everywhere</button></form>
</section>
{password}
<p><a href="/">Back to the page</a></p>"""
    return _answer("Your account", body, problem)


def refusal(problem: Problem) -> Response:
    """Why this cannot be."""
    titles = {403: "You may not do this", 404: "There is nothing here", 429: "Too fast"}
    title = titles.get(problem.status, "This did not work")
    body = f"""<section>
<h2>{title}</h2>
<p role="alert">{escape(problem.detail)}</p>
<p><a href="/">To the page</a> · <a href="/account">Your account</a></p>
</section>"""
    return page(title, body, problem.status, problem.headers)


def _told(problem: Problem | None) -> str:
    return f'<p class="bad" role="alert">{escape(problem.detail)}</p>' if problem is not None else ""


def _answer(title: str, body: str, problem: Problem | None) -> Response:
    if problem is None:
        return page(title, body)
    headers = {name: value for name, value in (problem.headers or {}).items() if name == "Retry-After"}
    return page(title, body, problem.status if problem.status != 401 else 403, headers)
