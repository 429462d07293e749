"""What is registered, and where it stands: use cases, their releases and files, what serves, the rules, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from pilotage.access import Key
    from pilotage.spec.release import Release
    from pilotage.status import UseCaseStatus


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A use case as registered: `spec` is the validated file as plain JSON data, `releases` variant -> reference.

    `files` maps every file that the spec names (prompts, cases, knowledge, and `usecase.toml`) to its blob's digest.
    """

    name: str
    spec: dict[str, Any]
    charter: str
    releases: dict[str, str]
    files: dict[str, str]
    author: str
    at: int


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What the workers serve of one use case: JSON of `spec.route.Route`, with the change counter that wrote it."""

    use_case: str
    change: int
    body: bytes


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The organisation's rules in force: `spec` is the validated file as plain JSON data, `file` its blob's digest."""

    spec: dict[str, Any]
    file: str
    author: str
    at: int


class Policies(Protocol):
    """One row: the rules that are in force."""

    def put(self, policy: Policy) -> None: ...
    def get(self) -> Policy | None: ...


class UseCases(Protocol):
    def put(self, registered: Registered) -> None: ...
    def get(self, name: str) -> Registered | None: ...
    def names(self) -> list[str]: ...


class Releases(Protocol):
    def put(self, release: Release, *, author: str, at: int) -> None:
        """Store it under its reference; storing the same content again changes nothing, not even its author."""

    def get(self, reference: str) -> Release | None: ...
    def author(self, reference: str) -> str: ...
    def of(self, use_case: str) -> list[str]: ...


class Blobs(Protocol):
    def put(self, data: bytes) -> str:
        """Store bytes under their SHA-256 and return it (64 hex digits)."""

    def get(self, digest: str) -> bytes | None: ...


class Statuses(Protocol):
    def get(self, use_case: str) -> UseCaseStatus | None: ...
    def put(self, status: UseCaseStatus) -> None:
        """Write it if the stored version is `status.version - 1` (0 when there is none); raise Conflict otherwise."""

    def all(self) -> list[UseCaseStatus]: ...


class ServingRows(Protocol):
    """The compiled snapshot that the workers read: one row a use case, one counter over all of them."""

    def put(self, use_case: str, body: bytes) -> None: ...
    def changed(self, after: int) -> list[Serving]: ...


class Keys(Protocol):
    def put(self, key: Key) -> None: ...
    def get(self, key_id: str) -> Key | None: ...
    def all(self) -> list[Key]: ...
