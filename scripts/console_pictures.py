"""Take pictures of the consoles' pages: at three widths, light and dark. For looking at them; nothing compares them.

The gateway's pages show calls and questions that wait; the runs' pages show none, then a run that is live, waits and is
done. Then all show 10,000 of hostile text.

Needs Chromium and what the tests need. `--readme` writes only docs/console.png, the picture of the documentation.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, expect, sync_playwright  # noqa: E402  after the path of the tests
from tests.console.conftest import launched  # noqa: E402  as above
from tests.console.long_run import many_runs  # noqa: E402  as above
from tests.console.many_rows import many_rows  # noqa: E402  as above
from tests.console.plausible_run import PlausibleModel, begin, plausible_runs  # noqa: E402  as above
from tests.console.served import ServedConsole, Visit, opened_page, served_console, visiting  # noqa: E402  as above
from tests.gateway.rig import send, server  # noqa: E402  as above

WIDTHS = (390, 820, 1440)
THEMES = ("light", "dark")
HEIGHT = 900
LONG_S = 120.0
SETTLE_MS = 300
"""What a page gets to show that it is live."""
PAGES = ("approvals", "audit", "servers", "tools", "pins", "policy", "login")
ERROR = "approvals/none"
"""A page that cannot be shown."""
MANY_PAGES = {
    "many-approvals": "approvals", "many-audit": "audit", "one-call": "audit/c1", "many-servers": "servers",
    "one-server": "servers/fs", "many-tools": "tools", "many-pins": "pins", "many-rules": "policy",
}  # fmt: skip
RUN_PAGES = {
    "runs": "runs", "last-runs": "runs?after=9950", "new-run": "runs/new", "run": "runs/run-0?tab=thoughts",
    "replay": "runs/run-1?at=900", "run-diff": "runs/run-0?tab=diff", "run-checks": "runs/run-0?tab=checks",
    "undo": "runs/run-1/undo", "compare": "runs/run-1/compare/run-2",
}  # fmt: skip
PATCH = """\
--- a/src/tidal/model.py
+++ b/src/tidal/model.py
@@ -1,3 +1,3 @@
 def depth(chart: float, tide: float) -> float:
     \"\"\"Water above the sill, in metres.\"\"\"
-    return chart - tide
+    return chart + tide
"""
KEYS = {"OPENAI_API_KEY": "sk-scripted-0123456789"}
RUN = {"lg/run": {"run_id": "20261130T0912-7f3a", "epoch": 1, "step": "7"}}


def main() -> None:
    """Serve a gateway with some calls and questions, and take the pictures."""
    parser = argparse.ArgumentParser(description="Take pictures of the console's pages.")
    parser.add_argument("--readme", action="store_true", help="write docs/console.png only")
    parser.add_argument("--out", type=Path, default=Path("console-pictures"), metavar="DIR")
    args = parser.parse_args()
    if not args.readme:
        args.out.mkdir(exist_ok=True)
    with places_of_our_own(), sync_playwright() as playwright, launched(playwright) as browser:
        if not args.readme:
            os.environ |= KEYS
            live_pictures(browser, args.out)
            run_pictures(browser, args.out)
        with example() as served:
            if args.readme:
                picture(browser, served, "approvals", 1000, "light", ROOT / "docs" / "console.png")
                return
            for page, width, theme in product((*PAGES, ERROR), WIDTHS, THEMES):
                picture(browser, served, page, width, theme, args.out / f"{page.replace('/', '-')}-{width}-{theme}.png")


@contextmanager
def places_of_our_own() -> Iterator[None]:
    """Keep state, settings and keys of these programs apart from the user's."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("STATE", "CONFIG", "CACHE", "DATA"):
            os.environ[f"XDG_{name}_HOME"] = f"{scratch}/{name.lower()}"
        yield


