"""Finds personal data in text by its form, and checks what can be checked: cards, IBANs, what states number people by.

Names and postal addresses have no form of their own and are not found. A set of patterns decides in one pass whether
there is anything to look at; where each thing begins and ends, and whether its check digits are right, is asked only
then. What may still become a match is held, so that the same is found however the text comes in pieces.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import re2

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.identifiers import FORMS, KINDS, OPEN, Form
from pilotage.guardrails.look import Find, Late, Sight, Timer, settled

if TYPE_CHECKING:
    from pilotage.guardrails.phone import Phones

_OFFLINE_SECONDS = 5.0
WITHHELD = "[withheld: it could not be searched for personal data in time]"
_WORD = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_GROUP = re.compile(r"[0-9A-Za-z]+")
_TRIES = 6
_NEAR = 40
_MORE = re.compile(rb"\.?\d")
_NUMBER_SIGNS = b"0123456789 ./()+-"
_PLAIN = bytes(sign for sign in range(128) if sign not in b"0123456789@:-")
"""Of these signs alone nothing consists that is looked for, but for a token that begins with this."""
_TOKEN = b"eyJ"
_WORD_MOST = 64
_LONG = re2.compile(rb"[\d ./()+-]{256}")
"""Of such a run each piece is looked at for itself, wherever the text is cut: nothing need be held for longer."""


class Hit(msgspec.Struct, frozen=True):
    """How many of one kind were found."""

    kind: str
    count: int


class PersonalData:
    """`kinds` are those that are looked for; with `phones`, numbers are checked by the plan of their country."""

    folds = True

    def __init__(self, kinds: tuple[str, ...] = KINDS, phones: Phones | None = None) -> None:
        self.kinds = tuple(kind for kind in KINDS if kind in kinds)
        self._phones = phones
        self._forms = [form for form in FORMS if form.kind in kinds]
        self._patterns = [re2.compile(form.pattern.encode()) for form in self._forms]
        self._gate = re2.Set.SearchSet()
        for form in self._forms:
            self._gate.Add(form.gate.encode())
        self._gate.Compile()
        parts = [OPEN[kind] for kind in self.kinds if kind in OPEN]
        self._open = re2.compile(rf"(?:{'|'.join(parts)})\z".encode()) if parts else None

    def nothing(self, data: bytes) -> bool:
        """Return whether a whole folded text certainly holds nothing of these kinds."""
        return _plain(data) or not self._gate.Match(data)

    def words(self, data: bytes, since: int) -> int:
        """Return up to where a text that goes on is but words, and will be: up to its last; -1 where it must be looked at."""
        if not _plain(data):
            return -1
        # Only its last word may become something, with blanks and the like behind it.
        end = len(data.rstrip(_NUMBER_SIGNS))
        at = max(since, data.rfind(b" ", since, end) + 1)
        return at if len(data) - at <= _WORD_MOST else -1

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        data = sight.data
        hits = self._gate.Match(data)
        sight.timer.check()
        finds: list[Find] = []
        candidates: list[tuple[int, int]] = []
        if not hits and sight.last:
            return [], len(data)
        ends = [long.end() for long in _LONG.finditer(data, sight.since)] if len(data) > 256 else []
        if hits:
            left = bytearray(data)
            for index in sorted(hits):
                start = sight.since
                for end in (*ends, len(data)):
                    finds += self._search(index, sight, left, (start, end), candidates)
                    start = end
        settled_at = len(data)
        if not sight.last:
            settled_at = settled(self._held(data, ends[-1] if ends else sight.since), candidates)
            finds = [find for find in finds if find.end <= settled_at]
        finds.sort()
        return finds, settled_at

    def _held(self, data: bytes, since: int) -> int:
        """Return from where on what stands at the end may still become something."""
        at = since + len(data[since:].rstrip(_NUMBER_SIGNS))
        if self._open is not None:
            # It is as long as a match at most, but for keys, and these are searched in all.
            found = self._open.search(data, since)
            if found is not None:
                at = min(at, found.start())
        return at

    def _search(
        self, index: int, sight: Sight, left: bytearray, piece: tuple[int, int], candidates: list[tuple[int, int]]
    ) -> list[Find]:
        """Return the finds of one form in a piece of what is left, and strike them out there.

        Whatever has the form is added to the candidates. What stands beside a find is judged as it came.
        """
        form, pattern = self._forms[index], self._patterns[index]
        data = bytes(left)
        finds = []
        start, end = piece
        misses = within = 0
        while (match := pattern.search(data, start, end)) is not None:
            sight.timer.check()
            candidate = match.span()
            candidates.append(candidate)
            span, start = self._part(form, sight.data, candidate, end)
            misses = 0 if span or candidate[0] >= within else misses + 1
            within = candidate[1]
            if span is not None:
                finds.append(Find(*span, form.kind))
                left[span[0] : span[1]] = bytes(span[1] - span[0])
            elif misses >= _TRIES:
                # Endless single digits are tables, not numbers of people: what begins within such a piece is let be.
                start = within
        return finds

    def _part(
        self, form: Form, data: bytes, candidate: tuple[int, int], most: int
    ) -> tuple[tuple[int, int] | None, int]:
        """Return what is meant within a match, if anything, and where the search goes on.

        A pattern may have taken a neighbour in: the month after a card's number, a word after an IBAN. What is meant
        begins with the first group, and is the longest that passes its check; else it may begin with the next group.
        """
        start, end = candidate
        text = data[start:end].decode("ascii")
        ends = [group.end() for group in _GROUP.finditer(text)] if form.parts else []
        if not ends:
            ends = [len(text)]
        if not (start and (data[start - 1] in _WORD or chr(data[start - 1]) in form.before)):
            before = data[max(0, start - _NEAR) : start].decode("ascii").lower()
            for part in reversed(ends):
                if part < form.least:
                    break
                after = start + part
                if form.closed and _goes_on(form, data, after, most):
                    continue
                if self._right(form, text[:part], before):
                    return (start, after), after
        return None, start + (ends[0] if len(ends) > 1 else len(text))

    def _right(self, form: Form, text: str, before: str) -> bool:
        if form.check is not None and not form.check(text, before):
            return False
        # Plans are full of numbers that dates, sums and orders have too: what is in one must look like a phone's as well.
        return form.kind != "phone" or self._phones is None or self._phones.right(text)


def _plain(data: bytes) -> bool:
    """Return whether these are but words: most pieces of a stream are."""
    return not data.translate(None, _PLAIN) and _TOKEN not in data


def _goes_on(form: Form, data: bytes, after: int, most: int) -> bool:
    """Return whether what follows says that this is only the beginning of something else."""
    if form.kind == "ip" and _MORE.match(data, after, most):
        return True
    # An extension may follow a phone's number.
    return after < most and data[after] in _WORD and not (form.kind == "phone" and data[after] in b"xX")


_ALL = PersonalData()


def redact(text: str) -> tuple[str, tuple[Hit, ...]]:
    """Return the text with each find replaced by its kind, such as `[email]`, and how many of each were found.

    A text made to take long is withheld whole.
    """
    folded = Folded(text)
    sight = Sight(folded.text, folded.data, 0, last=True, timer=Timer(_OFFLINE_SECONDS))
    try:
        finds, _ = _ALL.look(sight)
    except Late:
        return WITHHELD, (Hit("late", 1),)
    if not finds:
        return text, ()
    pieces: list[str] = []
    at = 0
    for find in finds:
        start, end = folded.stood(find.start, find.end)
        pieces += (text[at:start], f"[{find.kind}]")
        at = end
    pieces.append(text[at:])
    counts = Counter(find.kind for find in finds)
    return "".join(pieces), tuple(Hit(kind, counts[kind]) for kind in KINDS if kind in counts)
