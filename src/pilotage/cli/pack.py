"""The evidence pack: one archive with everything that an auditor asks for, each file by its digest."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

from pilotage.cli.ledger import as_lines
from pilotage.errors import Denied, NotFound, WrongCall
from pilotage.governance.ledger import canonical
from pilotage.report.page import card_page, card_text, page

if TYPE_CHECKING:
    from pathlib import Path

    from pilotage.app.client import Commander

SUMS = "SHA256SUMS"
LONGEST = 64 << 20
"""Bytes of a card that are read at most."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can tell: the same facts are the same bytes, whenever they are packed."""


def gather(run: Commander, name: str, variant: str) -> dict[str, bytes]:
    """Return the pack's files by name. Its card is put on record, so that the ledger in it tells of it."""
    asked = {"use_case": name, **({"variant": variant} if variant else {})}
    card = run.run("card_issue", asked)
    entry, report = card.pop("entry"), card["report"]
    files = {
        "card.html": card_page(card).encode(),
        "card.md": card_text(card).encode(),
        "card.json": canonical({name: value for name, value in card.items() if name not in ("digest", "words")}),
        "words.json": _json(card["words"]),
        "report.html": page({**report, "words": card["words"]}).encode(),
        "report.json": _json(report),
        "approvals.json": _json(report["approvals"]),
        "evidence.json": _json(run.run("evidence", {"use_case": name, "release": card["release"]})["evidence"]),
    }
    left_out = []
    try:
        signed = run.run("evidence_export", {"use_case": name, "release": card["release"]})
        files |= {"evidence.dsse.json": signed["bundle"].encode(), "evidence.key": f"{signed['key']}\n".encode()}
    except (Denied, NotFound) as fault:
        left_out.append(f"evidence.dsse.json, the signed evidence: {fault.message}")
    try:
        rules = run.run("policy_show", {})
        files["organisation.toml"] = base64.b64decode(rules["file"])
    except NotFound as fault:
        left_out.append(f"organisation.toml: {fault.message}")
    files |= _ledger(run, name, entry, left_out)
    files["README.txt"] = _readme(card, entry, files, left_out).encode()
    files[SUMS] = "".join(f"{hashlib.sha256(files[one]).hexdigest()}  {one}\n" for one in sorted(files)).encode()
    return files


def write_pack(writing: BinaryIO, files: dict[str, bytes]) -> None:
    """Write the archive; the same files give the same bytes."""
    with zipfile.ZipFile(writing, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)


def card_in(file: Path) -> str:
    """Return the digest of the card in a pack, or of a card.json out of one."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive, archive.open("card.json") as reading:
                data = reading.read(LONGEST + 1)
        else:
            with file.open("rb") as reading:
                data = reading.read(LONGEST + 1)
        known = len(data) <= LONGEST and "release" in json.loads(data)
    except OSError as fault:
        raise WrongCall(f"{file} cannot be read: {fault.strerror or fault}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RecursionError):
        known = False
    if not known:
        raise WrongCall(f"{file} is no card", hint="name a pack, or the card.json in one, as it was written")
    return hashlib.sha256(data).hexdigest()


def _ledger(run: Commander, name: str, last: int, left_out: list[str]) -> dict[str, bytes]:
    """Return the ledger up to the card's own entry, with its signed head.

    An extract of a chain proves nothing, so it is whole where it may be read.
    """
    mine = run.run("ledger", {"use_case": name})
    extract = {"ledger-of-this-use-case.jsonl": as_lines(_until(mine, last)).encode()}
    try:
        whole = as_lines(_until(run.run("ledger", {}), last)).encode()
        signed = run.run("ledger_checkpoint", {"entries": last})
    except Denied as fault:
        left_out.append(f"ledger.jsonl and its checkpoint, for they tell of other use cases too: {fault.message}")
        return extract
    return {
        **extract,
        "ledger.jsonl": whole,
        "checkpoint.txt": signed["checkpoint"].encode(),
        "checkpoint.key": f"{signed['key']}\n".encode(),
    }


def _until(found: dict[str, Any], last: int) -> dict[str, Any]:
    """Return the entries without those that came after the card's own: another pack of the same card is the same."""
    return {"entries": [entry for entry in found["entries"] if entry["seq"] <= last]}


def _json(facts: Any) -> bytes:
    return (json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


_WHAT = {
    "card.html": "the system card, to be read and printed",
    "card.md": "the same as Markdown",
    "card.json": "the same as data, with references in place of what people wrote",
    "words.json": "what people wrote, by these references; it may be erased, and card.json still holds",
    "report.html": "the report on the release: six questions and their answers",
    "report.json": "the same as data",
    "approvals.json": "who said yes to what, and to which evidence",
    "evidence.json": "every measured fact about the release, newest and older",
    "evidence.dsse.json": "what was measured here, as a signed in-toto statement (DSSE, Ed25519)",
    "evidence.key": "the key that signed it",
    "organisation.toml": "the organisation's rules in force",
    "ledger-of-this-use-case.jsonl": "the ledger's entries about this use case",
    "ledger.jsonl": "the whole ledger: each entry holds the digest of the one before",
    "checkpoint.txt": "the ledger's length and newest digest, signed (C2SP signed note)",
    "checkpoint.key": "the key that signed it",
}


def _readme(card: dict[str, Any], entry: int, files: dict[str, bytes], left_out: list[str]) -> str:
    lines = [
        f"Evidence pack of {card['use_case']}: release {card['release']}.",
        "",
        *(f"{name}: {_WHAT[name]}" for name in files),
        "",
        f"Check the files:   sha256sum -c {SUMS}",
    ]
    if "ledger.jsonl" in files:
        lines.append('Check the ledger:  python verify_ledger.py ledger.jsonl checkpoint.txt "$(cat checkpoint.key)"')
        lines.append("                   (verify_ledger.py stands in Pilotage's docs; it needs nothing of Pilotage)")
    lines.append(f"Check the card:    sha256sum card.json; the ledger's entry {entry} tells of it by this digest:")
    lines.append(f"                   {card['digest']}")
    lines.append(
        "Compare the keys with those that were kept when the workspace was set up: a pack cannot vouch for itself."
    )
    if left_out:
        lines += ["", "Left out:", *(f"- {one}" for one in left_out)]
    return "\n".join([*lines, ""])
