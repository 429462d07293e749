"""The console in a real browser: journeys of people, and every page looked at for what nobody should meet."""

from __future__ import annotations

import base64
import os
import signal
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("axe_playwright_python", reason="axe is not installed")

from playwright.sync_api import Browser, expect

from pilotage.governance.alarms import raise_alarm
from pilotage.governance.standing import standing
from pilotage.records import Alarm
from pilotage.store.sqlite import SqliteStore
from tests.browser.looking import MARKUP, Looking, shape
from tests.integration.control_rig import USE_CASE, Serving, files_of, serving, write_use_case
from tests.integration.gateway_rig import until
from tests.integration.oidc_provider import identity_provider

expect.set_options(timeout=60_000)
KEEPING = USE_CASE.replace("personal_data = false", 'personal_data = true\nretention = "full"')
LONG = "A" * 200
TOML = MARKUP.replace("\\", "\\\\").replace('"', '\\"')
EVIL = (
    KEEPING.replace('"help"', f'"{"e" * 63}"')
    .replace("Answers at once.", TOML)
    .replace("Ada Writer", LONG)
    .replace("answers questions", TOML)
    .replace("books rooms", f"{TOML}{LONG}")
)
MANY = 15


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("browser") / "ws", workers=1) as running:
        yield running


Open = Callable[[str], Looking]


@pytest.fixture(scope="module")
def empty(server: Serving, browser: Browser) -> list[str]:
    """What is wrong with the pages before anything is registered, and what they do not say."""
    looking = Looking(browser, server.control, server.token)
    found = looking.faults()
    for command in ("pilotage init", "pilotage check", "pilotage apply"):
        found += [] if command in looking.text() else [f"the board does not teach {command}"]
    for path in ("/ledger", "/use-cases/nobody", "/sign-in"):
        looking.open(path)
        found += [f"{path}: {one}" for one in looking.faults()]
    looking.close()
    return found


@pytest.fixture(scope="module")
def world(server: Serving, empty: list[str]) -> Serving:
    """A use case at the last step of its ramp, one with markup wherever people write, one that begins, and many others."""
    assert empty is not None
    place = server.workspace.parent
    # By another hand than that which makes the approver's key: nobody approves what they registered.
    server.to_canary(KEEPING, author=server.key("operate", person="ada"))
    name = "e" * 63
    applied = server.command("apply", files=files_of(write_use_case(place / "evil", EVIL)))
    live = applied["live"]
    candidate = next(one for one in applied["releases"].values() if one != live)
    for number in range(MANY):
        text = USE_CASE.replace('"help"', f'"other-{number:03}"')
        server.command("apply", files=files_of(write_use_case(place / "other", text)))
    server.command("promote", use_case=name, reason=MARKUP)
    fact = {"use_case": name, "n": 400, "method": MARKUP, "data": "0" * 64, "baseline": live, "release": candidate}
    server.command("record_evidence", **fact, measure="quality_difference", value=-0.1, low=-0.2, high=-0.05)
    server.command("pause", use_case=name, reason=MARKUP)
    key = server.key("infer", "feedback")
    for number in range(3):
        body = {"model": name, "messages": [{"role": "user", "content": f"{MARKUP} parcels? {number}"}]}
        until(lambda body=body: server.chat(key, "u", "", **body).status == 200)  # type: ignore[misc]
    with closing(SqliteStore(server.workspace / "state.db")) as store, store.write() as tx:
        spec = standing(tx, name).spec
        known = {"kind": "degradation", "what": "complained", "watch": MARKUP, "at": 1, "since": 1, "says": MARKUP}
        raise_alarm(tx, spec, Alarm(id="a" * 32, use_case=name, release=live, **known, detail={}))  # type: ignore[arg-type]
    server.visits(key, 120)
    until(lambda: server.rollout["step"] == 1)
    until(lambda: len(server.command("inferences", use_case=name)["inferences"]) == 3)
    return server


@pytest.fixture
def opened(world: Serving, browser: Browser) -> Iterator[Open]:
    """Open the console with a key; every window is closed at the end, and has noticed nothing by itself."""
    windows: list[Looking] = []

    def one(key: str) -> Looking:
        windows.append(Looking(browser, world.control, key))
        return windows[-1]

    yield one
    for window in windows:
        assert not window.noticed
        window.close()


def test_no_data_at_all(empty: list[str]) -> None:
    assert not empty


