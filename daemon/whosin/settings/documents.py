"""The settings as documents, made from the schema: `docs/settings.md` and `config/whosin.toml`.

Owns their wording around the keys. Must not know: where the files lie.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from whosin.settings.alerts import Channel
from whosin.settings.kinds import Address, shown
from whosin.settings.schema import SECTIONS, TABLES, TYPE_DEFAULTS, ClientType, Key, keys, section_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_EFFECT = {"live": "a reload", "restart": "a restart", "first": "counts only once"}
_MADE = "`python -m whosin.settings"

_HEAD_MARKDOWN = f"""# Settings

<!-- Made by {_MADE} --markdown`; a test keeps it up to date. -->

Settings are read from a TOML file (`whosin run --config FILE`) and from environment variables, which win.
Every key is also a variable: `mqtt.listen` is `WHOSIN_MQTT__LISTEN`, `client_types.kiosk.timeout_s` is
`WHOSIN_CLIENT_TYPES__KIOSK__TIMEOUT_S`; lists are separated by commas there. `whosin check-config` shows
every value in force and where it came from, or everything that is wrong.

Durations end in `_s` and are seconds, fractions allowed. Relative paths start from the folder of the settings
file, those in variables from the working directory. Empty text means *not set* where a key can be unset. A
changed value takes effect by a reload (`whosin reload`, or SIGHUP) or by a restart, as the last column says.
"""

_HEAD_TOML = f"""
Settings of Whosin. Every key is here with its default: remove the # in front of a key to change it.
Each one can also be set by an environment variable, which wins: WHOSIN_MQTT__LISTEN for mqtt.listen.
`whosin check-config` tells what is wrong, or every value in force and where it came from.
Made by {_MADE} --toml`; a test keeps it up to date.
"""

_AFTER_TYPES = """Any other type may have a section too, as in [client_types.kiosk]; its name has 1 to 32 of
a-z, 0-9, _ and -. What such a section leaves out comes from [client_types.default]."""

_TOGETHER = """
## What goes together

- `lost_grace_s` is more than `heartbeat_every_s`, and `timeout_s` at least twice `heartbeat_every_s`: one
  lost heartbeat must not look like a death.
- At least one of `mqtt.listen` and `mqtt.url` is there, else nobody would be heard.
- `mqtt.sign_in = "off"` only while `mqtt.listen` is on loopback.
- Certificates and their keys come in pairs; `ca_file`, `cert_file` and `key_file` need `mqtts://`;
  `password_file` needs `username`.
- What only an e-mail, a webhook or an apprise channel has stands in no other; e-mail needs `host`, `sender`
  and `to`, the others `url` or `url_file`. `username` and `password_file` come in pairs, and not with `tls =
  "off"` unless the server is on this machine.
- `http.listen` where others can reach it needs `tls_cert` and `tls_key`, or `behind_proxy = true`.

## Variables that are not settings

`WHOSIN_URL` and `WHOSIN_TOKEN` tell the command line which daemon to talk to and who it is. Any other
variable that begins with `WHOSIN_` and names no setting is refused, so that a typing mistake cannot pass
unnoticed.
"""


def markdown() -> str:
    """All of `docs/settings.md`."""
    return "\n".join([_HEAD_MARKDOWN, *_markdown_sections(), _TOGETHER.lstrip("\n")])


def _markdown_sections() -> Iterator[str]:
    for section, shape in SECTIONS.items():
        title = f"{section}.NAME" if section in TABLES else section
        yield f"## `[{title}]`\n\n{_paragraph(shape)}\n"
        if shape is ClientType:
            yield f"{_AFTER_TYPES}\n"
        yield "| key | default | takes | what it does | a change needs |\n| --- | --- | --- | --- | --- |"
        for item in keys(shape).values():
            takes, about = _cell(item.kind.allowed), _cell(item.about)
            cells = (f"`{item.name}`", _cell(_default(item, shape)), takes, about, _EFFECT[item.effect])
            yield f"| {' | '.join(cells)} |"
        yield ""


def _default(item: Key, shape: type[Any]) -> str:
    if item.derived:
        return item.derived
    if shape is ClientType:
        web = getattr(TYPE_DEFAULTS["web"], item.name)
        if web != item.default:
            return f"`{toml_value(item.default)}`; web `{toml_value(web)}`"
    return f"`{toml_value(item.default)}`" if item.default is not None else "not set"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def toml() -> str:
    """All of `config/whosin.toml`."""
    return "\n".join([_comment(_HEAD_TOML), *_toml_sections()])


def _toml_sections() -> Iterator[str]:
    for section, shape in SECTIONS.items():
        yield f"\n{_comment(_paragraph(shape))}"
        if shape is ClientType:
            yield _comment(" ".join(_AFTER_TYPES.split()))
            for name, defaults in TYPE_DEFAULTS.items():
                yield ""
                yield from _toml_section(f"{section}.{name}", defaults, about=name == "default")
        elif shape is Channel:
            yield from _toml_channel(section)
        else:
            yield from _toml_section(section, None, about=True)
    yield ""


def _toml_channel(section: str) -> Iterator[str]:
    """A channel to look at: no name of one is a default, so even its heading is a comment."""
    yield f"# [{section}.{TABLES[section].example}]"
    for item in keys(Channel).values():
        yield _comment(item.about + (f" Default: {item.derived}." if item.derived else ""))
        yield f"# {item.name} = {toml_value(item.default)}"


def _toml_section(title: str, defaults: ClientType | None, *, about: bool) -> Iterator[str]:
    """A section with its keys commented out, with their defaults, or those of a client type."""
    yield f"[{title}]"
    for item in keys(SECTIONS[section_of(title)]).values():
        if about:
            yield _comment(item.about + (f" Default: {item.derived}." if item.derived else ""))
        value = getattr(defaults, item.name) if defaults else item.default
        yield f"#{item.name} = {toml_value(value)}"


def toml_value(value: object) -> str:
    """A default as it stands in a file; what can be unset is empty text."""
    return '""' if value is None else shown(str(value) if isinstance(value, Address) else value)


def _paragraph(shape: type[Any]) -> str:
    return " ".join((shape.__doc__ or "").split())


def _comment(text: str) -> str:
    lines = [
        line for part in text.strip().split("\n") for line in textwrap.wrap(part, 106, break_on_hyphens=False)
    ]
    return "\n".join(f"# {line}" for line in lines)
