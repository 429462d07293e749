"""The organisation's identity provider, asked who somebody is: OpenID Connect's authorization code flow with PKCE.

OpenID Connect Core 1.0 section 3.1, PKCE: RFC 7636, the issuer in the answer: RFC 9207.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from pilotage import access
from pilotage.governance.organisation import organisation_of
from pilotage.governance.sign_in import Refusal, actor_of
from pilotage.spec.trust import trustworthy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.access import Actor
    from pilotage.console.tokens import Tokens
    from pilotage.governance.context import Context
    from pilotage.spec.organisation import Organisation
    from pilotage.spec.trust import ConsoleClient, SignIn

BEGUN_SECONDS = 600
"""So long may somebody take at the provider's own pages."""
KNOWN_SECONDS = 600.0
FETCH_SECONDS = 5.0
LARGEST = 1 << 20
RETURN = "/sign-in/return"


class Begun(NamedTuple):
    """Where a browser goes to sign in, and the cookie that it brings back."""

    address: str
    cookie: str


class Secrets(NamedTuple):
    """What one sign-in is recognised by: at the return, in the token, and at the exchange."""

    state: str
    nonce: str
    verifier: str

    @property
    def challenge(self) -> str:
        """Return S256 of the verifier (RFC 7636, section 4.2)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


class Provider:
    """Sends people there and takes them back. It may block: call it in a thread."""

    def __init__(self, context: Context, tokens: Tokens) -> None:
        self._context, self._tokens = context, tokens
        self._secret = context.store.secret("session")
        self._lock = threading.Lock()
        self._known: tuple[str, float, dict[str, Any]] = ("", float("-inf"), {})

    def offered(self) -> tuple[str, str] | None:
        """Return whose provider people may sign in with, and where that begins; None where the rules name none."""
        organisation, _, client = self._rules()
        return (organisation.name, f"{client.address}/sign-in/provider") if organisation and client else None

    def begin(self) -> Begun:
        """Begin to sign somebody in; raise Refusal where there is no provider, or none that answers."""
        rules, client = self._must()
        cookie = f"{secrets.token_urlsafe(24)}.{int(time.time()) + BEGUN_SECONDS}"
        known = self._secrets(cookie)
        asked = {
            "response_type": "code",
            "client_id": client.client,
            "redirect_uri": client.address + RETURN,
            "scope": " ".join(client.scopes),
            "state": known.state,
            "nonce": known.nonce,
            "code_challenge": known.challenge,
            "code_challenge_method": "S256",
        }
        address = self._endpoint(rules, "authorization_endpoint")
        return Begun(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", cookie)

    def finish(self, answer: Mapping[str, str], cookie: str) -> dict[str, Any]:
        """Return what is known of whoever comes back from the provider, to be kept in their session; raise Refusal.

        `answer` is the query that they came back with. The code in it is exchanged once it is certain that it answers
        what this browser asked.
        """
        rules, client = self._must()
        until = cookie.rpartition(".")[2]
        if not (until.isdecimal() and len(until) < 15 and int(until) > time.time()):
            raise Refusal("it was not begun here, or too long ago")
        known = self._secrets(cookie)
        if not hmac.compare_digest(answer.get("state", "").encode(), known.state.encode()):
            raise Refusal("it answers nothing that this browser asked")
        if answer.get("iss", rules.issuer) != rules.issuer:
            raise Refusal("another issuer answered")
        if not answer.get("code"):
            raise Refusal("the provider gave no code")
        claims = self._tokens.claims(
            self._exchanged(rules, client, answer["code"], known.verifier),
            rules.model_copy(update={"audience": client.client}),
        )
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), known.nonce.encode()):
            raise Refusal("its token answers another question")
        if claims.get("azp", client.client) != client.client:
            raise Refusal("its token was made for another client")
        return kept(claims, rules)

    def actor(self, claims: Mapping[str, Any]) -> Actor:
        """Return whom a session's claims stand for by the rules of this moment; raise Refusal or Denied."""
        organisation, rules, client = self._rules()
        if organisation is None or rules is None or client is None or claims.get("iss") != rules.issuer:
            raise Refusal("the organisation's rules know no such provider any more")
        return actor_of(claims, organisation, rules)

    def _rules(self) -> tuple[Organisation | None, SignIn | None, ConsoleClient | None]:
        with self._context.store.read() as tx:
            organisation = organisation_of(tx)
        rules = organisation.sign_in if organisation else None
        return organisation, rules, rules.console if rules else None

    def _must(self) -> tuple[SignIn, ConsoleClient]:
        _, rules, client = self._rules()
        if rules is None or client is None:
            raise Refusal("the organisation's rules name no provider for the console")
        return rules, client

    def _secrets(self, cookie: str) -> Secrets:
        """Return what belongs to a cookie: made of it and a secret of this server, so that nothing need be remembered."""
        parts = {name: access.keyed(self._secret, "door", name, cookie) for name in ("state", "nonce", "left", "right")}
        return Secrets(parts["state"], parts["nonce"], parts["left"] + parts["right"])

    def _exchanged(self, rules: SignIn, client: ConsoleClient, code: str, verifier: str) -> str:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.address + RETURN,
            "client_id": client.client,
            "code_verifier": verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if client.secret_env:
            secret = self._context.environment(client.secret_env)
            if not secret:
                raise Refusal(f"{client.secret_env} is not set where the server runs")
            if "client_secret_basic" in self._configuration(rules).get(
                "token_endpoint_auth_methods_supported", ["client_secret_basic"]
            ):
                pair = f"{quote(client.client, '')}:{quote(secret, '')}".encode()
                headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
            else:
                fields["client_secret"] = secret
        found = _asked(self._endpoint(rules, "token_endpoint"), urlencode(fields).encode(), headers)
        token = found.get("id_token")
        if not isinstance(token, str):
            raise Refusal("the provider answered without a token")
        return token

    def _endpoint(self, rules: SignIn, name: str) -> str:
        address = self._configuration(rules).get(name)
        if not isinstance(address, str) or not trustworthy(address):
            raise Refusal(f"the provider names no {name} at https://")
        return address

    def _configuration(self, rules: SignIn) -> dict[str, Any]:
        """Return what the provider says of itself (OpenID Connect Discovery 1.0, section 4)."""
        with self._lock:
            issuer, at, found = self._known
            if issuer == rules.issuer and time.monotonic() - at < KNOWN_SECONDS:
                return found
        address = f"{rules.issuer.rstrip('/')}/.well-known/openid-configuration"
        if not trustworthy(address):
            raise Refusal("the issuer is no address at https://")
        found = _asked(address)
        if found.get("issuer") != rules.issuer:
            raise Refusal("the provider says that it is another issuer")
        with self._lock:
            self._known = rules.issuer, time.monotonic(), found
        return found


