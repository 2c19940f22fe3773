"""Measure in Chromium when the page of a run with 2,000 events is first painted, and how long ten live runs take.

`python -m bench.console.first_paint [--picture FILE]`. Compare on an idle machine only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from tests.console.conftest import launched
from tests.console.long_run import many_runs

EVENTS, LIVE, TIMES = 2_000, 10, 5
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the console's pages in Chromium.")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also take a picture of the run's page")
    args = parser.parse_args()
    with (
        many_runs(events=EVENTS, runs=10_000) as (address, link),
        sync_playwright() as playwright,
        launched(playwright) as browser,
    ):
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        page = context.new_page()
        page.goto(link)
        page.wait_for_url("**/runs")
        for path in ("runs", "runs/run-0"):
            times = sorted(painted(page, f"{address}/{path}") for _ in range(TIMES))
            print(f"{path}: first paint after {times[len(times) // 2]:.0f} ms (median of {TIMES})")
        if args.picture is not None:
            page.screenshot(path=args.picture, full_page=True)
        pages = [context.new_page() for _ in range(LIVE)]
        times = [painted(each, f"{address}/runs/run-0") for each in pages]
        print(f"{LIVE} live pages of {EVENTS} events: the slowest was painted after {max(times):.0f} ms")


def painted(page: Page, address: str) -> float:
    """Return milliseconds until something of the page is seen."""
    page.goto(address)
    page.wait_for_function(f"{PAINTED} !== undefined")
    return float(page.evaluate(PAINTED))


if __name__ == "__main__":
    main()
