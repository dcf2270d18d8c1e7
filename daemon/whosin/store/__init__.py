"""Where nothing is lost: the adapters of `ports.Store`. SQLite today."""

from whosin.store.sqlite import SqliteStore

__all__ = ["SqliteStore"]
