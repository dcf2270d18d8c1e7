"""Where a service's settings, data and logs lie, and who may do what there.

Owns the folders and their access lists. Must not know what is in them.

Anybody may make a folder in ProgramData. So one that is there already must be an administrator's: else its
owner could have put settings there that the service would follow, or could change them later.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from whosin.errors import Refused
from whosin.service.manager import NAME

if TYPE_CHECKING:
    from whosin.service.windows.api import System

SYSTEM: Final = "S-1-5-18"
ADMINISTRATORS: Final = "S-1-5-32-544"
INSTALLER: Final = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

READ: Final = "0x1200a9"  # and look into folders
CHANGE: Final = "0x1301bf"  # all but giving rights away


class Places(NamedTuple):
    root: Path
    config: Path
    data: Path
    logs: Path

    @property
    def log(self) -> Path:
        return self.logs / "whosin.log"

    @property
    def state(self) -> Path:
        """What the service says of itself, for `whosin service status`."""
        return self.logs / "state.json"


def key_of(name: str) -> str:
    """The service's name at the system, of its account and of its folder."""
    return "Whosin" if name == NAME else name


def places(name: str, program_data: Path) -> Places:
    root = program_data / key_of(name)
    return Places(root, root / "config" / "whosin.toml", root / "data", root / "logs")


def sid_of(key: str) -> str:
    """The SID of the account that Windows has for the service: made from the name, so known before it is."""
    digest = hashlib.sha1(key.upper().encode("utf-16le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(str(part) for part in struct.unpack("<5I", digest))


def rights(key: str, mask: str, *, within: bool = True) -> str:
    """For the system and administrators all, for the service `mask`, for others nothing; in SDDL."""
    flags = "OICI" if within else ""
    return f"D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;{flags};{mask};;;{sid_of(key)})"


def make(system: System, name: str, where: Places) -> None:
    """The folders, with their rights; those that are there keep what is in them. Raises Refused, OSError."""
    key = key_of(name)
    wanted = {
        where.root: rights(key, READ, within=False),
        where.config.parent: rights(key, READ),
        where.data: rights(key, CHANGE),
        where.logs: rights(key, CHANGE),
    }
    trusted = {SYSTEM, ADMINISTRATORS, INSTALLER, system.me(), sid_of(key)}
    for folder in wanted:
        if folder.exists() and (owner := system.owner(folder)) not in trusted:
            raise Refused(
                "not_ours",
                f"{folder} exists and belongs to {owner}, who is no administrator and could have put "
                "settings there. Look into it, and remove or rename it.",
            )
    for folder, sddl in wanted.items():
        folder.mkdir(exist_ok=True)
        system.protect(folder, sddl, ADMINISTRATORS)
