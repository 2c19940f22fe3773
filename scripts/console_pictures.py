"""Take pictures of the console's pages: at three widths, light and dark. For looking at them; nothing compares them.

Needs Chromium and what the tests need. `--readme` writes only docs/console.png, the picture of the documentation.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402  after the path of the tests
from tests.console.conftest import launched  # noqa: E402  as above
from tests.console.served import ServedConsole, served_console, visiting  # noqa: E402  as above
from tests.gateway.rig import send, server  # noqa: E402  as above

WIDTHS = (390, 820, 1280)
HEIGHT = 900
PAGES = ("approvals", "audit", "servers", "tools", "pins", "policy", "login")
PATCH = """\
--- a/src/tidal/model.py
+++ b/src/tidal/model.py
@@ -1,3 +1,3 @@
 def depth(chart: float, tide: float) -> float:
     \"\"\"Water above the sill, in metres.\"\"\"
-    return chart - tide
+    return chart + tide
"""
RUN = {"lg/run": {"run_id": "20261130T0912-7f3a", "epoch": 1, "step": "7"}}


def main() -> None:
    """Serve a gateway with some calls and questions, and take the pictures."""
    parser = argparse.ArgumentParser(description="Take pictures of the console's pages.")
    parser.add_argument("--readme", action="store_true", help="write docs/console.png only")
    parser.add_argument("--out", type=Path, default=Path("console-pictures"), metavar="DIR")
    args = parser.parse_args()
    with example() as served, sync_playwright() as playwright, launched(playwright) as browser:
        if args.readme:
            picture(browser, served, "approvals", 1000, "light", ROOT / "docs" / "console.png")
            return
        args.out.mkdir(exist_ok=True)
        for page in PAGES:
            for width in WIDTHS:
                for theme in ("light", "dark"):
                    picture(browser, served, page, width, theme, args.out / f"{page}-{width}-{theme}.png")


@contextmanager
def example() -> Iterator[ServedConsole]:
    """A gateway that has answered some calls, with questions that wait."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("STATE", "CONFIG", "CACHE", "DATA"):
            os.environ[f"XDG_{name}_HOME"] = f"{scratch}/{name.lower()}"
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
