"""The control API and the console's pages, asked over HTTP."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from tests.integration.control_rig import USE_CASE, Reply, Serving, ask, files_of, serving, write_use_case
from tests.integration.gateway_rig import until

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server with a use case in canary, some traffic, and another one with a hostile objective."""
    place = tmp_path_factory.mktemp("api")
    with serving(place / "ws", workers=1) as running:
        running.to_canary()
        text = USE_CASE.replace('"help"', '"evil"').replace("Answers at once.", EVIL)
        running.command("apply", files=files_of(write_use_case(place / "evil", text)))
        running.visits(running.key("infer", "feedback"), 120)
        until(lambda: running.rollout["step"] == 1)
        yield running


def error(reply: Reply) -> tuple[int, str]:
    fault = reply.json["error"]
    assert set(fault) >= {"code", "message", "hint"}
    assert fault["message"]
    return reply.status, fault["code"]


@pytest.mark.parametrize(
    ("method", "path", "raw", "expected"),
    [
        ("POST", "/api/v1/commands/nope", b"{}", (404, "not_found")),
        ("GET", "/api/v1/nope", None, (404, "not_found")),
        ("GET", "/api/v1/commands/status", None, (405, "method_not_allowed")),
        ("POST", "/api/v1/status", b"{}", (405, "method_not_allowed")),
        ("POST", "/api/v1/commands/status", b"{", (400, "wrong_call")),
        ("POST", "/api/v1/commands/status", b"[" * 5000, (400, "wrong_call")),
        ("POST", "/api/v1/commands/status", b"\xff", (400, "wrong_call")),
        ("POST", "/api/v1/commands/status", b"[]", (422, "wrong_call")),
        ("POST", "/api/v1/commands/status", b'{"nope": 1}', (400, "wrong_call")),
        ("POST", "/api/v1/commands/status", b'{"use_case": 7}', (400, "wrong_call")),
        ("POST", "/api/v1/commands/status", b" " * (17 << 20), (413, "too_large")),
        ("POST", "/api/v1/commands/promote", b'{"use_case": "nobody"}', (404, "not_found")),
        ("POST", "/api/v1/commands/apply", b'{"files": {"usecase.toml": "eA=="}}', (422, "faulty_file")),
        ("GET", "/api/v1/use-cases/nobody", None, (404, "not_found")),
        ("GET", "/api/v1/ledger?after=x", None, (400, "wrong_call")),
        ("POST", "/api/v1/commands/ledger", b'{"after": 9223372036854775808}', (400, "wrong_call")),
        ("POST", "/api/v1/commands/ledger", b'{"newest": 9223372036854775808}', (400, "wrong_call")),
        ("GET", "/api/v1/events?table=keys", None, (400, "wrong_call")),
        ("GET", "/api/v1/events?limit=0", None, (400, "wrong_call")),
    ],
)
def test_wrong_calls(server: Serving, method: str, path: str, raw: bytes | None, expected: tuple[int, str]) -> None:
    assert error(ask(server.control, method, path, raw=raw, key=server.token)) == expected


def test_a_body_of_unknown_length_is_cut_off_as_well(server: Serving) -> None:
    import http.client

    parts = urllib.parse.urlsplit(server.control)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(
            "POST",
            "/api/v1/commands/status",
            (b" " * (1 << 20) for _ in range(17)),
            {"authorization": f"Bearer {server.token}"},
            encode_chunked=True,
        )
        assert connection.getresponse().status == 413
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/ledger", "/api/v1/events", "/api/v1/server"])
@pytest.mark.parametrize("key", ["", "nonsense", "plt_000000000000_x", "sk-123"])
def test_nobody_reads_without_a_good_key(server: Serving, path: str, key: str) -> None:
    reply = ask(server.control, "GET", path, key=key)
    assert error(reply) == (401, "unauthorized")
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_keys_may_do_what_their_roles_say(server: Serving) -> None:
    infer, approve = server.key("infer"), server.key("approve")
    operate, other = server.key("operate"), server.key("operate", use_cases=["evil"])
    calls = {
        name: ask(server.control, "POST", "/api/v1/commands/pause", {"use_case": "help"}, key=key)
        for name, key in (("infer", infer), ("approve", approve), ("other", other))
    }
    assert {name: error(reply) for name, reply in calls.items()} == dict.fromkeys(calls, (403, "denied"))
    assert error(ask(server.control, "GET", "/api/v1/events?use_case=help", key=other)) == (403, "denied")
    assert error(ask(server.control, "GET", "/api/v1/events", key=other)) == (403, "denied")
    assert ask(server.control, "GET", "/api/v1/events?use_case=evil", key=other).status == 200
    listed = ask(server.control, "GET", "/api/v1/status", key=other).json["use_cases"]
    assert [one["use_case"] for one in listed] == ["evil"]
    assert ask(server.control, "POST", "/api/v1/commands/pause", {"use_case": "help"}, key=operate).status == 200
    assert ask(server.control, "POST", "/api/v1/commands/resume", {"use_case": "help"}, key=operate).status == 200


