"""The durable event log that every process appends to and the control process seals (docs/events.md)."""

from pilotage.store.spool.reader import Reader
from pilotage.store.spool.writer import Writer

__all__ = ["Reader", "Writer"]
