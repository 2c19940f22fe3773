"""The ledger, servers, tools, pins and rules in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, expect

from lg_console.sources.ledger import PAGE
from tests.console.served import ServedConsole, served_console, visiting
from tests.gateway.rig import ALLOW_ALL, send, server


def test_the_ledger_is_filtered_paged_exported_and_shows_the_state_of_its_chain(
    browser: Browser, tmp_path: Path
) -> None:
    with served_console(tmp_path, server("a"), ALLOW_ALL) as served:
        served.run(many, served, PAGE + 5)
        with visiting(browser, served) as visit:
            page = visit.page
            page.keyboard.press("g")
            page.keyboard.press("u")
            page.wait_for_url("**/audit")
            expect(page.locator("#chain")).to_contain_text("verified to record")
            expect(page.locator("tbody tr")).to_have_count(PAGE)
            first = page.locator("tbody a").all_inner_texts()
            page.get_by_role("link", name="Older").click()
            expect(page.get_by_role("link", name="Newest")).to_be_visible()
            assert page.locator("tbody tr").count() >= 5
            page.locator("body").press("/")
            page.keyboard.type("a__fail")
            page.keyboard.press("Enter")
            page.wait_for_url("**tool=a__fail**")
            expect(page.locator("tbody tr")).to_have_count(1)
            page.locator("tbody a").click()
            expect(page.locator("pre").first).to_contain_text("a__fail")
            page.goto(f"{served.address}/audit?tool=nothing")
            expect(page.get_by_text("No call fits this filter.")).to_be_visible()
        with served.http(authorization=f"Bearer {served.operator_token()}") as client:
            chosen = client.get("/v1/audit/export", params={"tool": "a__fail"})
            whole = client.get("/v1/audit/export").text.splitlines()
            pages = list(paged(client))
            bad = client.get("/v1/audit", params={"since": "yesterday"})
    assert len(first) == PAGE
    assert chosen.headers["content-disposition"].startswith("attachment")
    assert {json.loads(line)["tool"] for line in chosen.text.splitlines()} == {"a__fail"}
    assert "head" in json.loads(whole[-1])
    assert len(pages) == len(set(pages)) >= PAGE + 5
    assert bad.status_code == 400


async def many(served: ServedConsole, count: int) -> None:
    for number in range(count):
        await send(served.gateway, "a__echo", {"text": f"call {number}"})
    await send(served.gateway, "a__fail", {})


def paged(client: httpx2.Client) -> Iterator[str]:
    older = None
    while True:
        found = client.get("/v1/audit", params={"before": older} if older else {}).json()
        yield from (call["id"] for call in found["calls"])
        older = found["older"]
        if older is None:
            return


def test_a_server_that_ends_is_seen_at_once_with_its_cause_and_its_log(browser: Browser, tmp_path: Path) -> None:
    parts = (server("a"), server("gone", "--exit"), ALLOW_ALL)
    with served_console(tmp_path, *parts) as served, visiting(browser, served) as visit:
        page = visit.page
        page.goto(f"{served.address}/servers")
        row = page.locator("tr", has_text="gone")
        expect(row).to_contain_text("exited with status")
        page.get_by_role("link", name="gone").click()
        expect(page.locator("#server")).to_contain_text("exited with status")
        page.get_by_role("button", name="Try again now").click()
        page.goto(f"{served.address}/servers/a")
        expect(page.locator("#server")).to_contain_text("up")


def test_decisions_for_a_caller_rules_with_hits_and_one_call_explained(browser: Browser, tmp_path: Path) -> None:
    rules = '[[gateway.rules]]\ntools = ["a__fail"]\nidentities = ["token:bob"]\neffect = "deny"\nreason = "not bob"\n'
    with served_console(tmp_path, server("a"), ALLOW_ALL, rules) as served:
        served.run(send, served.gateway, "a__echo", {"text": "one"}, identity="token:bob")
        with visiting(browser, served) as visit:
            page = visit.page
            page.goto(f"{served.address}/tools")
            expect(page.locator("tr", has_text="a__fail").locator(".state")).to_have_text("allow")
            page.locator("input[name=as]").fill("token:bob")
            page.get_by_role("button", name="Show").click()
            expect(page.locator("tr", has_text="a__fail").locator(".state")).to_have_text("deny")
            page.goto(f"{served.address}/policy")
            page.locator("input[name=tool]").fill("a__fail")
            page.locator("input[name=as]").fill("token:bob")
            page.get_by_role("button", name="Explain").click()
            expect(page.locator("#explained")).to_contain_text("not bob")
            page.locator("input[name=args]").fill("{")
            page.get_by_role("button", name="Explain").click()
            expect(page.locator(".problem")).to_contain_text("not JSON")


def test_a_changed_definition_is_accepted_as_it_is_shown_and_not_as_another(browser: Browser, tmp_path: Path) -> None:
    with served_console(tmp_path, server("a", "--describe", "what it did before")):
        pass
    with served_console(tmp_path, server("a", "--describe", "what it does now")) as served:
        with served.http(authorization=f"Bearer {served.operator_token()}") as client:
            held = {"server": "a", "tool": "echo", "digest": "0" * 16}
            stale = client.post("/v1/pins/accept", json=held)
        with visiting(browser, served) as visit:
            visit.page.goto(f"{served.address}/pins")
            card = visit.page.locator(".card", has_text="a: echo")
            expect(card.locator(".add").last).to_contain_text("what it does now")
            card.get_by_role("button", name="Accept this definition").click()
            expect(visit.page.locator(".card", has_text="a: echo")).to_have_count(0)
            expect(visit.page.locator("tr", has_text="echo")).to_be_visible()
    assert stale.status_code == 409
