"""Whosin as a service of the system: systemd on Linux, the service manager on Windows.

Owns what is registered where, and what the system is told. Must not know what the daemon does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from whosin.errors import Refused
from whosin.service.manager import NAME

if TYPE_CHECKING:
    from whosin.service.manager import Manager

__all__ = ["NAME", "manager"]


def manager(name: str = NAME) -> Manager:
    """The one of this system. Raises Refused `no_service` where there is none."""
    if sys.platform == "linux":
        from whosin.service.linux import SystemdManager  # noqa: PLC0415 - each on its own system only

        return SystemdManager(name)
    if sys.platform == "win32":
        from whosin.service.windows.manager import WindowsManager  # noqa: PLC0415 - likewise

        return WindowsManager(name)
    raise Refused(
        "no_service", f"Whosin cannot be a service on {sys.platform}: run `whosin run` by other means."
    )