def kept(claims: Mapping[str, Any], rules: SignIn) -> dict[str, Any]:
    """Return those claims that roles are made of, and nothing else of what the provider told."""
    groups = claims.get(rules.claim)
    found: dict[str, Any] = {"iss": claims["iss"], "sub": claims["sub"]}
    if isinstance(groups, list):
        found[rules.claim] = [group for group in rules.groups if group in groups]
    if claims.get("email_verified") is True and isinstance(claims.get("email"), str):
        found |= {"email": claims["email"], "email_verified": True}
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent is a secret: it goes where the provider said, and nowhere from there."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _asked(address: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 (trustworthy)
        address, data=body, headers={"accept": "application/json", "user-agent": "pilotage", **(headers or {})}
    )
    try:
        with _opener.open(request, timeout=FETCH_SECONDS) as answer:
            found = json.loads(answer.read(LARGEST))
    except urllib.error.HTTPError as fault:
        raise Refusal(f"the provider answered {fault.code}") from None
    except (OSError, http.client.HTTPException) as fault:
        raise Refusal(f"the provider could not be asked ({type(fault).__name__})") from None
    except (ValueError, RecursionError):
        raise Refusal("the provider's answer is no JSON") from None
    if not isinstance(found, dict):
        raise Refusal("the provider's answer is no object")
    return found