def test_a_revoked_key_is_no_key(server: Serving) -> None:
    made = server.command("keys_create", name="short", roles=["operate"])
    assert ask(server.control, "GET", "/api/v1/status", key=made["secret"]).status == 200
    cookie = cookie_of(sign_in(server, made["secret"]))
    server.command("keys_revoke", id=made["id"])
    assert error(ask(server.control, "GET", "/api/v1/status", key=made["secret"])) == (401, "unauthorized")
    assert page(server, "/", cookie).status == 303


def test_the_facts_as_json(server: Serving) -> None:
    status = ask(server.control, "GET", "/api/v1/use-cases/help", key=server.token).json
    assert (status["use_case"], status["stage"]) == ("help", "canary")
    entries = ask(server.control, "GET", "/api/v1/ledger?use_case=help&newest=3", key=server.token).json["entries"]
    assert len(entries) == 3
    about = ask(server.control, "GET", "/api/v1/server", key=server.token).json
    assert about["gateway"] == server.gateway
    rows = until(
        lambda: ask(server.control, "GET", "/api/v1/events?table=started&limit=60", key=server.token).json["events"]
    )
    assert {row["use_case"] for row in rows} == {"help"}
    assert ask(server.control, "GET", "/healthz").json["status"] == "ok"


def test_the_openapi_document_names_every_command(server: Serving) -> None:
    document = ask(server.control, "GET", "/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {"/api/v1/commands/promote", "/api/v1/commands/keys_create", "/api/v1/status"} <= set(paths)
    for reference in re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', str(document).replace("'", '"')):
        assert reference in document["components"]["schemas"]


def sign_in(server: Serving, secret: str) -> Reply:
    body = urllib.parse.urlencode({"key": secret}).encode()
    return ask(server.control, "POST", "/sign-in", raw=body)


def cookie_of(reply: Reply) -> str:
    assert reply.status == 303, reply.body
    return reply.headers["set-cookie"].partition(";")[0]


def page(server: Serving, path: str, cookie: str = "") -> Reply:
    return ask(server.control, "GET", path, headers={"cookie": cookie} if cookie else {})


PAGES = ("/", "/use-cases/help", "/use-cases/evil", "/ledger", "/ledger?before=3")


@pytest.mark.parametrize("path", PAGES)
def test_pages_need_a_key(server: Serving, path: str) -> None:
    for cookie in (
        "",
        "pilotage=local.9999999999999999.00000000000000000000000000000000",
        "pilotage=x",
        "pilotage=...",
        f"pilotage=local.{'9' * 5000}.00000000000000000000000000000000",
    ):
        reply = page(server, path, cookie)
        assert (reply.status, reply.headers["location"]) == (303, "/sign-in")
        assert b"help" not in reply.body


def test_signing_in_and_out(server: Serving) -> None:
    refused = sign_in(server, "plt_000000000000_nonsense")
    assert refused.status == 401
    assert "set-cookie" not in refused.headers
    assert b"not good" in refused.body
    signed = sign_in(server, server.key("operate"))
    assert signed.headers["set-cookie"].count("HttpOnly") == 1
    assert "samesite=strict" in signed.headers["set-cookie"].lower()
    assert page(server, "/", cookie_of(signed)).status == 200
    left = ask(server.control, "POST", "/sign-out")
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert ask(server.control, "POST", "/sign-in", raw=b"key=" + b"x" * 5000).status == 413


def test_signing_out_ends_the_session_for_good(server: Serving) -> None:
    kept, left = cookie_of(sign_in(server, server.token)), cookie_of(sign_in(server, server.token))
    assert ask(server.control, "POST", "/sign-out", headers={"cookie": left}).status == 303
    assert page(server, "/", left).status == 303, "a copy of the cookie is worth nothing"
    assert page(server, "/", kept).status == 200, "the other session goes on"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "SELF"}, 303),
        ({"sec-fetch-site": "same-origin", "origin": "https://in.front.example"}, 303),
        ({}, 303),
    ],
)
def test_no_other_site_signs_anybody_in_or_out(server: Serving, headers: dict[str, str], status: int) -> None:
    sent = {name: value.replace("SELF", server.control) for name, value in headers.items()}
    body = urllib.parse.urlencode({"key": server.token}).encode()
    signed = ask(server.control, "POST", "/sign-in", raw=body, headers=sent)
    assert signed.status == status
    assert ("set-cookie" in signed.headers) is (status == 303)
    cookie = cookie_of(sign_in(server, server.token))
    left = ask(server.control, "POST", "/sign-out", headers={**sent, "cookie": cookie})
    assert left.status == status
    assert page(server, "/", cookie).status == (303 if status == 303 else 200)