def test_a_stranger_finds_why_a_gate_is_closed_and_what_it_was_judged_on(world: Serving, opened: Open) -> None:
    looking = opened(world.key("approve"))
    page = looking.page
    page.get_by_label("Name holds").fill("eee")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("link", name="Gate into staging").click()
    held = page.locator("ul.gate li").filter(has_text="quality_difference")
    expect(held).to_contain_text("Opens with:")
    page.get_by_role("link", name="the evidence for quality_difference").click()
    told = looking.text()
    for fact in ("400", "0" * 64, MARKUP, "-0.2 to -0.05", "local:"):
        assert fact in told


def test_approving_is_for_those_with_the_role(world: Serving, opened: Open) -> None:
    operator, approver = opened(world.key("operate")), opened(world.key("approve", person="grace"))
    operator.open("/use-cases/help")
    expect(operator.page.get_by_text("Approve: takes the role approve")).to_be_visible()
    assert not operator.page.get_by_role("link", name="Approve").count()
    operator.open("/use-cases/help/act/approve")
    assert "takes a key with the role approve" in operator.text()
    assert not operator.page.locator("main form").count()

    page = approver.page
    approver.open("/use-cases/help")
    page.get_by_role("link", name="Approve").click()
    # The rollout's step waits for a yes, and that is what is approved: not the stage beyond it.
    expect(page.locator(".consequence")).to_contain_text("step 2 of 2")
    page.get_by_role("button", name="Approve").click()
    assert page.url.endswith("/act/approve"), "a reason must be written"
    page.get_by_label("Why").fill(MARKUP)
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="help", exact=True)).to_be_visible()
    entry = world.command("ledger", use_case="help", newest=40, spoken=True)["entries"]
    given = [one for one in entry if one["action"] == "approve"]
    assert [one["detail"]["reason"] for one in given] == [MARKUP]
    assert given[0]["detail"]["stage"].endswith("/step-2")
    expect(page.locator("tr").filter(has_text="approve").filter(has_text="<script>").first).to_be_visible()


def test_a_form_of_another_session_is_refused(world: Serving, opened: Open) -> None:
    looking, other = opened(world.token), opened(world.key("operate"))
    looking.open("/use-cases/help/act/pause")
    other.open("/use-cases/help/act/pause")
    token = other.page.locator("main input[name=csrf]").input_value()
    looking.page.eval_on_selector("main input[name=csrf]", "(one, value) => { one.value = value; }", token)
    looking.page.get_by_label("Why").fill("because")
    looking.page.get_by_role("button", name="Pause").click()
    expect(looking.page.get_by_role("heading", name="not of your session")).to_be_visible()
    assert world.command("status", use_case="help")["use_cases"][0]["paused"] is False


def test_every_page_is_fit_for_everybody(world: Serving, opened: Open) -> None:
    """axe in light and dark, 360 and 1920 px, and markup that stays text, on each kind of page that links lead to."""
    looking = opened(world.token)
    waiting, seen, faults = deque(["/", "/sign-in", "/?words=eee", "/use-cases/help"]), dict[str, int](), list[str]()
    while waiting:
        path = waiting.popleft()
        kind = shape(path)
        evil = "e" * 63 in path
        # Of each kind of page two: one with markup wherever people write, one without.
        if seen.get(f"{kind}{evil}") or (seen.get(kind.replace("e" * 63, "help")) and not evil) or "other-" in path:
            continue
        seen[f"{kind}{evil}"] = seen[kind.replace("e" * 63, "help")] = 1
        if path.rpartition("?")[0].endswith((".csv", ".jsonl", ".html")) or path.endswith((".csv", ".jsonl", ".html")):
            continue
        status = looking.open(path)
        if status != 200:
            faults.append(f"{path}: {status}")
        faults += [f"{path}: {one}" for one in looking.faults()]
        waiting.extend(looking.links())
    assert not faults, "\n".join(faults)
    kinds = {one.partition("?")[0].removesuffix("True").removesuffix("False") for one in seen}
    for wanted in (
        "/",
        "/ledger",
        "/ledger/#",
        "/use-cases/help",
        "/use-cases/help/act/rollback",
        "/use-cases/help/inferences",
    ):
        assert wanted in kinds, f"no link leads to {wanted}"


def test_by_keyboard(opened: Open, world: Serving) -> None:
    page = opened(world.token).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Name holds")).to_be_focused()


