"""To the daemon's own log: one line with all that people need."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import structlog

from whosin.alerts.messages import Message
from whosin.alerts.targets.base import Line

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}

log = structlog.get_logger("whosin.alerts")


@dataclass(frozen=True)
class LogTarget:
    """Always takes it."""

    shown: str = "the daemon's log"

    def send(self, message: Message, line: Line) -> None:  # noqa: ARG002 - as for all targets
        told = message.payload
        over = told["phase"] == "cleared"
        shown = {name: told[name] for name in ("site", "company") if told[name] is not None}
        level = logging.INFO if over else LEVELS[message.severity]
        if not over:
            shown["action"] = told["action"]
        log.log(
            level, "alert", phase=told["phase"], kind=told["kind"], message=told["message"], **shown,
            link=told["link"], id=told["id"],
        )  # fmt: skip
