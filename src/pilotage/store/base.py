"""What the program asks of its stores, a Protocol a noun. Adapters are chosen in `app` alone.

A `Store` hands out transactions; inside one, every noun is read and written together, so a ledger entry and the state
it records are both there or neither is. Reads outside a write transaction see one consistent snapshot.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pilotage.access import Key
    from pilotage.records import Alarm, Approval, Evidence, LedgerEntry, Notice, Proposal, SpoolEvent, Text
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


class Ledger(Protocol):
    def head(self) -> tuple[int, str]:
        """Return (last seq, its digest), or (0, 64 zeros) when empty."""

    def append(self, entry: LedgerEntry) -> None: ...
    def read(self, *, after: int = 0, before: int = 0, use_case: str = "", newest: int = 0) -> Iterator[LedgerEntry]:
        """Yield entries with seq > after, and < before where that is given, in order, of one use case if named; the newest N
        of them only if N is given.
        """


class EvidenceStore(Protocol):
    def put(self, evidence: Evidence) -> None: ...
    def of(self, use_case: str, *, release: str = "") -> list[Evidence]:
        """Return evidence, oldest first; of one release if named."""


class Approvals(Protocol):
    def put(self, approval: Approval) -> None: ...
    def of(self, use_case: str, *, release: str = "") -> list[Approval]: ...


class Keys(Protocol):
    def put(self, key: Key) -> None: ...
    def get(self, key_id: str) -> Key | None: ...
    def all(self) -> list[Key]: ...


class ServingRows(Protocol):
    """The compiled snapshot that the workers read: one row a use case, one counter over all of them."""

    def put(self, use_case: str, body: bytes) -> None: ...
    def changed(self, after: int) -> list[Serving]: ...


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


class Results(Protocol):
    """Finished evaluation answers, so that nothing is paid for twice."""

    def get(self, run: str) -> dict[str, dict[str, Any]]:
        """Return {case id: result} of one run (a digest of release and cases)."""

    def put(self, run: str, case: str, result: dict[str, Any]) -> None:
        """Store it unless that case is there already."""


class Batches(Protocol):
    """What matured in each rollout, a row a tick, in a chain: `digest` is SHA-256 over the one before and the body.

    So a ledger entry that names the newest (seq, digest) vouches for every batch before it. Those of rollouts are kept for good.
    """

    def append(self, rollout: str, seq: int, at: int, body: bytes, digest: str) -> None:
        """Store one batch; raise Conflict where it is not the one that follows the last."""

    def last(self, rollout: str) -> tuple[int, str]:
        """Return (seq, digest) of the newest, or (0, "") where there is none."""

    def read(self, rollout: str, *, after: int = 0, until: int | None = None) -> Iterator[tuple[int, int, bytes, str]]:
        """Yield (seq, at, body, digest) in order, for after < seq <= until."""

    def forget(self, rollout: str, before: int) -> None:
        """Drop the batches that were made before a time: of a watch, which goes on for good."""

    def rollouts(self) -> list[str]:
        """Return the rollouts of which there is any batch, or anything kept."""

    def keep(self, rollout: str, seq: int, state: bytes, standing: bytes) -> None:
        """Keep what was computed from the batches up to `seq`, and JSON for people; in place of what was kept before."""

    def kept(self, rollout: str) -> tuple[int, bytes, bytes] | None: ...


class Alarms(Protocol):
    def put(self, alarm: Alarm) -> None:
        """Store it, in place of the one with its id."""

    def get(self, alarm: str) -> Alarm | None: ...
    def of(self, use_case: str = "", *, open_only: bool = False, newest: int = 1_000) -> list[Alarm]:
        """Return alarms, oldest first; of all use cases unless one is named."""


class Notices(Protocol):
    """What is to be told to whom: nothing is lost by a receiver that is down."""

    def put(self, notice: Notice) -> None:
        """Store it, in place of the one with its id."""

    def get(self, notice: str) -> Notice | None: ...
    def due(self, now: int, *, most: int) -> list[Notice]:
        """Return those that wait to be sent and are due, the longest due first."""

    def of(self, use_case: str = "", *, state: str = "", newest: int = 1_000) -> list[Notice]: ...


class Proposals(Protocol):
    """Cases made of what was asked in production, until they are taken into the team's folder."""

    def add(self, proposal: Proposal) -> None:
        """Store it; raise Conflict where the use case has one with this id."""

    def of(self, use_case: str) -> list[Proposal]:
        """Return them, oldest first."""

    def use_cases(self) -> list[str]:
        """Return the use cases that have any."""

    def remove(self, use_case: str, ids: Sequence[str]) -> list[str]:
        """Destroy these for good; return those that were there."""

    def forget(self, use_case: str, unit: str) -> int:
        """Destroy those of a unit for good; return how many."""

    def expire(self, use_case: str, before: int) -> int:
        """Destroy those that were made before a time; return how many."""


