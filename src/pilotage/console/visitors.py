"""Who asks: a key, the workspace's own token, or somebody who signed in with one of them."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

from pilotage import access
from pilotage.clock import HOUR, SystemClock
from pilotage.console.provider import Provider
from pilotage.console.tokens import Tokens
from pilotage.errors import Denied
from pilotage.governance.sign_in import Refusal, looks_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pilotage.access import Actor, Key
    from pilotage.governance.commands import Context


class TooMany(Exception):
    """Too many bad keys; `seconds` says how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"wait {seconds} s")
        self.seconds = seconds


SESSION_HOURS = 12
_LOCAL = "local"
_SIGNED = "oidc-"
_REAL = SystemClock()
"""Sessions last in real time: a time-lapse would end them within seconds."""


class Visitors:
    """Knows actors by what they present. Sessions are signed, hold no secret, and end with the key they came from."""

    def __init__(self, context: Context, local: Actor, token: str, link: str = "") -> None:
        """`token` makes its bearer the local actor; `link` does so once."""
        self._context, self._local, self._token, self._link = context, local, token, link
        self._secret = context.store.secret("session")
        # Browsers send cookies to every port of a host: servers of two workspaces must not take each other's for their own.
        self.cookie = f"pilotage-{access.keyed(self._secret, 'cookie')[:12]}"
        self._tokens, self._failures = Tokens(context), access.Failures()
        self.provider = Provider(context, self._tokens)
        self._ended: dict[str, int] = {}
        """Sessions that were signed out of, by their signature, with the time they would have ended anyway."""

    def by_secret(self, secret: str, address: str) -> Actor | None:
        """Return the actor of a key or of the workspace's token, or None where it is not good (any more).

        Raise TooMany where too many bad ones came from this address lately: then none is looked at but the workspace's own.
        """
        return self._tried(secret, address, self._of_key)

    def bearer(self, secret: str, address: str) -> Actor | None:
        """Do as `by_secret` does, and take the identity provider's tokens too. It may block: call it in a thread."""
        return self._tried(secret, address, self._tokens.actor if looks_signed(secret) else self._of_key)

    def _tried(self, secret: str, address: str, actor_of: Callable[[str], Actor | None]) -> Actor | None:
        if hmac.compare_digest(secret.encode(), self._token.encode()):
            return self._local
        if wait := self._failures.wait(address):
            raise TooMany(wait)
        found = actor_of(secret)
        if found is None:
            self._failures.failed(address)
        return found

    def by_session(self, value: str) -> Actor | None:
        subject, _, rest = value.partition(".")
        until, _, mac = rest.partition(".")
        # The signature first: what follows it is then only ever what was signed here.
        if not hmac.compare_digest(mac.encode(), self._mac(subject, until).encode()):
            return None
        if int(until) <= _REAL.now() or mac in self._ended:
            return None
        if subject == _LOCAL:
            return self._local
        if subject.startswith(_SIGNED):
            return self._of_provider(subject.removeprefix(_SIGNED))
        key = self._key(subject)
        return access.actor_of(key) if key else None

    def session(self, actor: Actor) -> str:
        """Return the cookie's value for an actor that one of the other methods returned."""
        return self._session(_LOCAL if actor == self._local else actor.id.removeprefix("key:"))

    def session_of(self, claims: Mapping[str, Any]) -> str:
        """Return the cookie's value for somebody whom the identity provider vouches for; roles are made of it at each look."""
        return self._session(_SIGNED + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode())

    def _of_key(self, secret: str) -> Actor | None:
        key = self._key(access.key_id_of(secret))
        return access.actor_of(key) if key and access.matches(key, secret) else None

    def _of_provider(self, claims: str) -> Actor | None:
        try:
            return self.provider.actor(json.loads(base64.urlsafe_b64decode(claims)))
        except (Refusal, Denied):
            # The organisation's rules have changed since; who signs in again learns how.
            return None

    def _session(self, subject: str) -> str:
        until = str(_REAL.now() + SESSION_HOURS * HOUR)
        return f"{subject}.{until}.{self._mac(subject, until)}"

    def end(self, value: str) -> None:
        """End one session before its time, so that a copy of its cookie is worth nothing."""
        if self.by_session(value) is None:
            return
        _, until, mac = value.split(".")
        now = _REAL.now()
        self._ended = {**{known: end for known, end in self._ended.items() if end > now}, mac: int(until)}

    def csrf(self, session: str) -> str:
        """Return what a form of this session must carry: nobody else's page can know it."""
        return access.keyed(self._secret, "form", session)

    def by_link(self, link: str) -> Actor | None:
        """Return the local actor for the link that was printed at the start. It works once."""
        if not self._link or not hmac.compare_digest(link.encode(), self._link.encode()):
            return None
        self._link = ""
        return self._local

    def _mac(self, subject: str, until: str) -> str:
        # The token is new at each start, so a local session ends with the server that it was opened on.
        return access.keyed(self._secret, subject, until, self._token if subject == _LOCAL else "")

    def _key(self, key_id: str) -> Key | None:
        if not key_id:
            return None
        with self._context.store.read() as tx:
            key = tx.keys.get(key_id)
        now = self._context.clock.now()
        return key if key is not None and access.lives(key, now) else None


def new_token() -> str:
    return secrets.token_urlsafe(32)
