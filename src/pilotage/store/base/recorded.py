"""What workers record: the spool, sealed events, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.records import SpoolEvent, Text


class Progress(Protocol):
    """How far each spool segment was sealed, and the Parquet files that came of it."""

    def sealed(self, segment: str) -> int:
        """Return the offset (bytes) up to which this segment is sealed; 0 for a new one."""

    def seal(
        self, segment: str, start: int, end: int, files: Sequence[tuple[str, str, int]], *, finished: bool
    ) -> None:
        """Record that [start, end) now lies in `files` of (table, file name, rows).

        Raise Conflict where `start` is not what `sealed` gives: somebody else sealed it.
        """

    def finished(self) -> list[str]:
        """Return segments that are wholly sealed and may be unlinked."""

    def forget(self, segment: str) -> None:
        """Drop the bookkeeping of an unlinked segment's progress (its files stay listed)."""

    def files(self, table: str) -> list[str]: ...
    def listed(self, table: str) -> list[tuple[str, int]]:
        """Return (file name, rows) of every file of a table."""

    def replace(self, table: str, old: Sequence[str], name: str, count: int) -> None:
        """List one merged file in place of `old`; raise Conflict where one of them is not listed any more."""


class SpoolWriter(Protocol):
    """One process's appends. `append` is one unbuffered write; a full disk is counted, never raised on that path."""

    def append(self, event: SpoolEvent) -> bool:
        """Return whether it was written (False: disk full or gone; `lost` counts it)."""

    def append_durably(self, events: Sequence[SpoolEvent]) -> None:
        """Append and fdatasync before returning; raise WorkspaceUnusable where that fails. Blocks: call in a thread."""

    def sync(self) -> None:
        """Make everything appended so far survive power loss. Blocks: call in a thread, about once a second."""

    @property
    def lost(self) -> int: ...
    def close(self) -> None: ...


class SpoolReader(Protocol):
    """What was appended by every process, each event once and in order within its segment."""

    def segments(self) -> list[str]: ...
    def read(
        self, segment: str, offset: int, *, limit: int = 4 << 20
    ) -> tuple[list[tuple[int, SpoolEvent]], int, bool]:
        """Return ([(offset, event), ...], next offset, whether this segment has ended: its writer closed it or is dead).

        Only whole, checksummed frames are returned. A torn tail whose writer is dead is cut (and said so, once).
        """

    def remove(self, segment: str) -> None: ...


class PlainText(msgspec.Struct, frozen=True, kw_only=True):
    """A text on its way to being encrypted; it never goes into a log or a record."""

    inference: str
    use_case: str
    unit: str
    at: int
    request: str
    reply: str


class TextWriter(Protocol):
    """Encrypted texts of one process, by use case and day."""

    def write(self, texts: Sequence[PlainText]) -> list[SpoolEvent]:
        """Encrypt and append; return the `Text` events that say where each lies. Blocks: call in a thread.

        What could not be written (a full disk, no store) is counted in `lost` and has no event.
        """

    @property
    def lost(self) -> int: ...
    def close(self) -> None: ...


class Texts(Protocol):
    """Reading retained texts back, and letting them expire."""

    def use_cases(self) -> list[str]:
        """Return the use cases of which there are texts, whether or not they are registered."""

    def read(self, text: Text, key: bytes) -> tuple[str, str]:
        """Return (request, reply); raise NotFound where it expired, was erased or does not decrypt."""

    def expire(self, use_case: str, before: int) -> int:
        """Unlink the segments of days that ended before this time; return how many."""


class Events(Protocol):
    """Sealed events as tables: `started`, `finished`, `texts`, `feedback`, and the join `inferences`."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]: ...