class Lease(msgspec.Struct, frozen=True):
    """Who may do what only one may do at a time, and until when. Each new holder has a higher `fence`."""

    fence: int
    holder: str
    until: int


class Leases(Protocol):
    """One holder a name. A lease that ran out may be taken; a write that checks its fence is safe all the same."""

    def take(self, name: str, holder: str, now: int, until: int) -> int | None:
        """Take a lease, or renew one's own, and return its fence; None where another one has it still."""

    def check(self, name: str, fence: int) -> None:
        """Raise Conflict where the lease has gone to somebody else since it had this fence."""

    def release(self, name: str, fence: int) -> None:
        """Let the next who asks have it at once, if the lease still has this fence."""

    def held(self, name: str) -> Lease | None: ...


class Handed(msgspec.Struct, frozen=True):
    """What a worker was given of an account, and how much of it all workers together have in this period."""

    given: int
    taken: int


class Share(msgspec.Struct, frozen=True):
    """What one worker has of an account in one period, and how much of it it has spent as far as it has said."""

    account: str
    period: str
    holder: str
    taken: int
    spent: int


class Allowances(Protocol):
    """Caps that many workers share: each spends only out of what it took, so all of them together never pass the cap.

    A holder is one process for as long as it lives. What one that died had taken stays taken until it is settled, or the
    period ends.
    """

    def take(self, account: str, period: str, holder: str, *, cap: int, wanted: int, least: int) -> Handed:
        """Hand out what is wanted, but no more than a quarter of what is left under the cap, or `least` where that is more.

        Where not even `least` is left, what is left is not kept from those who need less.
        """

    def give_back(self, account: str, period: str, holder: str, amount: int) -> None:
        """Take back what its holder will not spend."""

    def spent(self, account: str, period: str, holder: str, amount: int) -> None:
        """Note how much of its share a holder has spent so far."""

    def settle(self, account: str, period: str, holder: str, spent: int) -> None:
        """Free what a holder that is gone had taken beyond what it spent."""

    def shares(self) -> list[Share]:
        """Return what each holder has, in every period; not of those that are settled."""

    def total(self, account: str, period: str) -> tuple[int, int]:
        """Return what was handed out of an account, and how much of it is spent."""

    def tell(self, account: str, period: str, part: int) -> bool:
        """Remember that so much of a cap (percent) was told of; return False where that, or more, had been before."""


class Transaction(Protocol):
    """Everything the store holds, as of one moment."""

    @property
    def use_cases(self) -> UseCases: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def releases(self) -> Releases: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def statuses(self) -> Statuses: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def evidence(self) -> EvidenceStore: ...
    @property
    def approvals(self) -> Approvals: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def serving(self) -> ServingRows: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def unit_keys(self) -> UnitKeys: ...
    @property
    def erasures(self) -> Erasures: ...
    @property
    def words(self) -> Words: ...
    @property
    def results(self) -> Results: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def alarms(self) -> Alarms: ...
    @property
    def notices(self) -> Notices: ...
    @property
    def proposals(self) -> Proposals: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def allowances(self) -> Allowances: ...


