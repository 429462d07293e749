"""Signing in at the console with an identity provider: the whole way, and everything that somebody could try on it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pilotage.access import Actor, Role
from pilotage.clock import SystemClock
from pilotage.console.provider import Begun, kept
from pilotage.console.visitors import Visitors
from pilotage.errors import Denied, FaultyFile
from pilotage.governance.commands import Context, run
from pilotage.governance.sign_in import Refusal
from pilotage.spec.organisation_file import read
from pilotage.store.sqlite import SqliteStore
from tests.integration.control_rig import ask, files_of, serving, write_use_case
from tests.integration.oidc_provider import IdentityProvider, identity_provider

ADMIN = Actor(id="local:root", roles=(Role.ADMIN,))
ADDRESS = "http://127.0.0.1:1"
RULES = """
name = "Example & Sons"
[people.grace]
sign_in = "grace@example.org"
[sign_in]
issuer = "{issuer}"
audience = "pilotage-api"
jwks = "{issuer}/keys"
[sign_in.groups.care]
roles = ["operate", "approve"]
use_cases = ["help"]
[sign_in.console]
client = "pilotage-console"
address = "{address}/"
"""


def rules(provider: IdentityProvider, more: str = "", address: str = ADDRESS) -> str:
    provider.redirects = {f"{address}/sign-in/return"}
    return base64.b64encode((RULES.format(issuer=provider.issuer, address=address) + more).encode()).decode()


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


@pytest.fixture
def visitors(tmp_path: Path, provider: IdentityProvider) -> Iterator[Visitors]:
    provider.says, provider.told, provider.secret = {}, {}, ""
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        environment = {"CONSOLE_CLIENT_SECRET": "s3cret/+"}
        context = Context(store, SystemClock(), lambda name: environment.get(name, ""))
        run(context, ADMIN, "policy_apply", {"file": rules(provider)})
        yield Visitors(context, ADMIN, "token")


def asked(begun: Begun) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(begun.address).query).items()}


def back(provider: IdentityProvider, begun: Begun, who: str = "grace") -> dict[str, str]:
    """Sign in at the provider; return the query that the browser comes back with."""
    found = parse_qs(urlsplit(provider.come_back(asked(begun), who)).query)
    return {name: values[0] for name, values in found.items()}


def test_the_whole_way(visitors: Visitors, provider: IdentityProvider) -> None:
    assert visitors.provider.offered() == ("Example & Sons", f"{ADDRESS}/sign-in/provider")
    begun = visitors.provider.begin()
    assert begun.address.startswith(f"{provider.issuer}/authorize?")
    assert begun.cookie not in asked(begun).values(), "the cookie stays in the browser"
    claims = visitors.provider.finish(back(provider, begun), begun.cookie)
    session = visitors.session_of(claims)
    actor = visitors.by_session(session)
    assert actor is not None
    assert (actor.id, actor.use_cases, set(actor.roles)) == ("oidc:grace", ("help",), {Role.OPERATE, Role.APPROVE})
    forged = session.replace(session[6:9], "abc" if session[6:9] != "abc" else "cba", 1)
    assert visitors.by_session(forged) is None
    visitors.end(session)
    assert visitors.by_session(session) is None


def test_a_confidential_client_shows_its_secret(visitors: Visitors, provider: IdentityProvider, tmp_path: Path) -> None:
    provider.secret = "s3cret/+"
    begun = visitors.provider.begin()
    with pytest.raises(Refusal, match="answered 400"):
        visitors.provider.finish(back(provider, begun), begun.cookie)
    context = visitors.provider._context
    run(context, ADMIN, "policy_apply", {"file": rules(provider, 'secret_env = "CONSOLE_CLIENT_SECRET"\n')})
    begun = visitors.provider.begin()
    assert visitors.provider.finish(back(provider, begun), begun.cookie)["sub"] == "u-1"
    run(context, ADMIN, "policy_apply", {"file": rules(provider, 'secret_env = "OTHER_CLIENT_SECRET"\n')})
    begun = visitors.provider.begin()
    with pytest.raises(Refusal, match="OTHER_CLIENT_SECRET is not set"):
        visitors.provider.finish(back(provider, begun), begun.cookie)


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ({"nonce": "another"}, "another question"),
        ({"nonce": None}, "another question"),
        ({"aud": "pilotage-api"}, "another audience"),
        ({"aud": ["pilotage-console", "x"], "azp": "x"}, "another client"),
        ({"iss": "http://127.0.0.1:9"}, "another issuer"),
        ({"exp": 1}, "expired"),
    ],
)
def test_a_token_that_answers_something_else_is_refused(
    visitors: Visitors, provider: IdentityProvider, says: dict[str, Any], why: str
) -> None:
    provider.says = says
    begun = visitors.provider.begin()
    with pytest.raises(Refusal, match=why):
        visitors.provider.finish(back(provider, begun), begun.cookie)


def test_only_the_browser_that_asked_comes_back(visitors: Visitors, provider: IdentityProvider) -> None:
    mine, other = visitors.provider.begin(), visitors.provider.begin()
    answer, before = back(provider, mine), provider.exchanges
    expired = f"{mine.cookie.partition('.')[0]}.1"
    prolonged = f"{mine.cookie.partition('.')[0]}.9999999999"
    for cookie in ("", "x", ".", other.cookie, expired, prolonged, f"x.{'9' * 5000}", "é.9999999999"):
        with pytest.raises(Refusal):
            visitors.provider.finish(answer, cookie)
    for wrong in ({"state": "x"}, {"state": ""}, {"state": "é"}, {"code": ""}, {"iss": "http://127.0.0.1:9"}):
        with pytest.raises(Refusal):
            visitors.provider.finish({**answer, **wrong}, mine.cookie)
    with pytest.raises(Refusal):
        visitors.provider.finish({"error": "access_denied", "state": answer["state"]}, mine.cookie)
    assert provider.exchanges == before, "no code was spent on any of it"
    assert visitors.provider.finish(answer, mine.cookie)["sub"] == "u-1"
    with pytest.raises(Refusal, match="answered 400"):
        visitors.provider.finish(answer, mine.cookie)


@pytest.mark.parametrize(
    "told",
    [
        {"issuer": "http://127.0.0.1:9"},
        {"authorization_endpoint": "http://elsewhere.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
)
def test_a_provider_that_points_elsewhere_is_not_followed(
    visitors: Visitors, provider: IdentityProvider, told: dict[str, Any]
) -> None:
    provider.told = told
    with pytest.raises(Refusal):
        visitors.provider.begin()


def test_the_code_goes_nowhere_else(visitors: Visitors, provider: IdentityProvider) -> None:
    provider.told = {"token_endpoint": "http://elsewhere.example/token"}
    begun = visitors.provider.begin()
    with pytest.raises(Refusal, match="token_endpoint"):
        visitors.provider.finish(back(provider, begun), begun.cookie)


def test_a_session_is_worth_what_the_rules_say_now(visitors: Visitors, provider: IdentityProvider) -> None:
    begun = visitors.provider.begin()
    session = visitors.session_of(visitors.provider.finish(back(provider, begun), begun.cookie))
    assert visitors.by_session(session) is not None
    context = visitors.provider._context
    changed = base64.b64decode(rules(provider)).replace(b"groups.care]", b"groups.others]")
    run(context, ADMIN, "policy_apply", {"file": base64.b64encode(changed).decode()})
    assert visitors.by_session(session) is None, "the group has no role any more"
    run(context, ADMIN, "policy_apply", {"file": base64.b64encode(b'name = "T"').decode()})
    assert visitors.by_session(session) is None, "there is no provider any more"
    assert visitors.provider.offered() is None
    with pytest.raises(Refusal):
        visitors.provider.begin()


def test_somebody_without_a_role_is_told_so(visitors: Visitors, provider: IdentityProvider) -> None:
    begun = visitors.provider.begin()
    claims = visitors.provider.finish(back(provider, begun, "mallory"), begun.cookie)
    with pytest.raises(Denied):
        visitors.provider.actor(claims)
    assert visitors.by_session(visitors.session_of(claims)) is None


def test_a_provider_that_is_away(visitors: Visitors) -> None:
    context = visitors.provider._context
    away = RULES.format(issuer="http://127.0.0.1:1", address=ADDRESS)
    run(context, ADMIN, "policy_apply", {"file": base64.b64encode(away.encode()).decode()})
    with pytest.raises(Refusal, match="could not be asked"):
        visitors.provider.begin()


def test_only_what_roles_are_made_of_is_kept() -> None:
    found = read(RULES.format(issuer="https://id.example.org", address="https://p.example").encode()).organisation
    assert found.sign_in is not None
    claims = {"iss": "i", "sub": "s", "groups": ["care", "others", ["x"]], "email": "a@b", "name": "A", "phone": "1"}
    assert kept(claims, found.sign_in) == {"iss": "i", "sub": "s", "groups": ["care"]}
    assert kept({**claims, "email_verified": True}, found.sign_in)["email"] == "a@b"


@pytest.mark.parametrize(
    "address",
    [
        "http://p.example",
        "https://p.example/console",
        "https://p.example?x",
        "p.example",
        "https://u:p@p.example",
        "https://[",
    ],
)
def test_where_the_console_is_must_be_safe(address: str) -> None:
    with pytest.raises(FaultyFile) as fault:
        read(RULES.format(issuer="https://id.example.org", address=address).replace('/"\n', '"\n').encode())
    assert "https://" in str(fault.value.faults)


def test_at_a_real_server(tmp_path: Path, provider: IdentityProvider) -> None:
    provider.says, provider.told, provider.secret = {}, {}, ""
    with serving(tmp_path / "ws", workers=1) as server:
        server.command("apply", files=files_of(write_use_case(tmp_path / "help")))
        assert b"Sign in with" not in ask(server.control, "GET", "/sign-in").body
        assert ask(server.control, "GET", "/sign-in/provider").status == 401
        server.command("policy_apply", file=rules(provider, address=server.control))
        door = ask(server.control, "GET", "/sign-in").body.decode()
        assert f'href="{server.control}/sign-in/provider">Sign in with Example &amp; Sons<' in door
        away = ask(server.control, "GET", "/sign-in/provider")
        assert away.status == 303
        given = away.headers["set-cookie"]
        assert "HttpOnly" in given
        assert "samesite=lax" in given.lower()
        cookie = given.partition(";")[0]
        begun = Begun(away.headers["location"], cookie)
        returned = urlsplit(provider.come_back(asked(begun), "grace"))
        path = f"{returned.path}?{returned.query}"
        stranger = ask(server.control, "GET", path)
        assert (stranger.status, "set-cookie" in stranger.headers) == (401, False)
        arrived = ask(server.control, "GET", path, headers={"cookie": cookie})
        assert arrived.status == 200
        assert b'content="0;url=/"' in arrived.body
        assert ask(server.control, "GET", path, headers={"cookie": cookie}).status == 401, "a code is good once"
        session = next(one for one in arrived.cookies if "-door=" not in one)
        assert "samesite=strict" in session.lower()
        held = {"cookie": session.partition(";")[0]}
        page = ask(server.control, "GET", "/use-cases/help", headers=held)
        assert page.status == 200
        assert b"oidc:grace" in page.body
        left = urlsplit(provider.come_back(asked(begun), "mallory"))
        refused = ask(server.control, "GET", f"{left.path}?{left.query}", headers={"cookie": cookie})
        assert refused.status == 403
        assert b"none of your groups has a role" in refused.body
        assert "-door" not in server.errors.read_text(), "nothing of it is in the log"
        assert "u-1" not in server.errors.read_text()
