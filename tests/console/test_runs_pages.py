"""Runs in a browser: begun, watched, answered, compared and undone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.console.served import LONG_MS
from tests.console.served_runs import operator, served_runs

pytestmark = pytest.mark.usefixtures("programs_by_fork")


def test_a_run_is_begun_watched_to_its_end_exported_and_compared(browser: Browser, tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    (root / "README.md").write_text("# Thing\n\nIt does a <script>alert(1)</script> thing.\n")
    with served_runs(root) as served, operator(browser, served.address, served.token) as visit:
        address = served.address
        page = visit.page
        expect(page.get_by_text("There is no run yet.")).to_be_visible()
        page.goto(f"{address}/runs/new")
        page.get_by_label("What is to be done").fill("summarize repo")
        page.get_by_role("button", name="Begin").click()
        page.wait_for_url(re.compile(r"/runs/\d+T"))
        first = page.url
        head = page.locator("#run-head")
        expect(head.locator(".state")).to_have_text("done", timeout=2 * LONG_MS)
        expect(page.locator("#graph svg text", has_text="planner")).to_be_visible()
        assert page.locator("#graph svg rect *, #timeline svg rect *").count() == 0
        expect(page.locator("#timeline svg")).to_contain_text("fs__list_files")
        page.goto(f"{first}?tab=report&show=calls")
        expect(page.locator("#tab pre")).to_contain_text("Thing")
        assert page.locator("#timeline svg text", has_text="planner").count() == 0
        for tab in ("plan", "diff", "checks", "log", "artifacts"):
            page.goto(f"{first}?tab={tab}")
            expect(page.locator("#tab")).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("link", name="report.md").click()
        assert "Thing" in Path(saved.value.path()).read_text()
        page.get_by_text("Act on this run").click()
        page.get_by_label("Fork after step").fill("2")
        page.get_by_role("button", name="Fork").click()
        page.wait_for_url(lambda url: "/runs/" in url and url.partition("?")[0] != first)
        second = page.url
        expect(page.locator("#run-head")).to_contain_text("Forked from")
        page.goto(f"{first}/compare/{second.rpartition('/')[2]}")
        expect(page.locator("table")).to_contain_text("summarize repo")
        page.goto(f"{address}/runs?text=nothing-of-this")
        expect(page.get_by_text("No run fits this filter.")).to_be_visible()
        html = page.request.get(f"{first}/export").text()
        exported = tmp_path / "run.html"
        exported.write_text(html)
        page.goto(exported.as_uri())
        expect(page.locator("svg").first).to_be_visible()
        assert "<script" not in html
        visit.wrong[:] = [line for line in visit.wrong if not line.startswith(f"request to {exported.as_uri()}")]
