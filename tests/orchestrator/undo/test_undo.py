"""Undoing a run: the tree as it was, nothing of the user's touched, or a refusal that says where. Real file server."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.contracts.events import Event
from lg_orch.contracts.plans import PlannedCall
from lg_orch.runs.timeline import patches_of, steps_of
from lg_orch.testing import ScriptedModel, calls, text
from lg_orch.undo.apply import Undoer
from lg_orch.undo.diffs import diff_of, reversed_diff
from lg_orch.undo.plan import plan_undo
from lg_policy.errors import Conflict
from tests.orchestrator.llm.workshop import DONE, Shop, patch, settings_for, shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lg_orch.testing.script import Script

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


def changes(*made: dict[str, Any]) -> Any:
    return calls(("fs__apply_patch", {"changes": list(made)}))


SCRIPT = (
    calls(("fs__read_file", {"paths": ["calc.py", "notes.txt", "Makefile"]})),
    patch(new="return a * b"),
    changes({"path": "made/deep/x.txt", "op": "add", "content": "x\n"}, {"path": "notes.txt", "op": "move", "to": "n"}),
    patch(old="return a * b"),
    changes({"path": "n", "op": "delete"}),
    text(DONE),
)
"""Four change sets: two of one file, one that adds and moves, one that deletes what was moved."""


class Undone:
    """A run that has made its changes, and how the tree was before each step."""

    def __init__(self, made: Shop, before: dict[str, bytes]) -> None:
        self.made = made
        self.before = before
        services = made.world.services
        self.undoer = Undoer(services.tools, services.bus, services.results, made.world.run.run_id, 20)  # type: ignore[arg-type]  # the services name only what nodes need

    def steps(self) -> list[int]:
        return [one.step for one in patches_of(self.made.world.events())]

    async def undo(self, after: int = 0) -> list[str]:
        """Undo what can be undone; returns what stands in the way."""
        undoing = plan_undo(self.made.world.events(), after=after)
        left, obstacles = await self.undoer.look(undoing)
        for one in left.patches if not obstacles else ():
            await self.undoer.take_back(one)
        return obstacles


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else b"(directory)"
        for path in sorted(root.rglob("*"))
        if "__pycache__" not in path.parts
    }


@asynccontextmanager
async def finished(place: Path, script: Script = SCRIPT) -> AsyncIterator[Undone]:
    with ScriptedModel(script) as model:
        async with shop(place, settings_for(model)) as made:
            before = tree(made.root)
            state = await made.go()
            assert state.final is not None
            assert state.final.status == "done", state.final.text
            assert tree(made.root) != before
            yield Undone(made, before)


async def test_the_whole_run_is_undone_to_the_byte_and_the_users_own_files_stay(tmp_path: Path) -> None:
    async with finished(tmp_path) as run:
        (run.made.root / "mine.txt").write_text("mine")
        assert await run.undo() == []
        assert tree(run.made.root) == run.before | {"mine.txt": b"mine"}
        assert plan_undo(run.made.world.events()).patches == (), "what was taken back is not taken back again"


async def test_only_what_came_after_a_step_is_undone(tmp_path: Path) -> None:
    async with finished(tmp_path) as run:
        first, second, third, _ = run.steps()
        assert await run.undo(after=third) == []
        assert (run.made.root / "n").read_bytes() == run.before["notes.txt"]
        assert await run.undo(after=second) == []
        assert "return a * b" in run.made.source()
        assert await run.undo(after=first) == []
        assert set(tree(run.made.root)) == set(run.before)
        assert await run.undo() == []
        assert tree(run.made.root) == run.before


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        ("calc.py", "mine\n", "calc.py was changed after step"),
        ("made/deep/x.txt", None, "made/deep/x.txt is not there any more after step"),
        ("notes.txt", "mine\n", "notes.txt exists again since it was moved in step"),
        ("n", "mine\n", "n was changed after step"),
    ],
)
async def test_a_file_that_was_changed_since_keeps_everything_as_it_is_and_is_named(
    tmp_path: Path, path: str, content: str | None, says: str
) -> None:
    async with finished(tmp_path) as run:
        target = run.made.root / path
        if content is None:
            target.unlink()
        else:
            target.write_text(content)
        found = tree(run.made.root)
        (obstacle,) = await run.undo()
        assert obstacle.startswith(says)
        assert tree(run.made.root) == found


def test_a_call_that_waits_for_its_yes_is_none_whose_outcome_is_not_known() -> None:
    call = {"kind": "tool", "name": "fs__apply_patch"}
    asks = {"tool": "fs__apply_patch", "builtin": True, "message": "?", "key": "a", "kind": "approval", "call_id": "m1"}
    lines: list[dict[str, Any]] = [
        {"kind": "node", "name": "executor", "phase": "begin", "data": {"visit": 1}},
        {**call, "phase": "begin", "data": {"call_id": "m1", "effect": "patch"}},
        {**call, "kind": "approval", "phase": "begin", "data": asks},
    ]
    head = {"seq": 1, "time": "2026-01-01T00:00:00+00:00"}
    *begun, asked = (Event.model_validate(head | line) for line in lines)
    assert "does not say" in plan_undo(begun).uncovered[0]
    assert plan_undo([*begun, asked]).uncovered == ()


async def test_an_undo_that_was_cut_off_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """The first call was carried out and its outcome is in no journal of the run."""
    async with finished(tmp_path) as run:
        newest = plan_undo(run.made.world.events()).patches[0]
        call = PlannedCall(id="cut", tool="fs__revert_patch", input={"change_id": newest.change_id})
        services = run.made.world.services
        assert (await services.tools.call(services.mint(call), step="undo", timeout_s=20)).ok
        with pytest.raises(Conflict, match=f"change set {newest.change_id} of step"):
            await run.undoer.take_back(newest)
        assert await run.undo() == []
        assert tree(run.made.root) == run.before


COMMAND = (
    "import os",
    "open('notes.txt', 'w').write('by a command'); open('made', 'w').close(); os.symlink('notes.txt', 'link')",
)
WITH_A_COMMAND = (
    calls(("fs__read_file", {"paths": ["calc.py", "notes.txt", "Makefile"]})),
    patch(new="return a * b"),
    calls(("exec__exec", {"cmd": "keep", "args": list(COMMAND)})),
    patch(old="return a * b"),
    text(DONE),
)


async def test_what_a_command_kept_is_undone_with_the_patches_around_it(tmp_path: Path) -> None:
    async with finished(tmp_path, WITH_A_COMMAND) as run:
        assert (run.made.root / "notes.txt").read_text() == "by a command"
        undoing = plan_undo(run.made.world.events())
        assert undoing.uncovered == ()
        assert [len(change.files) for change in undoing.patches] == [1, 3, 1]
        assert "made" in diff_of(undoing.patches[1], run.made.world.services.results)
        assert await run.undo() == []
        assert tree(run.made.root) == run.before


async def test_a_file_that_a_command_kept_and_somebody_changed_stops_the_undo(tmp_path: Path) -> None:
    async with finished(tmp_path, WITH_A_COMMAND) as run:
        (run.made.root / "notes.txt").write_text("mine")
        found = tree(run.made.root)
        (obstacle,) = await run.undo()
        assert "notes.txt was changed after step" in obstacle
        assert tree(run.made.root) == found


async def test_a_change_set_that_is_no_longer_kept_is_named_and_nothing_is_undone(tmp_path: Path) -> None:
    async with finished(tmp_path) as run:
        found = tree(run.made.root)
        for record in (tmp_path / "fs-state").rglob("*"):
            if record.is_dir() and plan_undo(run.made.world.events()).patches[0].change_id in record.name:
                shutil.rmtree(record)
        (obstacle,) = await run.undo()
        assert "no longer kept by the file server" in obstacle
        assert tree(run.made.root) == found


async def test_the_diff_that_is_shown_is_that_of_the_way_back(tmp_path: Path) -> None:
    async with finished(tmp_path) as run:
        services = run.made.world.services
        for one in plan_undo(run.made.world.events()).patches:
            shown = reversed_diff(diff_of(one, services.results))
            await run.undoer.take_back(one)
            (*_, reverted) = patches_of(run.made.world.events())
            assert reverted.reverts == one.change_id
            made, found = diff_of(reverted, services.results), shown
            for line in ("diff --git",):  # names a moved file's old place first
                made, found = without(line, made), without(line, found)
            assert sorted(found.splitlines()) == sorted(made.splitlines())


def without(start: str, diff: str) -> str:
    return "\n".join(line for line in diff.splitlines() if not line.startswith(start))


async def test_steps_say_which_calls_they_made(tmp_path: Path) -> None:
    async with finished(tmp_path) as run:
        steps = {step.number: step for step in steps_of(run.made.world.events())}
        assert all(step.done for step in steps.values())
        assert [steps[number].results[0].tool for number in run.steps()] == ["fs__apply_patch"] * 4
