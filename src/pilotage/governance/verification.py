"""Verifying: the chain itself, then every row of the store against what the ledger's entries tell of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from pilotage.errors import NotFound, Tampered
from pilotage.governance import anchors, batches, serving_row
from pilotage.governance.alarms import vouched
from pilotage.governance.keys import shown
from pilotage.governance.ledger import chain_faults, fingerprint
from pilotage.governance.standing import spec_of
from pilotage.governance.told import Told
from pilotage.spec.route import Route
from pilotage.store.base.erasable import WORDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pilotage.governance.anchors import Anchor
    from pilotage.governance.told import Words
    from pilotage.records import Approval, Evidence
    from pilotage.store.base.transaction import Transaction

_SHOWN = 10
_ALL = (1 << 63) - 1


def verify(tx: Transaction, kept: Collection[Anchor] = ()) -> tuple[int, str]:
    """Return (entries, digest of the newest); raise Tampered that names every fault by its entry or its row.

    The chain vouches for the entries, and the entries for the rows: evidence, approvals, keys, releases, registered
    files and statuses. So an altered row is found, and so are entries cut off the end, for their rows are still there.
    Files are hashed again, and what the workers serve is compiled again from all of these. A decision's entry names the
    newest batch that it was made on, which vouches for all batches of its rollout before it. With anchors that were kept
    elsewhere, the ledger must go on from each of them as well.
    """
    told = Told({anchor.entries for anchor in kept})
    faults: list[str] = []
    try:
        faults += chain_faults(told.by(tx.ledger.read()))
        faults += _row_faults(tx, told)
    except msgspec.MsgspecError as fault:
        faults.append(f"a row after entry {told.last[0]} was altered: it cannot be read ({fault})")
    except Tampered as fault:
        faults.append(fault.message)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise Tampered(
            f"the ledger does not verify: {'; '.join(faults[:_SHOWN])}{more}",
            hint="compare with a backup or an exported copy; decisions after the first fault cannot be trusted",
        )
    anchors.check(kept, told.digests, told.last[0])
    return told.last


def _row_faults(tx: Transaction, told: Told) -> Iterator[str]:
    names = sorted({*tx.use_cases.names(), *told.statuses, *told.registered})
    evidence: list[Evidence] = []
    approvals: list[Approval] = []
    for name in names:
        # By release, as gates read them: a row that is listed under another release is not there for its gate.
        for reference in tx.releases.of(name):
            evidence += (row for row in tx.evidence.of(name, release=reference) if row.release == reference)
            approvals += (row for row in tx.approvals.of(name, release=reference) if row.release == reference)
        yield from _strangers("evidence", (fact.id for fact in tx.evidence.of(name)), told.evidence, name)
        yield from _strangers("approval", (given.id for given in tx.approvals.of(name)), told.approvals, name)
    yield from _compared("evidence", told.evidence, evidence)
    yield from _compared("approval", told.approvals, approvals)
    yield from _alarm_faults(tx, told.alarms)
    yield from _key_faults(tx, told.keys)
    yield from _words_faults(tx, told)
    yield from _policy_faults(tx, told.policy)
    yield from _release_faults(tx, told.releases, names)
    yield from _file_faults(tx, names, told.judged_by)
    yield from _batch_faults(tx, told.batches)
    standing = [*_registered_faults(tx, told.registered), *_status_faults(tx, told)]
    yield from standing
    if not standing:
        yield from _serving_faults(tx, names)


def _strangers(kind: str, ids: Iterable[str], told: Mapping[str, Words], name: str) -> Iterator[str]:
    for known in ids:
        if known not in told:
            yield f"no entry tells of {kind} {known} of {name}"


def _compared(kind: str, told: Mapping[str, Words], rows: Iterable[Evidence | Approval]) -> Iterator[str]:
    seen: set[str] = set()
    for row in rows:
        words = told.get(row.id)
        if words is None:
            continue
        if row.id in seen:
            yield f"{kind} {row.id} of {row.use_case} is there more than once"
        seen.add(row.id)
        if differing := _differing(words.fields, msgspec.json.decode(msgspec.json.encode(row))):
            yield f"{kind} {row.id} of {words.use_case} is not what entry {words.seq} recorded: {differing}"
    for known, words in told.items():
        if known not in seen:
            yield f"{kind} {known} of {words.use_case}, which entry {words.seq} tells of, is gone"


def _differing(told: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    return ", ".join(sorted(name for name in {*told, *row} if told.get(name) != row.get(name)))


def _alarm_faults(tx: Transaction, told: Mapping[str, Words]) -> Iterator[str]:
    for row in tx.alarms.of(newest=_ALL):
        words = told.get(row.id)
        if words is None:
            yield f"no entry tells of alarm {row.id}"
        elif words.fields.get("row") != vouched(row):
            yield f"alarm {row.id} is not as entry {words.seq} left it"
    for known, words in told.items():
        if tx.alarms.get(known) is None:
            yield f"alarm {known}, which entry {words.seq} tells of, is gone"


def _key_faults(tx: Transaction, told: Mapping[str, Words]) -> Iterator[str]:
    for row in tx.keys.all():
        words = told.get(row.id)
        if words is None:
            yield f"no entry tells of key {row.id}"
            continue
        fields = {
            name: value for name, value in words.fields.items() if name not in ("successor", "predecessor", "reason")
        }
        differing = _differing({**fields, "row": ""}, {**shown(row), "row": ""})
        if differing or words.fields.get("row") != fingerprint(row):
            yield f"key {row.id} is not as entry {words.seq} left it: {differing or 'its secret'}"
    for known, words in told.items():
        if tx.keys.get(known) is None:
            yield f"key {known}, which entry {words.seq} tells of, is gone"


def _words_faults(tx: Transaction, told: Told) -> Iterator[str]:
    kept: set[str] = set()
    for row in tx.words.all():
        kept.add(row.reference)
        if row.reference != WORDS + hashlib.sha256(row.salt + row.text.encode()).hexdigest():
            yield f"the words that entry {told.words.get(row.reference, 0)} refers to were altered"
        elif row.reference not in told.words:
            yield f"no entry tells of the words {row.reference[: len(WORDS) + 12]}"
    for reference, seq in told.words.items():
        if reference not in kept and reference not in told.erased:
            yield f"the words that entry {seq} refers to are gone, and no entry says that they were erased"
    for reference in kept & told.erased:
        yield f"the words that entry {told.words.get(reference, 0)} refers to were erased, and are there"


def _policy_faults(tx: Transaction, told: Words | None) -> Iterator[str]:
    row = tx.policies.get()
    if row is None:
        if told is not None:
            yield f"the organisation's rules, which entry {told.seq} set, are gone"
        return
    if told is None:
        yield "no entry tells of the organisation's rules"
    elif told.fields.get("policy") != fingerprint(row):
        yield f"the organisation's rules are not what entry {told.seq} set"
    data = tx.blobs.get(row.file)
    if data is None or hashlib.sha256(data).hexdigest() != row.file:
        yield f"the file of the organisation's rules ({row.file[:12]}) is gone or was altered"


def _release_faults(tx: Transaction, told: Mapping[str, Words], names: Iterable[str]) -> Iterator[str]:
    listed: set[str] = set()
    for name in names:
        for reference in tx.releases.of(name):
            listed.add(reference)
            release = tx.releases.get(reference)
            words = told.get(reference)
            if release is None or (release.reference, release.use_case) != (reference, name):
                yield f"release {reference} was altered: it is not what its digest says"
            if words is None:
                yield f"no entry tells of release {reference}"
            elif words.fields["author"] != (author := tx.releases.author(reference)):
                yield f"release {reference} is not what entry {words.seq} recorded: its author is now {author}"
    for reference, words in told.items():
        if reference not in listed:
            yield f"release {reference}, which entry {words.seq} tells of, is gone"


def _batch_faults(tx: Transaction, told: Mapping[str, Mapping[int, str]]) -> Iterator[str]:
    watches = tuple(f"watch-{name}-" for name in tx.use_cases.names())
    for rollout in sorted({*tx.batches.rollouts(), *told}):
        # A watch forgets its oldest batches; what an alarm was raised on stands in its entry.
        if rollout.startswith(watches):
            continue
        if rollout in told:
            yield from batches.chain_faults(tx, rollout, told[rollout])
        else:
            yield f"no entry tells of rollout {rollout}, of which there are batches"


def _file_faults(tx: Transaction, names: Iterable[str], judged_by: Mapping[str, int]) -> Iterator[str]:
    """Files are named by their content's SHA-256, in the registered file, in each release and in each decision."""
    digests = {digest: f"that entry {seq} was judged by" for digest, seq in judged_by.items()}
    for name in names:
        registered = tx.use_cases.get(name)
        digests |= {digest: path for path, digest in registered.files.items()} if registered else {}
        for release in filter(None, map(tx.releases.get, tx.releases.of(name))):
            digests |= {digest: path for path, digest in release.knowledge}
    for digest, path in digests.items():
        data = tx.blobs.get(digest)
        if data is None:
            yield f"the file {path} ({digest[:12]}) is gone"
        elif hashlib.sha256(data).hexdigest() != digest:
            yield f"the file {path} ({digest[:12]}) was altered: it is not what its digest says"


