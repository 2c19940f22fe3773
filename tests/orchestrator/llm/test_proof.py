"""What proves a change, with the real program, sandbox and pytest: reports for machines, counts, and earlier tests."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import Scripted, ScriptedModel, calls, text
from tests.orchestrator.llm.project import ANSWER, RIGHT, WRONG, Project, make
from tests.orchestrator.programs import lg_orch, running
from tests.support import require

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")

TEST = "tests/test_calc.py"
ASSERTION = "assert add(1, 2) == 3"
JS_ASSERTION = "assert.equal(add(1, 2), 3)"
DELETED = {"changes": [{"path": TEST, "op": "delete"}]}
SILENCING = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    terminalreporter.stats.pop("failed", None)

def pytest_sessionfinish(session):
    session.exitstatus = 0
"""
FROM_CODE = """import pytest
from calc import CASES, add

@pytest.mark.parametrize(("a", "b", "c"), CASES)
def test_add(a, b, c):
    assert add(a, b) == c
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


def edit(path: str, old: str, new: str) -> list[Scripted]:
    block = f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
    return [calls(("fs__read_file", {"path": path})), calls(("fs__apply_patch", {"patch": block}))]


def ended(
    project: Project, *script: Scripted, request: str = "fix the failing test", options: str = ""
) -> subprocess.CompletedProcess[str]:
    with ScriptedModel([*script, text(ANSWER), text(ANSWER)]) as model:
        project.configure(model, options=options)
        return project.run("--yes", request=request)


@pytest.fixture
def javascript(tmp_path: Path) -> Project:
    """Return a project whose `npm test` is node's own runner; lg-exec's settings name a Python for the repeat."""
    require(shutil.which("node") is not None and shutil.which("npm") is not None, "Node.js and npm")
    root = tmp_path / "repo"
    root.mkdir()
    (root / "package.json").write_text('{"name": "p", "private": true, "scripts": {\n"test": "node --test"\n}}\n')
    (root / "calc.js").write_text(f"exports.add = (a, b) => {{\n    {WRONG};\n}};\n")
    (root / "calc.test.js").write_text(
        "const test = require('node:test'), assert = require('node:assert'), { add } = require('./calc.js');\n"
        f"test('adds', () => {{\n    {JS_ASSERTION};\n}});\n"
    )
    return Project(root=root, settings=tmp_path / "settings.toml")


RIGHT_CODE = edit("calc.py", f"    {WRONG}", f"    {RIGHT}")


def repeated(project: Project) -> list[dict[str, Any]]:
    return [event["data"] for event in project.events("verify") if event["phase"] == "again"]


def test_a_change_that_edits_its_test_too_is_done_where_the_test_as_it_was_passes(project: Project) -> None:
    ran = ended(project, *RIGHT_CODE, *edit(TEST, f"    {ASSERTION}", "    assert add(1, 2) > 0"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("**The change also edits tests or check settings:** `tests/test_calc.py` (tests).")
    assert "The checks also pass with these files as they were before." in ran.stdout.splitlines()[0]
    assert [check["verdict"] for check in repeated(project)] == ["passed"]
    assert "assert add(1, 2) > 0" in (project.root / TEST).read_text(), "the user's tree is as the run left it"


def test_a_change_whose_test_passes_only_as_it_is_now_is_not_done_and_says_what_fails(project: Project) -> None:
    ran = ended(
        project,
        *edit("calc.py", f"    {WRONG}", "    return 4"),
        *edit(TEST, f"    {ASSERTION}", "    assert add(1, 2) == 4"),
    )
    assert ran.returncode == 4, ran.stdout + ran.stderr
    first = ran.stdout.splitlines()[0]
    assert "With these files as they were before: `pytest -q` failed (`tests/test_calc.py::test_add`)" in first
    assert "== 4" in (project.root / TEST).read_text()


def test_a_test_that_was_deleted_and_a_conftest_that_was_added_are_undone_for_the_repeat(project: Project) -> None:
    (project.root / "tests" / "test_more.py").write_text("def test_more():\n    pass\n")
    ignoring = "tests/conftest.py\n<<<<<<< SEARCH\n=======\ncollect_ignore = []\n>>>>>>> REPLACE\n"
    ran = ended(
        project,
        *edit("calc.py", f"    {WRONG}", f"    {WRONG}  # fast"),
        calls(("fs__read_file", {"path": TEST})),
        calls(("fs__apply_patch", DELETED)),
        calls(("fs__apply_patch", {"patch": ignoring})),
    )
    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert [check["failures"] for check in repeated(project)] == [["tests/test_calc.py::test_add"]]
    assert not (project.root / TEST).exists()
    assert (project.root / "tests" / "conftest.py").exists()


@pytest.mark.parametrize(("code", "status"), [(f"    {RIGHT};", 0), ("    return 4;", 4)])
def test_checks_by_npm_are_repeated_with_their_files_as_they_were(javascript: Project, code: str, status: int) -> None:
    now = "    assert.equal(add(1, 2), add(1, 2));"
    ran = ended(javascript, *edit("calc.js", f"    {WRONG};", code), *edit("calc.test.js", f"    {JS_ASSERTION};", now))
    assert ran.returncode == status, ran.stdout + ran.stderr
    first = ran.stdout.splitlines()[0]
    assert ("The checks also pass with these files as they were before." in first) == (status == 0), first
    assert ("With these files as they were before: `npm-test` failed (`test::adds`)" in first) == (status == 4), first
    [check] = repeated(javascript)
    assert check["name"] == "npm-test"


def test_a_summary_that_a_test_of_node_prints_proves_nothing_where_its_report_says_that_none_ran(
    javascript: Project,
) -> None:
    (javascript.root / "calc.test.js").write_text(
        "const test = require('node:test');\ntest('adds', { skip: true }, () => {});\nconsole.log('\u2139 pass 3');\n"
    )
    right = edit("calc.js", f"    {WRONG};", f"    {RIGHT};")
    ran = ended(javascript, *right, options="[budgets]\nmax_loops = 1\n")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "no test ran" in ran.stdout


def test_where_the_checks_cannot_be_repeated_the_report_says_why(project: Project) -> None:
    ran = ended(
        project,
        *RIGHT_CODE,
        *edit(TEST, f"    {ASSERTION}", "    assert add(1, 2) > 0"),
        options='[exec.commands.python]\nroot = "rw"\n',
    )
    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert "were not repeated with these files as they were: the template `python` does not" in ran.stdout
    assert repeated(project) == []


def test_a_conftest_that_hides_a_failure_from_summary_and_exit_status_is_outdone_by_the_report(
    project: Project,
) -> None:
    (project.root / "conftest.py").write_text(SILENCING)
    ran = ended(project, *edit("calc.py", f"    {WRONG}", f"    {WRONG}  # fast"), options="[budgets]\nmax_loops = 1\n")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "| `pytest -q` | failed" in ran.stdout
    assert "exit status 0, but its own report says 1 failed" in ran.stdout


def test_a_change_of_code_that_makes_fewer_tests_run_is_not_done_and_names_them_first(project: Project) -> None:
    (project.root / "calc.py").write_text(f"CASES = [(1, 2, 3), (2, 2, 4)]\n\n\ndef add(a, b):\n    {RIGHT}\n")
    (project.root / TEST).write_text(FROM_CODE)
    fewer = edit("calc.py", "CASES = [(1, 2, 3), (2, 2, 4)]", "CASES = [(1, 2, 3)]")
    ran = ended(project, *fewer, request="change add to be faster")
    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert ran.stdout.startswith("**Done, but nothing checked it:** fewer tests ran than before the change")
    assert "`1 test ran, 2 before the change`" in ran.stdout


def test_fewer_tests_are_named_and_no_harm_where_the_request_asks_for_them(project: Project) -> None:
    (project.root / "calc.py").write_text(f"CASES = [(1, 2, 3), (2, 2, 4)]\n\n\ndef add(a, b):\n    {RIGHT}\n")
    (project.root / TEST).write_text(FROM_CODE)
    fewer = edit("calc.py", "CASES = [(1, 2, 3), (2, 2, 4)]", "CASES = [(1, 2, 3)]")
    ran = ended(project, *fewer, request="remove the duplicated tests of add")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("**Fewer tests ran than before the change:** `pytest -q`: `1 test ran, 2 before")


def test_a_run_that_is_killed_while_its_checks_are_repeated_leaves_its_change_and_is_finished_by_resume(
    project: Project,
) -> None:
    script = [*RIGHT_CODE, *edit(TEST, f"    {ASSERTION}", "    assert add(1, 2) > 0"), text(ANSWER), text(ANSWER)]
    with ScriptedModel(script) as model:
        project.configure(model)
        flags = ("--yes", "--config", str(project.settings))
        with running("fix the failing test", *flags, cwd=project.root, env=project.env()) as run:
            run.wait_for("verify", "pytest -q", "end")
            run.wait_for("tool", "exec__exec", "begin")
            os.kill(run.process.pid, signal.SIGKILL)
            run.end()
        assert "assert add(1, 2) > 0" in (project.root / TEST).read_text()
        assert RIGHT in project.source()
        resumed = lg_orch("resume", "last", *flags, cwd=project.root, env=project.env())
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "The checks also pass with these files as they were before." in resumed.stdout
    assert "assert add(1, 2) > 0" in (project.root / TEST).read_text()
