"""What open units are found by: their own digest, their requests, business keys. All of these are kept as 64-bit hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest as hashed

from pilotage.counting.closed import Past

if TYPE_CHECKING:
    from pilotage.counting.unit import Outcome, Unit


class Register:
    """`past` holds the requests and keys that were known once, or never counted; `feedback` the outcomes by their id."""

    def __init__(self) -> None:
        self.units: dict[int, Unit] = {}
        self.requests: dict[int, Unit] = {}
        self.feedback: dict[int, Outcome] = {}
        self.past = Past()
        self._keys: dict[int, Unit] = {}

    def name(self, unit: Unit, key: str) -> None:
        """Let a business key stand for a unit; of two units with the same one, for the one that was there first."""
        number = hashed(key.encode())
        other = self._keys.get(number)
        if other is unit:
            return
        if other is None or (unit.at, unit.hash) < (other.at, other.hash):
            self._keys[number] = unit
            if unit.keys is None:
                unit.keys = []
            unit.keys.append(number)

    def pass_by(self, request: int, key: str) -> None:
        """Note a request that counts for nothing."""
        self.past.add(request)
        if key:
            self.past.add(hashed(key.encode()))

    def of_request(self, inference: str) -> Unit | bool:
        """Return the open unit of a request, else whether it was known."""
        number = hashed(inference.encode())
        unit = self.requests.get(number)
        return number in self.past if unit is None else unit

    def of_key(self, key: str) -> Unit | bool:
        """Return the open unit of a business key, else whether it was known."""
        number = hashed(key.encode())
        unit = self._keys.get(number)
        return number in self.past if unit is None else unit

    def forget(self, unit: Unit) -> None:
        """Drop an open unit and everything that leads to it."""
        del self.units[unit.hash]
        for request in unit.ids():
            self.requests.pop(request, None)
            self.past.add(request)
        for key in unit.keys or ():
            if self._keys.get(key) is unit:
                del self._keys[key]
                self.past.add(key)
        for outcome in unit.outcomes or ():
            if self.feedback.get(outcome.id) is outcome:
                del self.feedback[outcome.id]
