"""Where to go on after signing in: only ever to a page of ours."""

from urllib.parse import quote, urlsplit

SIGN_IN = "/sign-in"
_LONGEST = 2000


def safe_next(wanted: str | None) -> str:
    """The path and query to go on to; "/" for whatever could lead elsewhere, or back to the form."""
    if not wanted or len(wanted) > _LONGEST or not wanted.startswith("/") or wanted.startswith("//"):
        return "/"
    if "\\" in wanted or not wanted.isascii() or any(ord(char) <= 32 or ord(char) == 127 for char in wanted):
        return "/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path.startswith((SIGN_IN, "/sign-out")):
        return "/"
    return wanted


def sign_in_address(next_: str) -> str:
    """The form's address, from which one goes on to `next_`."""
    safe = safe_next(next_)
    return SIGN_IN if safe == "/" else f"{SIGN_IN}?next={quote(safe, safe='/')}"