def test_many_use_cases_are_a_page_at_a_time(opened: Open, world: Serving) -> None:
    looking = opened(world.token)
    assert len(looking.page.content()) < 200_000
    looking.page.get_by_role("link", name=f"All {MANY}").click()
    expect(looking.page.get_by_role("heading", name="other-000")).to_be_visible()
    expect(looking.page.get_by_role("heading", name=f"other-{MANY - 1:03}")).to_be_visible()


def test_a_bad_answer_becomes_a_case(opened: Open, world: Serving) -> None:
    page = opened(world.token).page
    page.goto(f"{world.control}/use-cases/{'e' * 63}")
    page.get_by_role("link", name="Inferences").click()
    page.locator("main table a[href*='/inferences/']").first.click()
    expect(page.locator(".turn.user").last).to_contain_text("<script>")
    page.get_by_role("link", name="Make it a case").click()
    page.get_by_label("A right answer holds").fill("three days")
    page.get_by_role("button", name="Propose the case").click()
    expect(page.get_by_role("heading", name="Proposed cases")).to_be_visible()
    expect(page.locator("article.case pre")).to_contain_text("three days")


def test_a_rollout_advances_and_a_bad_one_rolls_back_while_somebody_watches(opened: Open, world: Serving) -> None:
    world.to_canary(USE_CASE.replace('"help"', '"live"'), "live")
    key = world.key("infer", "feedback")
    looking = opened(world.key("operate"))
    looking.open("/use-cases/live")
    looking.page.evaluate("window.same = true")
    until(lambda: world.chat(key, "first", model="live").status == 200)
    said = {"id": "content", "unit": "first", "use_case": "live", "metric": "complained"}
    assert world.feedback(key, **said, value=0).status == 202
    for number in range(60):
        assert world.chat(key, f"good-{number}", model="live").status == 200
    expect(looking.page.locator("[aria-current=step]")).to_have_text("90 %")
    ended = looking.page.get_by_role("heading", name="Rollout: rolled back")
    for number in range(600):
        if ended.is_visible():
            break
        reply = world.chat(key, f"bad-{number}", model="live")
        after = reply.headers["x-pilotage-variant"] == "after"
        said = {"id": f"bad-{number}", "unit": f"bad-{number}", "use_case": "live", "metric": "complained"}
        assert world.feedback(key, **said, value=int(after)).status == 202
    expect(ended).to_be_visible()
    assert looking.page.evaluate("window.same") is True, "the page was never loaded again"


def test_signing_in_with_the_organisations_provider(world: Serving, browser: Browser) -> None:
    with identity_provider("localhost") as provider:
        provider.redirects = {f"{world.control}/sign-in/return"}
        rules = RULES.format(issuer=provider.issuer, address=world.control)
        world.command("policy_apply", file=base64.b64encode(rules.encode()).decode())
        looking = Looking(browser, world.control)
        looking.open("/")
        assert not looking.faults()
        looking.page.get_by_role("link", name="Sign in with T").click()
        # The provider is another site: what comes back from there brings no strict cookie.
        looking.page.get_by_label("Name").fill("grace")
        looking.page.get_by_role("button", name="Go on").click()
        expect(looking.page.get_by_role("heading", name="Use cases")).to_be_visible()
        expect(looking.page.get_by_text("oidc:grace")).to_be_visible()
        assert not looking.noticed
        looking.page.get_by_role("button", name="Sign out").click()
        expect(looking.page.get_by_role("heading", name="Sign in")).to_be_visible()
        looking.close()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_dead_control_process_is_said_and_got_over(opened: Open, world: Serving) -> None:
    looking = opened(world.key("operate"))
    looking.open("/use-cases/help")
    away = looking.page.locator("#away")
    with stopped(world.pids("pilotage.app.control")[0]):
        expect(away).to_be_visible()
        expect(away).to_contain_text("has not answered since")
    expect(away).to_be_hidden()
    world.kill("pilotage.app.control")
    until(lambda: urllib.request.urlopen(f"{world.control}/healthz", timeout=5).status == 200)
    looking.page.reload()
    expect(looking.page.get_by_role("heading", name="help", exact=True)).to_be_visible()


RULES = """
name = "T"
[people.grace]
sign_in = "grace@example.org"
[sign_in]
issuer = "{issuer}"
audience = "pilotage-api"
jwks = "{issuer}/keys"
[sign_in.groups.care]
roles = ["operate", "approve"]
[sign_in.console]
client = "pilotage-console"
address = "{address}"
"""
