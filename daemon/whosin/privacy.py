"""Folders that only their owner can enter, on either kind of system.

Owns modes and Windows' access lists. Must not know what is kept there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

PRIVATE: Final = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"
"""The system, administrators and the owner, also for all within; nothing is taken over from above."""


def make_private(folder: Path) -> None:
    """The folder, and those above it, where there are none. One that exists is left as it is. Raises
    OSError."""
    for missing in reversed([part for part in (folder, *folder.parents) if not part.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        if sys.platform == "win32":
            protect(missing, PRIVATE)


if sys.platform == "win32":

    def protect(path: Path, sddl: str, owner: str | None = None) -> None:
        """Give it this list, and if wished this owner. Windows' modes say nothing: Python sets them, since
        3.11.10 and 3.12.4, for 0700 alone. Raises OSError."""
        import pywintypes  # noqa: PLC0415 - only where a folder is made
        import win32security  # noqa: PLC0415

        what = win32security.DACL_SECURITY_INFORMATION | win32security.PROTECTED_DACL_SECURITY_INFORMATION
        holder = None
        try:
            if owner is not None:
                what |= win32security.OWNER_SECURITY_INFORMATION
                holder = win32security.ConvertStringSidToSid(owner)
            wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
                sddl, win32security.SDDL_REVISION_1
            )
            win32security.SetNamedSecurityInfo(
                str(path), win32security.SE_FILE_OBJECT, what, holder, None,
                wanted.GetSecurityDescriptorDacl(), None,
            )  # fmt: skip
        except pywintypes.error as error:
            raise OSError(0, error.strerror, str(path), error.winerror) from error