def _registered_faults(tx: Transaction, told: Mapping[str, Words]) -> Iterator[str]:
    for name in tx.use_cases.names():
        if name not in told:
            yield f"no entry tells of the file of {name}"
    for name, words in told.items():
        row = tx.use_cases.get(name)
        if row is None:
            yield f"the file of {name}, which entry {words.seq} registered, is gone"
        elif words.fields.get("registered") != fingerprint(row):
            yield f"the file of {name} is not what entry {words.seq} registered"


def _status_faults(tx: Transaction, told: Told) -> Iterator[str]:
    for row in tx.statuses.all():
        name, words = row.use_case, told.statuses.get(row.use_case)
        if row.entry > told.last[0]:
            yield f"entry {row.entry} is missing: the status of {name} stands on it"
        elif words is None:
            yield f"no entry tells of the status of {name}"
        elif words.fields["status"] != fingerprint(row):
            yield f"the status of {name} is not what entry {words.seq} wrote"
    for name, words in told.statuses.items():
        if tx.statuses.get(name) is None:
            yield f"the status of {name}, which entry {words.seq} wrote, is gone"


def _serving_faults(tx: Transaction, names: Iterable[str]) -> Iterator[str]:
    """Compare as routes, not as bytes: an older version may have written fewer fields, which read as their defaults."""
    rows = {row.use_case: row.body for row in tx.serving.changed(-1)}
    for name in names:
        registered, status, body = tx.use_cases.get(name), tx.statuses.get(name), rows.pop(name, None)
        if registered is None or status is None:
            continue
        try:
            wanted = serving_row.compile_route(tx, status, registered, spec_of(registered))
        except (NotFound, ValidationError) as fault:
            yield f"what the workers serve of {name} cannot be compiled again: {fault}"
            continue
        if body is None or _route(body) != _route(wanted):
            yield f"what the workers serve of {name} is not what its file and its status say"
    for name in rows:
        yield f"the workers serve {name}, which no entry tells of"


def _route(body: bytes) -> Route | None:
    try:
        return msgspec.json.decode(body, type=Route)
    except msgspec.MsgspecError:
        return None
