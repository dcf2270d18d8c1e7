"""What operators ask and order, answered from the engine and the cleanup (`operations.Operations`)."""

from whosin.desk.desk import Desk

__all__ = ["Desk"]