class Store(Protocol):
    """State that outlives processes. Safe to use from several threads and processes."""

    def read(self) -> AbstractContextManager[Transaction]:
        """One consistent snapshot; writing in it is an error."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Take the write lock; commit on leaving, roll back on an exception. Durable when it returns."""

    def secret(self, name: str) -> bytes:
        """Return the workspace's 32-byte secret of this name (`mac`, `unit`), made on first use."""

    def change(self) -> int:
        """Return a counter that grows whenever serving rows or keys change: one cheap read for pollers."""

    def close(self) -> None: ...


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


class TextWriter(Protocol):
    """Encrypted texts of one process, by use case and day."""

    def write(self, texts: Sequence[PlainText]) -> list[SpoolEvent]:
        """Encrypt and append; return the `Text` events that say where each lies. Blocks: call in a thread.

        What could not be written (a full disk, no store) is counted in `lost` and has no event.
        """

    @property
    def lost(self) -> int: ...
    def close(self) -> None: ...


class PlainText(msgspec.Struct, frozen=True, kw_only=True):
    """A text on its way to being encrypted; it never goes into a log or a record."""

    inference: str
    use_case: str
    unit: str
    at: int
    request: str
    reply: str


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


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which inferences are looked for: all that is given must hold. Ranges are (least, most), None for no end.

    `outcome` is `answered`, `error`, `fallback`, `cancelled` or `unfinished`; `hit` a filter's name, or `*` for any; `metric` one
    of which something was said, with a `value` in this range. `duration` is in microseconds, `cost` in millionths, `since` and
    `until` are times, 0 for no end. `texts`: such as have a text.
    """

    release: str = ""
    arm: str = ""
    source: str = ""
    unit: str = ""
    outcome: str = ""
    error: str = ""
    hit: str = ""
    metric: str = ""
    value: tuple[float | None, float | None] = (None, None)
    duration: tuple[int | None, int | None] = (None, None)
    cost: tuple[int | None, int | None] = (None, None)
    since: int = 0
    until: int = 0
    texts: bool = False


class Found(NamedTuple):
    """Ids of inferences, newest first. `older` is where to go on (empty: there are no more), `looked` about how many were looked at.

    `cut`: so many were looked at that the search ended there, and there may be more.
    """

    ids: list[str]
    older: str
    looked: int
    cut: bool


class Holdings(Protocol):
    """What is held outside the store: events, which name units by digests, and texts under units' keys."""

    def find(self, use_case: str, unit: str) -> dict[str, int]:
        """Return how much there is, by kind."""

    def export(self, use_case: str, unit: str) -> dict[str, list[dict[str, Any]]]:
        """Return all of it, by kind; what is retained of texts in the clear."""

    def texts(self, use_case: str, inferences: Sequence[str]) -> list[dict[str, Any]]:
        """Return the texts of these inferences in the clear, or why there is none."""

    def failures(self, use_case: str, *, low: Sequence[str], high: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return the newest inferences of which somebody told 0 of a metric in `low`, or above 0 of one in `high`: one row each."""

    def search(self, use_case: str, wanted: Wanted, *, before: str = "", most: int = 50) -> Found:
        """Find the newest inferences that are as wanted, of those with an id below `before`."""

    def inferences(self, use_case: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return these inferences, newest first: columns of `started`; `finished` with those of the other and its hits, or None;
        `feedback`, what joined it, and by what; `text`, whether one is kept.
        """

    def spent(self, since: int, until: int) -> dict[str, int]:
        """Return what each use case cost from `since` until before `until`, in millionths of its currency."""

    def erase(self, erasure: Erasure) -> dict[str, int]:
        """Put the pseudonym in the unit's place in what is sealed; return how many rows that was, by kind."""
