"""Three whole stories: the installed program, its own gateway and servers, the sandbox, real code, a scripted model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.agent.tree_check import CHANGED
from lg_orch.testing import ScriptedModel, calls, text
from tests.orchestrator.llm.project import ANSWER, READ, RIGHT, WRONG, Project, make, patch
from tests.orchestrator.programs import lg_orch, running

if TYPE_CHECKING:
    from pathlib import Path

PRODUCT = "return a * b"
pytestmark = pytest.mark.usefixtures("programs_by_fork")
ROWS = "\n".join(f"row {number}" for number in range(300))
LONG: tuple[str, dict[str, Any]] = (
    "fs__apply_patch", {"patch": f"packages/api/table.txt\n<<<<<<< SEARCH\n=======\n{ROWS}\n>>>>>>> REPLACE\n"},
)  # fmt: skip
"""A file that is longer than clients show of a question."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


def tree(root: Path) -> dict[str, bytes]:
    """Every file but the run's own trace."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and "artifacts" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def command(project: Project, *arguments: str) -> tuple[int, str]:
    done = lg_orch(*arguments, cwd=project.root.parent, env=project.env())
    return done.returncode, done.stdout + done.stderr


def test_a_first_repair_fails_the_check_the_second_passes_and_the_report_says_what_the_exit_codes_said(
    project: Project,
) -> None:
    script = [
        calls(READ), calls(patch(new=PRODUCT), LONG), text("It multiplies now."), calls(patch(old=PRODUCT)),
        text(ANSWER),
    ]  # fmt: skip
    package = project.root / "packages" / "api"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text('[project]\nname = "api"\n')
    (package / "test_api.py").write_text(
        "from pathlib import Path\n\ndef test(): assert Path('pyproject.toml').exists()\n"
    )
    with ScriptedModel(script) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert RIGHT in project.source()
    events = project.events("verify")
    assert [(event["phase"], event["data"]["exit_code"]) for event in events] == [
        ("baseline", 1), ("end", 1), ("end", 0), ("end", 0), ("end", 0)
    ]  # fmt: skip
    trace = project.trace()
    assert trace["verification"]["ok"] is True
    checks = trace["verification"]["checks"]
    assert [(check["name"], check["exit_code"]) for check in checks] == [
        ("pytest -q", 0), ("pytest -q in packages/api", 0)
    ]  # fmt: skip
    assert "| passed | 0 |" in ended.stdout
    assert (
        f"Changed: `calc.py`, `packages/api/table.txt`. Revert with `lg-orch undo {trace['run_id']}`." in ended.stdout
    )
    assert len(trace["patches"]) == 3
    assert trace["versions"]["gateway"].startswith("lg-gateway ")
    assert "model " in ended.stderr.splitlines()[-2]
    _, shown = command(project, "runs", "show", trace["run_id"])
    assert (shown.count("fs__apply_patch (dry run) ok"), shown.count("fs__apply_patch ok")) == (3, 3)


def test_a_change_that_is_denied_is_told_to_the_model_and_the_next_one_waits_for_its_own_yes(project: Project) -> None:
    without_arguments: tuple[str, dict[str, Any]] = ("fs__list_changes", {})
    script = [calls(READ), calls(patch(new=PRODUCT), without_arguments), calls(patch()), text(ANSWER)]
    with ScriptedModel(script) as model:
        project.configure(model)
        waiting = project.run()
        run_id = project.trace()["run_id"]
        assert waiting.returncode == 3, waiting.stdout + waiting.stderr
        assert f"+    {PRODUCT}" in waiting.stdout
        (project.root / "theirs.txt").write_text("written meanwhile\n")
        status, shown = command(project, "resume", run_id, "--deny", "--reason", "I want a sum")
        assert status == 3, shown
        assert f"+    {RIGHT}" in shown
        assert "I want a sum" in json.dumps(model.requests[2]["messages"])
        status, listed = command(project, "approvals")
        assert (status, run_id in listed, f"+    {RIGHT}" in listed) == (0, True, True)
        _, listed = command(project, "approvals", "--json")
        assert json.loads(listed)["arguments"] == patch()[1], "what --edit begins with"
        assert WRONG in project.source()
        status, shown = command(project, "resume", run_id, "--approve")
    assert status == 0, shown
    assert RIGHT in project.source()
    assert [CHANGED in json.dumps(request["messages"]) for request in model.requests[1:]] == [False, True, True]
    trace = project.trace()
    assert trace["usage"]["tokens"] == sum(model.prompt_tokens) + sum(model.completion_tokens), "of all processes"
    assert (len(trace["patches"]), trace["usage"]["loops"]) == (1, 1)
    answers = [event["data"]["decision"] for event in project.events("approval") if event["phase"] == "end"]
    assert answers == ["deny", "once"]


def test_a_run_killed_in_the_middle_is_resumed_by_another_process_and_then_undone(project: Project) -> None:
    before = tree(project.root)
    arguments = ("fix the failing test", "--yes", "--trace", "--config", str(project.settings))
    with ScriptedModel([calls(READ), calls(patch()), text(ANSWER), text(ANSWER)]) as model:
        project.configure(model)
        with running(*arguments, cwd=project.root, env=project.env()) as run:
            run.wait_for("tool", "fs__apply_patch", "end")  # the look at what it would change
            run.wait_for("tool", "fs__apply_patch", "end")
            run.process.kill()
            run.end()
        status, shown = command(project, "resume", "last", "--yes", "--repo-root", str(project.root))
    assert status == 0, shown
    run_id = project.trace()["run_id"]
    assert len(project.trace()["patches"]) == 1
    right = project.source()
    (project.root / "calc.py").write_text(right + "# mine\n")
    (project.root / "mine.txt").write_text("the user's own\n")
    status, shown = command(project, "undo", run_id, "--yes")
    assert status == 1
    assert "calc.py was changed after step" in shown
    assert project.source() == right + "# mine\n"
    (project.root / "calc.py").write_text(right)
    status, shown = command(project, "undo", run_id)
    assert (status, f"-    {RIGHT}" in shown, project.source()) == (3, True, right)
    status, shown = command(project, "undo", run_id, "--yes")
    assert status == 0, shown
    assert tree(project.root) == before | {"mine.txt": b"the user's own\n"}
    left = command(project, "runs", "show", run_id, "--diff")
    assert left == (0, f"# run {run_id}: fix the failing test\nno change of this run is left in the files\n")
