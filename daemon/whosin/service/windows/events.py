"""The Event Log: three kinds of entries, in Application, under the service's own source.

Owns their numbers. Must not know why they are written. Their text comes with a system file that has room
for any text under the numbers 1 to 1000: a file of ours would be held open by the Event Log, and stand in
the way of upgrades.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from whosin.service.windows.api import EVENT_ERROR, EVENT_INFORMATION

if TYPE_CHECKING:
    from whosin.service.windows.api import Api

MESSAGE_FILE: Final = r"%SystemRoot%\System32\EventCreate.exe"
STARTED, ENDED, FATAL = 1, 2, 3
LONGEST: Final = 30_000  # of one text; Windows takes a little more


def report(api: Api, source: str, number: int, text: str) -> None:
    """What cannot be written is left: the log file has it too."""
    kind = EVENT_ERROR if number == FATAL else EVENT_INFORMATION
    with contextlib.suppress(api.Error, OSError):
        handle = api.events.RegisterEventSource(None, source)
        try:
            api.events.ReportEvent(handle, kind, 0, number, None, (text[:LONGEST],), None)
        finally:
            api.events.DeregisterEventSource(handle)
