"""Pages of a run with 2,000 events and of 10,000 runs, all of whose text is hostile: weight, access, and no markup."""

from __future__ import annotations

from functools import partial

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.sync_api import Browser, Page, expect

from lg_console.pages.run import TABS
from tests.console.long_run import many_runs
from tests.console.many_rows import many_rows
from tests.console.served import opened_page
from tests.console.weighing import MOST_BYTES, add_size, serious

PAGES = (
    "runs",
    "runs?after=9950",
    "runs/run-1?at=900&tab=log",
    "runs/new",
    "runs/run-1/undo",
    "runs/run-1/compare/run-2",
)
CHECKED = (
    "runs",
    "runs/new",
    "runs/run-0?tab=thoughts",
    "runs/run-0?tab=diff",
    "runs/run-0?tab=checks",
    "runs/run-1/undo",
    "runs/run-1?at=900&tab=log",
)
"""Pages that axe looks at: each kind once."""


def test_pages_of_runs_are_light_accessible_and_show_text_as_text(browser: Browser) -> None:
    sizes: list[int] = []
    faults: dict[str, list[str]] = {}
    with many_runs(events=2_000, runs=10_000) as (address, link), opened_page(browser, address) as visit:
        page = visit.page
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(link)
        page.wait_for_url("**/runs")
        page.on("response", partial(add_size, sizes))
        for path in (*PAGES, *[f"runs/run-0?tab={tab}" for tab in TABS]):
            sizes.clear()
            page.goto(f"{address}/{path}")
            expect(page.locator("h1")).to_be_visible()
            assert 0 < sum(sizes) <= MOST_BYTES, f"{path} weighs {sum(sizes)} bytes"
            assert page.locator("img, script:not([src])").count() == 0, path
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{path} is {wide} wide on a phone"
            if path in CHECKED:
                faults[path] = _faults(page)
                page.emulate_media(color_scheme="dark")
                faults[f"{path} in the dark"] = _faults(page)
                page.emulate_media(color_scheme="light")
    assert not {path: found for path, found in faults.items() if found}


def _faults(page: Page) -> list[str]:
    report = Axe().run(page).response
    return [f"{found['id']}: {found['help']}" for found in report["violations"] if serious(found)]


GATEWAY_PAGES = (
    "approvals", "approvals/ap-1", "audit", "audit?before=5000", "audit/c1", "servers", "servers/fs", "tools",
    "tools?first=9900", "tools?text=*99*", "pins", "policy",
)  # fmt: skip


def test_pages_of_10000_questions_calls_tools_and_rules_are_light_and_show_text_as_text(browser: Browser) -> None:
    sizes: list[int] = []
    with (
        many_runs(events=0, runs=0, sources=many_rows(10_000)) as (address, link),
        opened_page(browser, address) as visit,
    ):
        page = visit.page
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(link)
        page.wait_for_url("**/runs")
        page.on("response", partial(add_size, sizes))
        for path in GATEWAY_PAGES:
            sizes.clear()
            page.goto(f"{address}/{path}")
            expect(page.locator("h1")).to_be_visible()
            assert 0 < sum(sizes) <= MOST_BYTES, f"{path} weighs {sum(sizes)} bytes"
            assert page.locator("img, script:not([src])").count() == 0, path
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{path} is {wide} wide on a phone"
        page.goto(f"{address}/tools?text=*99*9")
        expect(page.locator("h1")).to_contain_text("19")
        page.goto(f"{address}/approvals")
        expect(page.locator("#more")).to_contain_text("more wait")
