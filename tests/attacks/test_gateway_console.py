"""Attacks on the console: by agents that would answer their own questions, by web pages, and by text that is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from playwright.sync_api import Browser, expect, sync_playwright

from lg_console.login.sessions import IDLE_S, LINK_S, SESSION_S, SessionTable
from lg_console.sources.people import Person, Role
from lg_gateway.console.rows import ConsoleRows
from tests.console.conftest import launched
from tests.console.served import ServedConsole, served_console, visiting
from tests.gateway.rig import records, send, server

CODE = '<img src=x onerror="alert(1)"><script>alert(2)</script>"\'></pre></article><svg onload=alert(3)>'
HIDDEN = "rm -rf \u202e/ \x1b[2J \u200b"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched(playwright) as opened:
        yield opened


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[ServedConsole]:
    with served_console(tmp_path, server("a")) as found:
        yield found


def logged_in(served: ServedConsole, role: Role = Role.APPROVER) -> tuple[dict[str, str], str]:
    """Begin a session; return the headers of its browser and its action key."""
    made = served.run(served.console.sessions.begin, Person(name="user ann", role=role, local=True))
    port = served.address.rpartition(":")[2]
    return {"cookie": f"lg-console-{port}={made.cookie}", "origin": served.address}, made.action_key


def answer(served: ServedConsole, question: str, **headers: str) -> httpx2.Response:
    with served.http(**headers) as client:
        return client.post(f"/v1/approvals/{question}", json={"decision": "once"})


def asked(served: ServedConsole, text: str) -> str:
    """Make a call that waits; return the id of its question."""
    before = set(ids(served))
    served.begin_call("a__echo", {"text": text}, identity=f"local:{len(before)}")
    served.waiting(len(before) + 1)
    (question,) = set(ids(served)) - before
    return question


def ids(served: ServedConsole) -> list[str]:
    found: Any = served.run(served.console.sources.approvals.waiting)  # type: ignore[union-attr]  # a gateway has it
    return [question.id for question in found]


@pytest.mark.attack("login", "an agent's token logs in to the console, or answers a question over HTTP")
def test_an_agents_token_is_nobody_at_the_console(shared: ServedConsole) -> None:
    question, token = asked(shared, "one"), shared.operator_token("client")
    with shared.http(origin=shared.address) as client:
        login = client.post("/login/token", json={"token": token})
    bearer = answer(shared, question, authorization=f"Bearer {token}")
    assert (login.status_code, bearer.status_code) == (403, 401)
    assert "set-cookie" not in login.headers
    assert question in ids(shared)


@pytest.mark.attack("login", "the cookie of a session, read by a server on another port of the machine, answers")
def test_a_cookie_alone_changes_nothing(shared: ServedConsole) -> None:
    question = asked(shared, "two")
    browser, key = logged_in(shared)
    without = answer(shared, question, **browser)
    wrong = answer(shared, question, **browser, **{"x-lg-action": "guess"})
    assert {without.status_code, wrong.status_code} == {403}
    assert question in ids(shared)
    assert answer(shared, question, **browser, **{"x-lg-action": key}).status_code == 200


FOREIGN = (
    {"origin": "http://127.0.0.1:1"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
    {"host": "evil.example"},
)


@pytest.mark.attack("web pages", "a page of another address or port acts in the person's name, reads pages or listens")
def test_other_pages_can_neither_act_nor_read_even_with_cookie_and_key(shared: ServedConsole) -> None:
    question = asked(shared, "three")
    browser, key = logged_in(shared)
    for headers in FOREIGN:
        refused = answer(shared, question, **(browser | {"x-lg-action": key} | headers))
        assert refused.status_code in (403, 421), headers
    with shared.http(**browser, **{"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}) as client:
        seen = {client.get(path).status_code for path in ("/approvals", "/v1/approvals", "/v1/events?topics=approvals")}
    assert seen == {403}
    assert question in ids(shared)
    assert answer(shared, question, **browser, **{"x-lg-action": key}).status_code == 200


@pytest.mark.attack("login", "a one-time link is used twice, or after its minute; a session after its end")
def test_links_work_once_and_sessions_end(shared: ServedConsole) -> None:
    secret = shared.link().partition("#link=")[2]
    with shared.http(origin=shared.address) as client:
        tries = [client.post("/login/link", json={"link": secret}).status_code for _ in range(2)]
    assert tries == [200, 403]

    now = [1e12]  # far ahead, so that the store's own clock, which only tidies up, sees nothing as old
    table = SessionTable(ConsoleRows(shared.gateway.store, b"k" * 32), lambda: now[0])
    person = Person(name="user ann", role=Role.VIEWER)

    async def lives() -> list[bool]:
        late, idle, used = await table.link(), await table.begin(person), await table.begin(person)
        now[0] += LINK_S
        found = [await table.redeem(late)]
        for _ in range(int(SESSION_S / IDLE_S) * 2 - 1):
            now[0] += IDLE_S / 2
            found.append(await table.find(used.cookie) is not None)
        now[0] += IDLE_S / 2
        return [found[0], all(found[1:]), *[await table.find(made.cookie) is not None for made in (idle, used)]]

    assert shared.run(lives) == [False, True, False, False]


@pytest.mark.attack("login", "a session goes on after its operator's token was revoked; a login leads to another site")
def test_a_revoked_operator_is_logged_out_and_no_login_leads_elsewhere(shared: ServedConsole) -> None:
    token = shared.operator_token()
    with shared.http(origin=shared.address) as client:
        key = client.post("/login/token", json={"token": token}).json()["action_key"]
        assert client.get("/v1/approvals").status_code == 200
        revoke = partial(shared.gateway.tokens.revoke, named="ann", now=time.time(), by="test")
        shared.run(shared.gateway.store.write, revoke)
        assert client.get("/v1/approvals").status_code == 401
        question = asked(shared, "six")
        answered = client.post(f"/v1/approvals/{question}", json={"decision": "once"}, headers={"x-lg-action": key})
        assert answered.status_code == 401
        for following in ("//evil.example", "/%09/evil.example", "/%5Cevil.example", "https://evil.example", "%0A//x"):
            assert 'data-next="/"' in client.get(f"/login?next={following}").text, following
        assert 'data-next="/audit?tool=a"' in client.get("/login?next=/audit%3Ftool=a").text


@pytest.mark.attack("login", "a viewer answers; somebody who is no operator answers a question for operators")
def test_a_role_does_what_it_may_and_no_more(tmp_path: Path) -> None:
    wants_operator = '[[gateway.rules]]\ntools = ["*"]\neffect = "approve"\napprover = "operator"\n'
    with served_console(tmp_path, server("a"), wants_operator) as strict:
        hard = asked(strict, "five")
        viewer, key = logged_in(strict, Role.VIEWER)
        with strict.http(**viewer) as client:
            assert client.get("/v1/approvals").status_code == 200
            shown = client.get(f"/approvals/{hard}").text
        assert answer(strict, hard, **viewer, **{"x-lg-action": key}).status_code == 403
        assert "data-decide" not in shown
        approver, key = logged_in(strict, Role.APPROVER)
        assert answer(strict, hard, **approver, **{"x-lg-action": key}).status_code == 403
        token = strict.operator_token()
        assert answer(strict, hard, authorization=f"Bearer {token}").status_code == 200
        decided = [note for note in records(strict.gateway, notes=True) if note["outcome"] == "approved"]
    assert [note["detail"].partition(";")[0] for note in decided] == ["by operator:ann at the console"]


@pytest.mark.attack(
    "login", "a flood of wrong logins fills the ledger or locks people out; a body of a gigabyte fills memory"
)
def test_floods_are_refused_and_noted_once(tmp_path: Path) -> None:
    with served_console(tmp_path, server("a")) as served, served.http(origin=served.address) as client:
        form = client.post("/login/token", content=b"token=x", headers={"content-type": "text/plain"})
        large = client.post("/login/token", content=b"x" * 100_000, headers={"content-type": "application/json"})
        statuses = [client.post("/login/token", json={"token": f"lgo_{n}"}).status_code for n in range(25)]
        secret = served.link().partition("#link=")[2]
        right = [client.post("/login/link", json={"link": link}).status_code for link in ("x", secret, secret)]
        right.append(client.post("/login/token", json={"token": served.operator_token()}).status_code)
        notes = [note for note in records(served.gateway, notes=True) if note["outcome"] == "console login refused"]
    assert right == [429, 200, 429, 200], "a flood of wrong logins keeps nobody out"
    assert statuses == [403] * 20 + [429] * 5
    assert (form.status_code, large.status_code) == (400, 413)
    assert len(notes) == 1


@pytest.mark.attack("shown text", "arguments, callers and reasons hold markup or characters that hide or turn text")
def test_foreign_text_is_text_in_the_browser(browser: Browser, shared: ServedConsole) -> None:
    before = ids(shared)
    shared.begin_call("a__echo", {"text": f"{CODE}\n{HIDDEN}"}, identity=f"token:{CODE}", client=CODE)
    question = shared.waiting(len(before) + 1)[-1]
    with visiting(browser, shared) as visit:
        card = visit.page.locator(f"#q-{question}")
        expect(card).to_contain_text("onerror=")
        expect(card.locator(".question")).to_contain_text(r"\u{202e}/ \u{1b}[2J \u{200b}")
        card.locator("input[name=reason]").fill(f"no {CODE}")
        card.get_by_role("button", name="Deny").click()
        expect(card.locator(".ended")).to_contain_text("onerror=")
        visit.page.goto(f"{shared.address}/approvals/{CODE}".replace("#", "%23"))
        assert visit.page.evaluate(
            "[document.images.length, document.querySelectorAll('script:not([src])').length]"
        ) == [0, 0]


@pytest.mark.attack("shown text", "a server's name for a tool, its description, its errors or the ledger hold markup")
def test_text_of_servers_is_text_on_every_page(browser: Browser, tmp_path: Path) -> None:
    parts = (server("a", "--describe", CODE), server("gone", "--say", CODE, "--exit", "3"))
    with served_console(tmp_path, *parts) as served, visiting(browser, served) as visit:
        served.run(send, served.gateway, "a__echo", {CODE: CODE}, identity=f"token:{CODE}", client=CODE)
        with pytest.raises(MCPError):
            served.run(send, served.gateway, f"a__{CODE}", {})
        for path in (
            "/tools",
            "/tools?as=%3Csvg%20onload%3Dalert(4)%3E",
            "/pins",
            "/servers/gone",
            "/audit",
            "/policy",
        ):
            visit.page.goto(f"{served.address}{path}")
            expect(visit.page.locator("h1")).to_be_visible()
            assert visit.page.locator("img, main svg, script:not([src])").count() == 0, path
        visit.page.goto(f"{served.address}/tools")
        expect(visit.page.locator("tr", has_text="a__echo")).to_contain_text("<img src=x onerror=")