def run_pictures(browser: Browser, out: Path) -> None:
    """Take the pictures of the pages of runs: of none, and of many."""
    for state, runs, paths in (("empty", 0, {"runs": "runs"}), ("many", 10_000, RUN_PAGES)):
        with many_runs(events=2_000, runs=runs) as (address, link), opened_page(browser, address) as visit:
            visit.page.goto(link)
            visit.page.wait_for_url("**/runs")
            views(visit, address, paths, out, state)
    sources = many_rows(10_000)
    with many_runs(events=0, runs=0, sources=sources) as (address, link), opened_page(browser, address) as visit:
        visit.page.goto(link)
        visit.page.wait_for_url("**/runs")
        views(visit, address, MANY_PAGES, out, "many")


def live_pictures(browser: Browser, out: Path) -> None:
    """Take the pictures of one run: while a model is asked, while it waits for a person, and at its end."""
    model = PlausibleModel(held={1})
    with (
        tempfile.TemporaryDirectory() as folder,
        plausible_runs(Path(folder), model) as served,
        opened_page(browser, served.address) as visit,
    ):
        page = visit.page
        page.goto(served.link())
        page.wait_for_url("**/runs")
        run = f"runs/{begin(served)}"
        model.silent.wait(LONG_S)
        loading = "**/v1/events?*"
        page.route(loading, lambda _route: None)  # the answer does not come
        views(visit, served.address, {"loading": run}, out, "run", settle=False)
        page.unroute(loading)
        views(visit, served.address, {"live": run, "runs": "runs", "approvals": "approvals"}, out, "live")
        model.go_on.set()
        state = page.locator("#run-head .state")
        page.goto(f"{served.address}/{run}")
        expect(state).to_have_text("waiting", timeout=1_000 * LONG_S)
        views(visit, served.address, {"run": run, "approvals": "approvals", "runs": "runs"}, out, "waiting")
        page.goto(f"{served.address}/{run}")
        page.get_by_role("button", name="For this run").click()
        expect(state).to_have_text(re.compile("done|unchecked"), timeout=1_000 * LONG_S)
        tabs = {f"run-{tab}": f"{run}?tab={tab}" for tab in ("thoughts", "plan", "diff", "checks", "report", "log")}
        more = {"replay": f"{run}?at=20", "undo": f"{run}/undo", "compare": f"{run}/compare/{run.partition('/')[2]}"}
        views(visit, served.address, tabs | more, out, "done")


def views(visit: Visit, address: str, paths: dict[str, str], out: Path, state: str, *, settle: bool = True) -> None:
    """Take pictures of pages at all widths, light and dark; of pages that are still loading without `settle`."""
    for (name, path), width, theme in product(paths.items(), WIDTHS, THEMES):
        visit.page.set_viewport_size({"width": width, "height": HEIGHT})
        visit.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        visit.page.goto(f"{address}/{path}", wait_until="load" if settle else "domcontentloaded")
        if settle:
            visit.page.wait_for_timeout(SETTLE_MS)
        visit.page.screenshot(path=out / f"{name}-{state}-{width}-{theme}.png", full_page=True)


@contextmanager
def example() -> Iterator[ServedConsole]:
    """A gateway that has answered some calls, with questions that wait."""
    with tempfile.TemporaryDirectory() as scratch:
        allow = '[[gateway.rules]]\ntools = ["files__peek"]\neffect = "allow"\nreason = "reading is fine"\n'
        parts = (server("files"), server("tracker", "--exit", "3", "--say", "token has expired"), allow)
        with served_console(Path(scratch), *parts) as served:
            for number in range(60):
                served.run(send, served.gateway, "files__peek", {}, identity=f"token:{('ann', 'bob')[number % 2]}")
            served.begin_call("files__echo", {"text": PATCH}, meta=RUN, client="lg-orch 0.1.0")
            served.waiting(1)
            served.begin_call("files__slow", {}, meta=RUN, client="lg-orch 0.1.0")
            served.waiting(2)
            yield served


def picture(browser: Browser, served: ServedConsole, page: str, width: int, theme: str, path: Path) -> None:
    """Take one picture."""
    options = {"viewport": {"width": width, "height": HEIGHT}, "color_scheme": theme}
    with visiting(browser, served, link=page != "login", **options) as visit:
        visit.page.goto(f"{served.address}/{page}")
        visit.page.wait_for_load_state("networkidle") if page == "audit" else visit.page.wait_for_timeout(300)
        visit.page.screenshot(path=path)


if __name__ == "__main__":
    main()
