"""How a message gets to where people read it: one module a way, all alike to whoever sends.

Owns what a target is and how it says no. Must not know alerts' rules, rows, or when something is tried again.
E-mail, webhooks and apprise are imported by whoever has such a channel: they take time that most starts save.
"""

from whosin.alerts.targets.base import Line, PartlyTaken, Target, Undelivered
from whosin.alerts.targets.log import LogTarget

__all__ = ["Line", "LogTarget", "PartlyTaken", "Target", "Undelivered"]
