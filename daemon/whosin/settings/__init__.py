"""The settings: what can be set, read from a TOML file and the environment, checked as a whole.

Owns sections, keys, defaults, and sentences that say what is wrong. Must not know what the rooms that are
set do with it. Only the standard library is needed, so that short commands can read settings quickly.
"""

from whosin.settings.effective import Effective, Settings, changed, differences, plain
from whosin.settings.kinds import Address, Broker
from whosin.settings.reading import load
from whosin.settings.schema import ClientType

__all__ = [
    "Address",
    "Broker",
    "ClientType",
    "Effective",
    "Settings",
    "changed",
    "differences",
    "load",
    "plain",
]
