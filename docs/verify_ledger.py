"""Checks an exported ledger without Pilotage: `python verify_ledger.py LEDGER.jsonl [ANCHORS [KEY]]`.

Standard library only. With anchors that were kept elsewhere (lines of JSON, or one checkpoint and its key) it also finds a
cut tail and a ledger written anew; that part needs `cryptography`.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path


def chain(lines: list[str]) -> dict[int, str]:
    digests, previous = {0: "0" * 64}, "0" * 64
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        told = entry.pop("digest")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if entry["seq"] != number or entry["previous"] != previous:
            raise ValueError(f"line {number} does not follow the one before: one was removed, replaced or moved")
        if hashlib.sha256(text.encode()).hexdigest() != told:
            raise ValueError(f"entry {number} was altered")
        digests[number] = previous = told
    return digests


def checkpoint(note: str, key: str) -> tuple[int, str]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    name, _, public = key.strip().split("+", 2)
    text, signatures = note.split("\n\n")
    for _, signer, encoded in (line.split(" ") for line in signatures.splitlines()):
        verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(public)[1:])
        try:
            verifier.verify(base64.b64decode(encoded)[4:], f"{text}\n".encode())
        except InvalidSignature:
            continue
        if signer == name:
            return int(text.split("\n")[1]), base64.b64decode(text.split("\n")[2]).hex()
    raise ValueError(f"no signature of {name} holds on the checkpoint")


def main(ledger: str, kept: str = "", key: str = "") -> None:
    digests = chain(Path(ledger).read_text("utf-8").split("\n")[:-1])
    text = Path(kept).read_text("utf-8") if kept else ""
    anchors = list(map(json.loads, text.splitlines())) if not text or text[0] == "{" else [{"checkpoint": text}]
    for anchor in anchors:
        key = key or anchor["key"]  # One key signs all: the one that is given, or the first anchor's.
        entries, digest = checkpoint(anchor["checkpoint"], key)
        if digests.get(entries) != digest:
            raise ValueError(f"entry {entries} is not the one that was anchored, or it is gone")
    print(f"{len(digests) - 1} entries, unbroken; {len(anchors)} anchors hold")


try:
    main(*sys.argv[1:])
except (ValueError, KeyError) as fault:
    sys.exit(f"the ledger does not verify: {fault}")
