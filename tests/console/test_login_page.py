"""The page of the login names the ways in that its program has."""

from __future__ import annotations

import pytest

from lg_console.login.memory import MemoryRows
from lg_console.pages.login import login_page
from lg_console.web.console import Console, Sources
from tests.console.long_run import ManyRuns, Nobody


@pytest.mark.parametrize("runs", [True, False])
def test_the_login_names_commands_of_the_program_that_serves_it(runs: bool) -> None:
    sources = Sources(runs=ManyRuns(events=1, runs=1)) if runs else Sources()
    page = login_page(Console(sources, people=Nobody(), store=MemoryRows(), name="LG"), "")
    assert ("lg-orch tokens create" in page, "lg-gateway tokens create" in page) == (runs, not runs)
    assert "lg-gateway console" in page, "it shows links to the consoles of both"
