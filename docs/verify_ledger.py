"""Checks an exported ledger without Pilotage: `python verify_ledger.py LEDGER.jsonl [CHECKPOINT KEY]`.

Standard library only, so that an auditor can read all of it. With a checkpoint that was kept elsewhere, and the key that
signed it, it also finds a cut tail and a ledger written anew; that part needs `cryptography`.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path


def chain(lines: list[str]) -> dict[int, str]:
    """Return {seq: digest}; raise ValueError where an entry was altered, removed, moved or cut."""
    digests, previous = {0: "0" * 64}, "0" * 64
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        told = entry.pop("digest")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if entry["seq"] != number:
            raise ValueError(f"line {number} is entry {entry['seq']}: one was removed or moved")
        if entry["previous"] != previous:
            raise ValueError(f"entry {number} does not follow entry {number - 1}")
        if hashlib.sha256(text.encode()).hexdigest() != told:
            raise ValueError(f"entry {number} was altered")
        digests[number] = previous = told
    return digests


def checkpoint(note: str, key: str) -> tuple[int, str]:
    """Return (entries, digest) of a checkpoint that `key` (NAME+KEYID+KEY) signed; raise ValueError otherwise."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    name, _, public = key.strip().split("+", 2)
    text, signatures = note.split("\n\n")
    public = base64.b64decode(public)
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    for line in signatures.splitlines():
        _, signer, encoded = line.split(" ")
        signature = base64.b64decode(encoded)
        if signer == name and signature[:4] == key_id:
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{text}\n".encode())
            _, entries, digest = text.split("\n")
            return int(entries), base64.b64decode(digest).hex()
    raise ValueError(f"no signature of {name} is on the checkpoint")


def main(ledger: str, *kept: str) -> None:
    digests = chain(Path(ledger).read_text("utf-8").split("\n")[:-1])
    if kept:
        entries, digest = checkpoint(Path(kept[0]).read_text("utf-8"), kept[1])
        if digests.get(entries) != digest:
            raise ValueError(f"entry {entries} is not the one that the checkpoint names, or it is gone")
    print(f"{len(digests) - 1} entries, unbroken")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ValueError as fault:
        sys.exit(f"the ledger does not verify: {fault}")
