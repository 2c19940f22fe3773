from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import jsonschema
import pytest

from lg_orch.contracts.errors import RunBusy
from lg_orch.contracts.plans import Plan, PlanStep, ToolUse
from lg_orch.contracts.schemas import schema
from lg_orch.recording.journal import read_journal, whole_journal
from lg_orch.runs.run_directory import RunLock, is_driven, new_run, owing_runs
from lg_orch.runs.trace import build_trace, complete_owed, export_trace, owe_trace
from lg_orch.testing import ScriptedBackend
from lg_policy.errors import Conflict, LgError
from tests.orchestrator.helpers import world

if TYPE_CHECKING:
    from pathlib import Path

    from lg_orch.runs.run_directory import RunDir

pytestmark = pytest.mark.anyio


async def recorded(state: Path) -> RunDir:
    plan = Plan(steps=(PlanStep(id="s", description="d", tools=(ToolUse(tool="fs__read_file", input={"path": "a"}),)),))
    async with world(state, ScriptedBackend(planned=plan)) as run:
        run.services.bus.emit(
            "node", "run", "begin", {"request": "q", "profile": "dev", "root": {"id": "i", "name": "n"}}
        )
        with anyio.fail_after(60):
            final = (await run.go("q")).final
        assert final is not None
        run.services.bus.emit(
            "node", "run", "end", {"final": final.model_dump(mode="json"), "usage": {"tool_calls": 4}}
        )
    return run.run


async def test_a_trace_is_made_from_the_journal_alone_and_fits_its_schema(tmp_path: Path) -> None:
    run = await recorded(tmp_path)
    trace = build_trace(run.run_id, read_journal(run.journal))
    jsonschema.Draft202012Validator(schema("run_trace")).validate(json.loads(trace.model_dump_json()))
    assert trace.status == "done"
    assert [call.call_id for call in trace.tool_calls][-1] == "s.1"
    assert len(trace.plans) == 1


async def test_a_journal_cut_at_any_byte_still_gives_a_valid_trace(tmp_path: Path) -> None:
    run = await recorded(tmp_path)
    whole = run.journal.read_bytes()
    validator = jsonschema.Draft202012Validator(schema("run_trace"))
    for end in range(0, len(whole), max(1, len(whole) // 60)):
        run.journal.write_bytes(whole[:end])
        trace = build_trace(run.run_id, read_journal(run.journal))
        assert trace.status in ("killed", "done")
        validator.validate(json.loads(trace.model_dump_json()))


async def test_a_journal_that_is_damaged_in_the_middle_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = await recorded(tmp_path)
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join([*lines[:-1], lines[-1][:20]]))
    assert (len(read_journal(run.journal)), caplog.messages) == (len(lines) - 1, [])
    run.journal.write_bytes(b"".join([*lines[:3], b"garbage\n", *lines[3:]]))
    assert len(read_journal(run.journal)) == 3
    assert "is damaged at line 4" in caplog.text
    with pytest.raises(Conflict, match="is damaged at line 4"):
        whole_journal(run.journal)


async def test_the_trace_of_a_killed_run_is_written_by_the_next_command(tmp_path: Path) -> None:
    state, root = tmp_path / "state", tmp_path / "root"
    root.mkdir()
    run = await recorded(state)
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    owe_trace(run, root=root, output_dir="artifacts/runs")
    lock = RunLock(run)
    assert complete_owed(state) == []  # its process lives
    lock.release()
    [line] = complete_owed(state)
    written = json.loads((root / "artifacts" / "runs" / f"run-{run.run_id}.json").read_text())
    assert written["status"] == "killed"
    assert written["final"] is None
    assert run.run_id in line
    assert owing_runs(state) == []


async def test_a_symlink_on_the_way_of_the_trace_is_refused(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "artifacts").symlink_to(elsewhere)
    run = await recorded(tmp_path / "state")
    with pytest.raises(LgError):
        export_trace(run, root=root, output_dir="artifacts/runs")
    assert list(elsewhere.iterdir()) == []


async def test_traces_are_left_out_of_git_but_nothing_else_of_the_project_is(tmp_path: Path) -> None:
    run = await recorded(tmp_path / "state")
    for name, its_own, ignored in (("new", None, "artifacts"), ("used", "keep.txt", "artifacts/runs")):
        root = tmp_path / name
        root.mkdir()
        if its_own is not None:
            (root / "artifacts").mkdir()
            (root / "artifacts" / its_own).write_text("x")
        for _ in range(2):
            export_trace(run, root=root, output_dir="artifacts/runs")
        assert [path.relative_to(root).as_posix() for path in root.rglob(".gitignore")] == [f"{ignored}/.gitignore"]
        assert (root / ignored / ".gitignore").read_text() == "*\n"


def test_two_processes_cannot_drive_one_run(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    lock = RunLock(run)
    with pytest.raises(RunBusy):
        RunLock(run)
    assert is_driven(run)
    lock.release()
    assert not is_driven(run)
