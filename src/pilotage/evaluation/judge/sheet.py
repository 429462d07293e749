"""A table of replies for people to label: a random part of the cases, the same one every time, longer where more is asked for."""

from __future__ import annotations

import csv
import hashlib
import io
from typing import TYPE_CHECKING

from pilotage.evaluation.judge.verdict import digest_of
from pilotage.spec.label import PREFERS, RIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.judge.measure import People, Row

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def sheet(rows: Sequence[Row], known: People, most: int, *, pairs: bool) -> str:
    """Return CSV with replies of both sides to at most `most` cases, less those that are labelled already.

    The cases are drawn by the digest of their id, which knows nothing of replies or verdicts. Neither the side that a reply
    is from nor what the judge says stands there.
    """
    drawn = sorted(rows, key=lambda row: hashlib.sha256(f"label\0{row.case.id}".encode()).digest())[:most]
    written = io.StringIO()
    table = csv.writer(written)
    if pairs:
        table.writerow((*PREFERS, "who", "question", "first reply", "second reply"))
        for row in drawn:
            if row.reply is None or row.before is None or known.preference(row) is not None:
                continue
            one, two = sorted((row.reply, row.before), key=digest_of)
            texts = map(_plain, (row.case.text, one, two))
            table.writerow((row.case.id, digest_of(one), digest_of(two), "", "", *texts))
        return written.getvalue()
    table.writerow((*RIGHT, "who", "question", "text of the reply"))
    for row in drawn:
        for reply in sorted({one for one in (row.reply, row.before) if one is not None}, key=digest_of):
            if known.of(row.case.id, reply) is None:
                table.writerow((row.case.id, digest_of(reply), "", "", _plain(row.case.text), _plain(reply)))
    return written.getvalue()


def _plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text
