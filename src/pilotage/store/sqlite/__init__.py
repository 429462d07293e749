"""The embedded store: one SQLite file. No other room knows SQL of it."""

from pilotage.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
