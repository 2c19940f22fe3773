"""A run service with its console in this process, and pages of it in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from lg_console.web.console import Console
from lg_orch.service.assembly import Parts
from lg_policy.wire.serving import shown_address
from tests.console.served import Visit, opened_page
from tests.orchestrator.service.serving import Serving, served_service


@dataclass(frozen=True, kw_only=True)
class ServedRuns:
    """A service that is being served."""

    address: str
    token: str
    """Of an operator."""
    serving: Serving

    @property
    def console(self) -> Console:
        return self.serving.console

    @property
    def parts(self) -> Parts:
        return self.serving.parts

    def link(self) -> str:
        """Return a link that logs in the person at this machine."""
        made = asyncio.run_coroutine_threadsafe(self.console.link(self.address), self.serving.loop)
        return made.result(60)


@contextmanager
def served_runs(root: Path, *flags: str, worker: bool = True) -> Iterator[ServedRuns]:
    """A run service with its console and a worker."""
    with served_service(root, *flags, worker=worker) as made:
        yield ServedRuns(
            address=shown_address("127.0.0.1", made.listener),
            token=made.parts.tokens.create("ann", "operator", 3600),
            serving=made,
        )


@contextmanager
def operator(browser: Browser, address: str, token: str, **options: Any) -> Iterator[Visit]:
    """A browser of somebody who has logged in with a token."""
    with opened_page(browser, address, **options) as visit:
        visit.page.goto(f"{address}/login")
        visit.page.get_by_label("Token").fill(token)
        visit.page.get_by_role("button", name="Log in").click()
        visit.page.wait_for_url("**/runs")
        yield visit
