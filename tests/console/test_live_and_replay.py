"""Runs while they go on, in many pages at once; and runs looked at again, event by event."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.console.long_run import CODE, ManyRuns, many_runs
from tests.console.served import LONG_MS, opened_page

NOTED = """
window.noted = [];
class Noted { constructor(title, options) { window.noted.push(`${title}: ${options.body}`); } }
Noted.permission = "granted";
Noted.requestPermission = async () => "granted";
window.Notification = Noted;
Object.defineProperty(document, "visibilityState", { get: () => window.hiddenNow ? "hidden" : "visible" });
"""
"""A browser without a screen shows no notification: what would be shown is kept instead."""


def test_ten_runs_in_ten_pages_of_one_browser_are_live_at_once(browser: Browser) -> None:
    source = ManyRuns(events=20, runs=20, told={f"run-{number}": [] for number in range(10)})
    with many_runs(events=0, runs=0, source=source) as (address, link), opened_page(browser, address) as visit:
        visit.page.goto(link)
        visit.page.wait_for_url("**/runs")
        pages = [visit.page, *[visit.context.new_page() for _ in range(9)]]
        for number, page in enumerate(pages):
            page.goto(f"{address}/runs/run-{number}", timeout=LONG_MS)
        for news in ("first", "second"):
            for number in range(10):
                source.told[f"run-{number}"].append(f"{news} of run {number}")
            for number, page in enumerate(pages):
                expect(page.locator("#tab")).to_contain_text(f"{news} of run {number}", timeout=2 * LONG_MS)
        for number, page in enumerate(pages):
            others = [f"of run {other}" for other in range(10) if other != number]
            assert not [other for other in others if other in page.locator("#tab").inner_text()]


def test_whoever_looks_elsewhere_is_told_that_a_run_waits_but_not_for_what(browser: Browser) -> None:
    source = ManyRuns(events=20, runs=5, told={"run-1": []})
    with many_runs(events=0, runs=0, source=source) as (address, link), opened_page(browser, address) as visit:
        page = visit.page
        page.add_init_script(NOTED)
        page.goto(link)
        page.wait_for_url("**/runs")
        page.goto(f"{address}/runs/run-1")
        page.get_by_role("button", name="Notify me").click()
        expect(page.get_by_role("button", name="Do not notify me")).to_be_visible()
        page.evaluate("window.hiddenNow = true; document.dispatchEvent(new Event('visibilitychange'))")
        source.waits.add("run-1")
        expect(page.locator("#run-head .state")).to_have_text("waiting", timeout=LONG_MS)
        assert page.evaluate("window.noted") == ["LG console: A run waits for you."]
        source.told["run-1"].append("it waits still")
        expect(page.locator("#tab")).to_contain_text("it waits still", timeout=LONG_MS)
        assert len(page.evaluate("window.noted")) == 1


def test_a_run_is_replayed_event_by_event_by_mouse_and_by_keys(browser: Browser) -> None:
    with many_runs(events=40, runs=3) as (address, link), opened_page(browser, address) as visit:
        page = visit.page
        page.goto(link)
        page.wait_for_url("**/runs")
        page.goto(f"{address}/runs/run-1")
        page.get_by_role("link", name="Replay").click()
        stands(page, 1)
        for name, place in (
            ("Next", 2),
            ("Next node", 9),
            ("Back", 8),
            ("Last", 40),
            ("Node before", 33),
            ("First", 1),
        ):
            page.get_by_role("button", name=name, exact=True).click()
            stands(page, place)
        expect(page.locator("#tab")).to_contain_text("Nothing was said yet.")
        for key, place in (("n", 2), ("n", 3), ("b", 2)):
            page.locator("main").press(key)
            stands(page, place)
        page.locator("#replay-at").fill("9")
        stands(page, 9)
        expect(page.locator("#graph svg title").first).to_contain_text("Now: executor")
        page.get_by_role("link", name="Log").click()
        stands(page, 9)
        assert page.locator("#tab details").count() == 9
        page.get_by_role("button", name="Play").click()
        expect(page.locator("#replay label")).to_contain_text("Event 11 of 40", timeout=LONG_MS)
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Last", exact=True).click()
        stands(page, 40)
        assert page.get_by_role("button", name="Next", exact=True).is_disabled()
        assert page.locator("img, #tab script").count() == 0
        expect(page.locator("#run-head")).to_contain_text(CODE.partition("\u202e")[0])
        assert page.locator("#actions, #questions .card").count() == 0
        page.get_by_role("link", name="Leave the replay").click()
        expect(page.locator("#replay")).to_have_count(0)


def stands(page: Page, place: int) -> None:
    """The replay stands after so many events, in the page and in its address."""
    expect(page.locator("#replay label")).to_contain_text(f"Event {place} of 40", timeout=LONG_MS)
    expect(page).to_have_url(re.compile(rf"[?&]at={place}(&|#|$)"), timeout=LONG_MS)
