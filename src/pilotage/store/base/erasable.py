"""What must be forgotten on demand: units' keys, erasures, words that people wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class UnitKeys(Protocol):
    """A text key per unit: destroying it makes every text of that unit unreadable. When it was used is known to the day."""

    def get_or_create(self, units: Iterable[tuple[str, str]], *, at: int) -> dict[tuple[str, str], tuple[str, bytes]]:
        """Return {(use case, unit digest): (key id, 32 bytes)}; a missing one is made from the system's randomness."""

    def by_id(self, key_ids: Iterable[str]) -> dict[str, bytes]: ...
    def has(self, use_case: str, unit: str) -> bool: ...
    def use_cases(self) -> list[str]:
        """Return the use cases of whose units there are keys."""

    def expire(self, use_case: str, before: int) -> int:
        """Destroy the keys that were not used since; return how many."""

    def destroy(self, use_case: str, unit: str) -> bool:
        """Destroy a unit's key for good; return whether there was one."""


class Erasure(NamedTuple):
    """A unit's digest, what stands in its place in figures since `at` (microseconds), so that they still add up."""

    use_case: str
    unit: str
    pseudonym: str
    at: int


class Erasures(Protocol):
    def put(self, erasure: Erasure) -> None: ...
    def open(self) -> list[Erasure]:
        """Return those of which something may still come out of the spool."""

    def count(self, use_case: str) -> int: ...
    def close(self, before: int) -> None:
        """Blank the digests of those that are older: nothing can name these units any more."""


WORDS = "words:"
"""What a reference to people's own words begins with, and 64 hex digits follow."""


class Spoken(NamedTuple):
    """People's own words about one use case, or none. `salt` (32 random bytes) goes into their digest before them."""

    reference: str
    use_case: str
    salt: bytes
    text: str


class Words(Protocol):
    """What people said, by a reference that says nothing of it."""

    def put(self, use_case: str, text: str) -> str:
        """Keep words; return `WORDS` and SHA-256 (64 hex digits) over a new salt and the text in UTF-8."""

    def get(self, reference: str) -> Spoken | None: ...
    def all(self) -> Iterator[Spoken]: ...
    def erase(self, reference: str) -> bool:
        """Destroy words for good; return whether there were any."""
