"""What axe-core finds on the pages, and how heavy they are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.sync_api import Browser, expect

from tests.console.served import served_console, visiting
from tests.console.weighing import MOST_BYTES, add_size, serious
from tests.gateway.rig import send, server

PAGES = ("approvals", "audit", "servers", "servers/a", "tools", "pins", "policy?tool=a__echo")
RUN = {"lg/run": {"run_id": "r1", "epoch": 1, "step": "1"}}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_fault_of_access_or_is_heavy(browser: Browser, tmp_path: Path, theme: str) -> None:
    peek = '[[gateway.rules]]\ntools = ["a__peek"]\neffect = "allow"\n'
    with served_console(tmp_path, server("a"), server("gone", "--exit", "3"), peek) as served:
        served.run(send, served.gateway, "a__peek", {"text": "x"})
        for text in ("one", "two"):
            served.begin_call("a__echo", {"text": text}, meta=RUN)
        served.waiting(2)
        found: dict[str, list[str]] = {}
        sizes: list[int] = []
        with visiting(browser, served, color_scheme=theme, viewport={"width": 390, "height": 800}) as visit:
            visit.page.on("response", partial(add_size, sizes))
            for path in PAGES:
                sizes.clear()
                visit.page.goto(f"{served.address}/{path}")
                expect(visit.page.locator("h1")).to_be_visible()
                report = Axe().run(visit.page).response
                assert report["passes"]
                found[path] = [f"{fault['id']}: {fault['help']}" for fault in report["violations"] if serious(fault)]
                assert sum(sizes) <= MOST_BYTES, path
                wide = visit.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= 390, f"{path} is {wide} wide on a phone"
    assert not {path: faults for path, faults in found.items() if faults}