def test_a_key_without_a_role_to_read_sees_why(server: Serving) -> None:
    reply = page(server, "/", cookie_of(sign_in(server, server.key("infer"))))
    assert reply.status == 403
    assert b"lacks the role" in reply.body


def test_a_key_of_one_use_case_sees_that_one(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.key("operate", use_cases=["evil"])))
    board = page(server, "/", cookie)
    assert board.status == 200
    assert b"/use-cases/evil" in board.body
    assert b"/use-cases/help" not in board.body
    assert page(server, "/use-cases/help", cookie).status == 403
    assert page(server, "/ledger", cookie).status == 200


def test_the_link_that_was_printed_signs_in_once(server: Serving) -> None:
    link = urllib.parse.urlsplit(server.console)
    glance = ask(server.control, "HEAD", f"{link.path}?{link.query}")
    assert "set-cookie" not in glance.headers, "a look at the link does not use it up"
    first = ask(server.control, "GET", f"{link.path}?{link.query}")
    assert first.headers["location"] == "/"
    assert page(server, "/", cookie_of(first)).status == 200
    again = ask(server.control, "GET", f"{link.path}?{link.query}")
    assert again.status == 401
    assert "set-cookie" not in again.headers


def test_what_the_pages_show(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    board = page(server, "/", cookie).body.decode()
    assert '<rect class="candidate" width="90.0"' in board
    assert "Advanced from 50 % to 90 %" in board
    detail = page(server, "/use-cases/help", cookie).body.decode()
    assert 'aria-current="step">90 %' in detail
    assert "quality_difference" in detail
    assert "Gate into production" in detail
    ledger = page(server, "/ledger", cookie).body.decode()
    assert ledger.count("<tr>") > 10
    older = page(server, "/ledger?before=3", cookie).body.decode()
    assert re.findall(r">(\d+)</a></td><td><time>", older) == ["2", "1"]
    missing = page(server, "/use-cases/nobody", cookie)
    assert missing.status == 404
    assert "there is no use case" in missing.body.decode()


def test_what_people_wrote_is_shown_and_never_run(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    for path in ("/", "/use-cases/evil"):
        body = page(server, path, cookie).body.decode()
        assert EVIL not in body
        assert "&lt;script&gt;alert(" in body
    strange = page(server, f"/use-cases/{urllib.parse.quote(EVIL, safe='')}", cookie).body.decode()
    assert EVIL not in strange


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/nowhere", "/static/console.css", "/static/live.js", "/healthz"])
def test_the_rules_for_browsers(server: Serving, path: str) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    reply = page(server, path, cookie)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    if reply.headers["content-type"].startswith("text/html"):
        body = reply.body.decode()
        assert not re.search(r"<style|style=|<script(?! src=\"/static/)|\son\w+=", body)
        assert not re.search(r"(?:src|href|action)=\"(?![/#])", body)


def fields(body: str) -> dict[str, str]:
    """Return the hidden fields of the last form of a page."""
    last = body[body.rindex("<form") :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', last))


def send(server: Serving, path: str, cookie: str, **sent: str) -> Reply:
    headers = {"cookie": cookie, "origin": server.control, "content-type": "application/x-www-form-urlencoded"}
    return ask(server.control, "POST", path, headers=headers, raw=urllib.parse.urlencode(sent).encode())


def test_evidence_and_entries_are_shown_in_full(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    detail = page(server, "/use-cases/help", cookie).body.decode()
    link = re.search(r'href="(/use-cases/help/evidence/[0-9a-f]+)">quality<', detail)
    assert link is not None
    evidence = page(server, link[1], cookie).body.decode()
    assert "<dt>Method</dt><dd>test</dd>" in evidence
    assert "0" * 64 in evidence
    assert page(server, "/use-cases/help/evidence/none", cookie).status == 404
    entry = page(server, "/ledger/2", cookie).body.decode()
    assert "Entry 2: " in entry
    assert "&#34;" in entry
    assert page(server, "/ledger/99999", cookie).status == 404
    verified = send(server, "/ledger/verify", cookie, **fields(page(server, "/ledger", cookie).body.decode()))
    assert "Unbroken: all" in verified.body.decode()


def test_acting_says_what_comes_of_it_first(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    paused = "/use-cases/help/act/pause"
    confirming = page(server, paused, cookie).body.decode()
    assert "The rollout stays at 90 %" in confirming
    told = fields(confirming)
    # Another site, no token, another session's token, no reason, and a page that was overtaken: nothing is done.
    assert send(server, paused, cookie, **{**told, "csrf": ""}, reason="x").status == 403
    other = fields(page(server, paused, cookie_of(sign_in(server, server.token))).body.decode())
    assert send(server, paused, cookie, **{**told, "csrf": other["csrf"]}, reason="x").status == 403
    assert "Write why" in send(server, paused, cookie, **told, reason=" ").body.decode()
    late = send(server, paused, cookie, **{**told, "version": "1"}, reason="kept words").body.decode()
    assert "moved on since" in late
    assert "kept words" in late
    assert not server.command("status", use_case="help")["use_cases"][0]["paused"]
    # Who may not is told what it takes, and is refused all the same.
    watching = cookie_of(sign_in(server, server.key("approve")))
    refused = page(server, paused, watching).body.decode()
    assert "the role <strong>operate</strong>" in refused
    token = fields(page(server, "/ledger", watching).body.decode())["csrf"]
    sent = {"csrf": token, "version": told["version"], "reason": "no"}
    assert "lacks the role operate" in send(server, paused, watching, **sent).body.decode()
    assert not server.command("status", use_case="help")["use_cases"][0]["paused"]

    done = send(server, paused, cookie, **told, reason="<b>holiday</b>")
    assert (done.status, done.headers["location"]) == (303, "/use-cases/help")
    after = page(server, "/use-cases/help", cookie).body.decode()
    assert "<strong>paused</strong>" in after
    assert "&lt;b&gt;holiday&lt;/b&gt;" in after
    resume = "/use-cases/help/act/resume"
    assert "goes on from where it is" in page(server, resume, cookie).body.decode()
    assert send(server, resume, cookie, **fields(page(server, resume, cookie).body.decode()), reason="").status == 303
    assert not server.command("status", use_case="help")["use_cases"][0]["paused"]
    assert page(server, "/use-cases/help/act/destroy", cookie).status == 404


def test_the_board_finds_by_name_and_stage(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    assert "No use case that you may see" in page(server, "/?words=nobody", cookie).body.decode()
    one = page(server, "/?stage=canary&words=help", cookie).body.decode()
    assert one.count("<article>") == 1
    assert "<article>" not in page(server, "/?stage=staging", cookie).body.decode()
    for odd in ("/?stage=%3Cb%3E&first=-1", "/?first=99999999999999999999", "/?stage=poc&first=5"):
        assert page(server, odd, cookie).status == 200


def test_the_rollout_is_shown_as_it_went(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    shown = page(server, "/use-cases/help/rollout", cookie).body.decode()
    assert 'aria-current="step">90 %' in shown
    assert "Candidates&#x27; share of all requests" in shown
    assert "What would move it" in shown
    assert "Advanced from 50 % to 90 %" in shown
    known = server.command("rollout", use_case="help")
    assert known["points"]
    assert page(server, f"/use-cases/help/rollout/{known['id']}", cookie).status == 200
    assert page(server, "/use-cases/help/rollout/none", cookie).status == 404
    assert "has had no rollout yet" in page(server, "/use-cases/evil/rollout", cookie).body.decode()


def test_what_goes_through_is_shown_as_it_happens(server: Serving) -> None:
    cookie = cookie_of(sign_in(server, server.token))
    shown = page(server, "/live", cookie).body.decode()
    assert 'data-stream="/live/events"' in shown
    assert 'data-stream="/use-cases/help/live/events"' in page(server, "/use-cases/help/live", cookie).body.decode()
    only = cookie_of(sign_in(server, server.key("operate", use_cases=["evil"])))
    assert page(server, "/use-cases/help/live/events", only).status == 403
    assert page(server, "/live/events").status == 401
    request = urllib.request.Request(f"{server.control}/use-cases/help/live/events", headers={"cookie": cookie})
    with urllib.request.urlopen(request, timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        parts = []
        for line in stream:
            parts.append(line.decode())
            if len(parts) > 1 and parts[-1] == "\n" and parts.count("\n") == 2:
                break
    assert all(line == "\n" or line.startswith("data: ") for line in parts)
    assert "Live figures of help" in "".join(parts)
    # Whoever signs out hears nothing more.
    with urllib.request.urlopen(request, timeout=20) as stream:
        stream.readline()
        assert ask(server.control, "POST", "/sign-out", headers={"cookie": cookie}).status == 303
        stream.read()
