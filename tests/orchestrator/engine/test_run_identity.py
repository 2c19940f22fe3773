"""A run belongs to the repository it was begun in, whatever directory a command is given in.

Real program, real gateway. Two repositories share one state directory, and the second is a copy of the first. Only the
run's own record tells them apart.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import ScriptedModel, text
from tests.orchestrator.llm.project import ANSWER, READ, RIGHT, WRONG, Project, make, patch
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

from lg_orch.testing import calls

pytestmark = pytest.mark.usefixtures("programs_by_fork")


class Copies:
    """A repository with a run that waits for a yes, and a copy of it, under one state directory."""

    def __init__(self, first: Project, second: Path, state: Path) -> None:
        self.first = first
        self.second = second
        self.environ = {**first.env(), "LG_STATE_DIR": str(state)}
        self.run_id = ""

    def lg_orch(self, *args: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return lg_orch(*args, cwd=cwd, env={**self.environ, **environ})

    def sources(self) -> tuple[str, str]:
        return self.first.source(), (self.second / "calc.py").read_text()


@pytest.fixture(params=["shared state", "default state"])
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Copies]:
    first = make(tmp_path / "first")
    second = tmp_path / "second"
    shutil.copytree(first.root, second)
    with ScriptedModel([calls(READ), calls(patch()), text(ANSWER)]) as model:
        first.configure(model)
        made = Copies(first, second, tmp_path / "state")
        if request.param == "default state":
            del made.environ["LG_STATE_DIR"]
        asked = made.lg_orch("run", "fix the failing test", "--config", str(first.settings), cwd=first.root)
        assert asked.returncode == 3, asked.stdout + asked.stderr
        (listed,) = made.lg_orch("runs", "list", "--json", cwd=first.root).stdout.splitlines()
        made.run_id = json.loads(listed)["run_id"]
        yield made


def test_an_answer_given_elsewhere_takes_effect_where_the_run_was_begun_and_nowhere_else(copies: Copies) -> None:
    first, second = copies.first.root, copies.second
    untouched = copies.sources()
    last = copies.lg_orch("resume", "last", "--approve", cwd=second)
    assert last.returncode == 2, last.stdout + last.stderr
    assert f"there is no run in {second}" in last.stderr
    to_second = ("--repo-root", str(second))
    for command, environ in (
        (("resume", copies.run_id, "--approve", *to_second), {}),
        (("resume", copies.run_id, "--approve"), {"LG_REPO_ROOT": str(second)}),
        (("undo", copies.run_id, "--yes", *to_second), {}),
        (("fork", copies.run_id, "--at", "1", *to_second), {}),
        (("replay", copies.run_id, *to_second), {}),
        (("runs", "show", copies.run_id, *to_second), {}),
    ):
        refused = copies.lg_orch(*command, cwd=first, **environ)
        assert refused.returncode == 2, (command, refused.stdout, refused.stderr)
        assert str(first) in refused.stderr
        assert str(second) in refused.stderr
    assert copies.sources() == untouched
    assert copies.lg_orch("runs", "list", cwd=second).stdout == "no runs yet\n"
    everywhere = copies.lg_orch("runs", "list", "--all", cwd=second).stdout
    assert copies.run_id in everywhere
    assert str(first) in everywhere
    assert str(first) in copies.lg_orch("approvals", cwd=second).stdout
    done = copies.lg_orch("resume", copies.run_id, "--approve", cwd=second)
    assert done.returncode == 0, done.stdout + done.stderr
    assert RIGHT in copies.sources()[0]
    assert WRONG in copies.sources()[1]
    back = copies.lg_orch("undo", copies.run_id, "--yes", cwd=second)
    assert back.returncode == 0, back.stdout + back.stderr
    assert copies.sources() == untouched


def test_a_run_whose_repository_is_gone_or_replaced_by_another_is_not_continued_there(copies: Copies) -> None:
    os.rename(copies.first.root, copies.first.root.with_name("moved"))
    for command in (("resume", copies.run_id, "--approve"), ("undo", copies.run_id, "--yes")):
        refused = copies.lg_orch(*command, cwd=copies.second)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert str(copies.first.root) in refused.stderr
    assert WRONG in (copies.second / "calc.py").read_text()
    os.rename(copies.second, copies.first.root)
    undone = copies.lg_orch("undo", copies.run_id, "--yes", cwd=copies.first.root)
    asked_anew = copies.lg_orch("resume", copies.run_id, "--approve", cwd=copies.first.root)
    assert undone.returncode == 1, undone.stderr
    assert asked_anew.returncode == 3, "another directory stands at the path: a yes for the first is none for it"
    assert "another one was put in its place" in asked_anew.stderr
    assert WRONG in copies.first.source()
