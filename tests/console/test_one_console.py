"""The run service shows one console: runs, and the questions, ledger, servers and rules of the gateway behind them."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from bench.workers.fleet import decide
from playwright.sync_api import Browser, expect

from lg_orch.testing import ScriptedModel
from tests.console.served import LONG_MS, opened_page
from tests.console.served_runs import served_runs
from tests.scripted_settings import scripted_settings

pytestmark = pytest.mark.usefixtures("programs_by_fork")

SECTIONS = ["Runs", "Approvals", "Audit", "Servers", "Tools", "Pins", "Policy"]


def test_questions_of_runs_are_answered_among_those_of_the_gateway_and_the_run_goes_on(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    root, config = tmp_path / "repo", tmp_path / "settings.toml"
    root.mkdir()
    (root / "log.txt").write_text("begin\nend\n")
    (root / "Makefile").write_text("test:\n\ttrue\n")
    with ScriptedModel(decide) as model:
        config.write_text(scripted_settings(model.base_url))
        with served_runs(root, "--config", str(config)) as served, opened_page(browser, served.address) as visit:
            page = visit.page
            page.goto(served.link())
            page.wait_for_url("**/runs")
            assert page.locator("nav[aria-label=Sections] a").all_inner_texts() == SECTIONS
            with httpx2.Client(base_url=served.address, timeout=60) as client:
                bearer = {"authorization": f"Bearer {served.token}"}
                made = client.post("/v1/runs", json={"request": "insert two lines, token r0001"}, headers=bearer)
                run = made.json()["run_id"]
            page.goto(f"{served.address}/approvals")
            card = page.locator(".card")
            expect(card).to_contain_text("+a-r0001", timeout=2 * LONG_MS)
            expect(card.get_by_role("link", name=f"run {run}")).to_be_visible()
            card.get_by_role("button", name="For this run").click()
            page.goto(f"{served.address}/runs/{run}")
            expect(page.locator("#run-head .state")).to_have_text("done", timeout=2 * LONG_MS)
            assert (root / "log.txt").read_text() == "begin\na-r0001\nb-r0001\nend\n"
            page.goto(f"{served.address}/audit?tool=fs__apply_patch&outcome=ok")
            expect(page.locator("tbody tr", has_text=run)).to_have_count(0)
            expect(page.locator("tbody tr").first).to_contain_text("fs__apply_patch")
            page.goto(f"{served.address}/servers")
            expect(page.locator("tr", has_text="fs")).to_contain_text("starts with the next run")
            page.goto(f"{served.address}/tools")
            expect(page.locator("tr", has_text="fs__apply_patch")).to_contain_text("approve")
            page.goto(f"{served.address}/policy?tool=exec__exec")
            expect(page.locator("main")).to_contain_text("the only command does nothing")
            with httpx2.Client(base_url=served.address, timeout=60) as client:
                found = client.get("/v1/approvals?state=all", headers=bearer).json()["approvals"]
            (question,) = found
            assert question["decided_by"].endswith("at the console")
