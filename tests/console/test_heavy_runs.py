"""Pages of a run with 2,000 events and of 10,000 runs, all of whose text is hostile: weight, access, and no markup."""

from __future__ import annotations

from functools import partial

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.sync_api import Browser, Page, expect

from lg_console.pages.run import TABS
from tests.console.long_run import many_runs
from tests.console.served import opened_page
from tests.console.weighing import MOST_BYTES, add_size, serious

PAGES = ("runs", "runs?after=9950", "runs/new", "runs/run-1/undo", "runs/run-1/compare/run-2")
CHECKED = (
    "runs",
    "runs/new",
    "runs/run-0?tab=thoughts",
    "runs/run-0?tab=diff",
    "runs/run-0?tab=checks",
    "runs/run-1/undo",
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
