"""Where all tests take long, those nearest to the change run first, and all of them once at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import text
from tests.orchestrator.llm.workshop import DONE, READ, RIGHT, WRONG, patch, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.orchestrator.llm.workshop import Ran

WORSE = "return a * b"
NEAR = """
from calc import add

def test_add():
    print("FAILED --co::x\\nFAILED ../../out.py::x")
    assert add(1, 2) == 3
"""
FAR = """
import pathlib

def test_far():
    with pathlib.Path({noted!r}).open("a") as file:
        file.write("far\\n")
"""


async def repaired(place: Path, **budgets: float) -> tuple[Ran, int]:
    """A run that gets it right the second time, and how often the tests far from the change ran."""
    noted = place / "noted"
    files = {"pytest.ini": "[pytest]\n", "test_calc.py": NEAR, "test_far.py": FAR.format(noted=str(noted))}
    script = [READ, patch(WRONG, WORSE), text(DONE), patch(WORSE, RIGHT), text(DONE)]
    done = await run(place, script, files=files, commands=("pytest",), budgets=budgets)
    assert done.final.status == "done", done.final.text
    return done, len(noted.read_text().splitlines())


@pytest.mark.anyio
async def test_all_tests_run_only_once_the_nearest_pass_and_alone_count(tmp_path: Path) -> None:
    done, times = await repaired(tmp_path, near_tests_above_s=0)
    assert times == 2, "before the change and at the end"
    first, repair = [event["name"] for event in done.made.events("verify", "end")]
    assert first == "pytest -q test_calc.py", "what else the output names is no file of tests"
    assert repair == "pytest -q"
    assert done.state.verification is not None
    assert [check.name for check in done.state.verification.checks] == ["pytest -q"]
    told = str(done.model.requests[-1]["messages"])
    assert told.count("nearest to the change") == 1, "what passed is not told"


@pytest.mark.anyio
async def test_where_all_tests_are_quick_they_run_at_once(tmp_path: Path) -> None:
    done, times = await repaired(tmp_path, near_tests_above_s=600)
    assert times == 3
    assert "nearest to the change" not in str(done.model.requests[-1]["messages"])
