"""The checks before a change: beside the first requests where a change is asked for, before them in a repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.agent.checks.baseline_beside import baseline_update
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.state import RunState
from lg_orch.runs.timeline import steps_of
from lg_orch.testing import ScriptedModel, text
from lg_orch.tools.gateway_tools import failure
from tests.orchestrator.llm.workshop import DONE, READ, RIGHT, patch, run, settings_for, shop

if TYPE_CHECKING:
    from pathlib import Path

    from lg_orch.testing import Scripted

REQUEST = "rename nothing, but write a + b in calc.py"
WAITS = """
import pathlib, sys, time
from calc import add
asked = pathlib.Path({asked!r})
for _ in range(3000):
    if asked.exists():
        break
    time.sleep(0.02)
else:
    raise SystemExit("FAILED check.py::nobody_was_asked")
if add(1, 2) != 3:
    raise SystemExit("FAILED check.py::add")
"""
"""A check that ends only once the model was asked."""


def answering(asked: Path, *script: Scripted) -> Any:
    answers = iter(script)

    def answer(_request: dict[str, Any]) -> Scripted:
        asked.touch()
        return next(answers)

    return answer


@pytest.mark.anyio
async def test_the_checks_before_a_change_go_on_beside_the_first_request_and_end_before_the_change(
    tmp_path: Path,
) -> None:
    asked = tmp_path / "asked"
    files = {"check.py": WAITS.format(asked=str(asked))}
    done = await run(tmp_path, answering(asked, READ, patch(), text(DONE)), request=REQUEST, files=files)
    assert done.final.status == "done", done.final.text
    assert done.state.baseline is not None
    assert "nobody_was_asked" not in str(done.state.baseline)
    order = [event.kind for event in done.made.world.events() if event.kind == "verify" or "patch" in event.data]
    assert order == ["verify", "tool", "verify"]


@pytest.mark.anyio
async def test_a_check_that_fails_beside_the_first_request_is_told_later_and_the_beginning_stays(
    tmp_path: Path,
) -> None:
    asked = tmp_path / "asked"
    files = {"check.py": WAITS.format(asked=str(asked))}
    done = await run(tmp_path, answering(asked, READ, patch(), text(DONE)), request=REQUEST, files=files)
    first, last = done.model.requests[0]["messages"], done.model.requests[-1]["messages"]
    assert last[: len(first)] == first
    assert "check.py::add" not in str(first)
    told = [str(message["content"]) for message in last if "before any change" in str(message["content"])]
    assert len(told) == 1
    assert "FAILED check.py::add" in told[0]


@pytest.mark.anyio
async def test_a_repair_begins_with_what_fails(tmp_path: Path) -> None:
    done = await run(tmp_path, [READ, patch(), text(DONE)])
    assert "FAILED check.py::add" in str(done.model.requests[0]["messages"])


@pytest.mark.anyio
async def test_a_run_that_changes_nothing_does_not_wait_for_the_checks_before_a_change(tmp_path: Path) -> None:
    never = {"check.py": WAITS.format(asked=str(tmp_path / "never"))}
    done = await run(tmp_path, [READ, text("It is so already.")], request=REQUEST, files=never)
    assert done.state.baseline is None
    assert done.state.verification is None


@pytest.mark.anyio
async def test_a_check_whose_outcome_was_lost_with_an_earlier_process_is_run_once_more(tmp_path: Path) -> None:
    with ScriptedModel([]) as model:
        async with shop(tmp_path, settings_for(model), files={"calc.py": f"def add(a, b):\n    {RIGHT}\n"}) as made:
            services = made.world.services
            queued = services.mint(PlannedCall(id="base.1", tool="exec__exec", input={"cmd": "make"}, why="check"))
            lost = failure(queued, Problem(code="outcome_unknown", message="nobody knows"))
            state = RunState(request="r", baseline_checks=(queued,))
            update = await baseline_update(state, services, queued, lost)
            (again,) = update["baseline_checks"]
            assert again.key != queued.key
            assert again.call == queued.call
            state = RunState(request="r", baseline_checks=(again,))
            assert (await baseline_update(state, services, again, lost))["baseline_checks"] == ()


@pytest.mark.anyio
async def test_tests_that_cannot_be_loaded_before_and_after_a_change_send_nothing_back_and_prove_nothing(
    tmp_path: Path,
) -> None:
    broken = {"pytest.ini": "[pytest]\n", "test_calc.py": "import no_such_package_here\n"}
    done = await run(tmp_path, [READ, patch(), text(DONE)], request=REQUEST, files=broken, commands=("pytest",))
    assert done.final.status == "unchecked", done.final.text
    assert done.state.budgets.loop == 1
    assert done.state.verification is not None
    assert done.state.verification.checks[0].outcome == "could not be run, as before the change"
    steps = steps_of(done.made.world.events())
    assert [step.open_calls for step in steps if step.open_calls] == [], (
        "what one step began and another took has an end"
    )
