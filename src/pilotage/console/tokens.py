"""Tokens of the identity provider at the control API: its keys, fetched when they are needed and kept for a while."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from pilotage.governance.organisation import organisation_of
from pilotage.governance.sign_in import Refusal, actor_of, claims_of

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.spec.trust import SignIn

KEPT_SECONDS = 600.0
AGAIN_SECONDS = 10.0
"""An unknown key may be new: the set is fetched again, but not more often than this."""
FETCH_SECONDS = 5.0
LARGEST = 1 << 20

log = logging.getLogger(__name__)


class Tokens:
    """Checks tokens by the rules that are in force at that moment. It may block: call it in a thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._address, self._keys, self._at = "", dict[str, Any](), float("-inf")

    def actor(self, token: str) -> Actor | None:
        """Return whom a token stands for, or None where it is not good; raise Denied where it has no role here."""
        with self._context.store.read() as tx:
            organisation = organisation_of(tx)
        rules = organisation.sign_in if organisation is not None else None
        if organisation is None or rules is None:
            return None
        try:
            return actor_of(self.claims(token, rules), organisation, rules)
        except Refusal as refusal:
            log.info("a token was refused: %s", refusal)
            return None

    def claims(self, token: str, rules: SignIn) -> dict[str, Any]:
        """Return what a token says that is good by these rules; raise Refusal otherwise."""
        now = int(time.time())
        try:
            return claims_of(token, rules, self._set(rules.jwks, KEPT_SECONDS), now)
        except Refusal:
            return claims_of(token, rules, self._set(rules.jwks, AGAIN_SECONDS), now)

    def _set(self, address: str, kept: float) -> dict[str, Any]:
        """Return the provider's keys, at most `kept` seconds old where it can be asked; raise Refusal where it never could."""
        with self._lock:
            if address == self._address and time.monotonic() - self._at < kept:
                return self._keys
            try:
                with urllib.request.urlopen(address, timeout=FETCH_SECONDS) as answer:  # noqa: S310 (checked in the file)
                    found = json.loads(answer.read(LARGEST))
            except (OSError, ValueError) as fault:
                log.warning("the identity provider's keys could not be had: %s", type(fault).__name__)
                if address != self._address:
                    raise Refusal("the provider's keys could not be had") from None
                self._at = time.monotonic()
                return self._keys
            self._address, self._at = address, time.monotonic()
            self._keys = found if isinstance(found, dict) else {}
            return self._keys
