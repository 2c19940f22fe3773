"""What a check proves: its runner's report and its exit status must agree, and a change must not edit its own proof."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from lg_orch.agent.checks.check_results import gone_silent, judge
from lg_orch.agent.checks.checking_files import asked_for, changed_files, kind_of
from lg_orch.agent.checks.judgement import judged
from lg_orch.agent.checks.runner_reports import read_counts
from lg_orch.contracts.envelopes import Artifacts, Problem, ToolEnvelope
from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.state import QueuedCall
from lg_orch.testing import calls, text
from tests.orchestrator.llm.workshop import RIGHT, WRONG, run
from tests.small_environment import pytest_environment

if TYPE_CHECKING:
    from pathlib import Path

    from lg_orch.testing import Scripted
    from tests.orchestrator.llm.workshop import Ran

pytestmark = pytest.mark.anyio

PYTEST = {"cmd": "pytest", "args": ["-q"]}
GO_JSON = '{"Action":"run","Test":"TestA"}\n{"Action":"output","Output":"--- FAIL: TestA (0.00s)\\n"}\n'


def envelope(printed: str, exit_code: int | None = 0, error: Problem | None = None) -> ToolEnvelope:
    artifacts = Artifacts(call_id="check.1", error=error)
    return ToolEnvelope(
        tool="exec__exec", ok=exit_code is not None, exit_code=exit_code, stdout=printed, stderr="", timing_ms=1,
        artifacts=artifacts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("printed", "passed", "failed", "not_run"),
    [
        ("no tests ran in 0.01s", 0, 0, 0), ("2 deselected in 0.01s", 0, 0, 2), ("1 skipped in 0.01s", 0, 0, 1),
        ("3 xfailed, 1 xpassed in 0.1s", 0, 0, 4), ("4 tests collected in 0.02s", 0, 0, 0),
        ("1/4 tests collected (3 deselected) in 0.02s", 0, 0, 0), ("1 test collected, 1 error in 0.1s", 0, 1, 0),
        ("== 1 failed, 2 passed, 1 warning in 3.10s (0:00:03) ==", 2, 1, 0), ("1 error in 0.1s", 0, 1, 0),
        ("\x1b[32m\x1b[1m2 passed\x1b[0m\x1b[32m in 0.1s\x1b[0m", 2, 0, 0),
        ("Ran 0 tests in 0.000s\n\nNO TESTS RAN", 0, 0, 0), ("Ran 3 tests in 0.1s\n\nOK", 3, 0, 0),
        ("Ran 3 tests in 0.1s\n\nOK (skipped=2, expected failures=1)", 0, 0, 3),
        ("Ran 3 tests in 0.1s\n\nFAILED (failures=1, errors=1)", 1, 2, 0),
        ("test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured", 0, 0, 2),
        ("test result: ok. 2 passed; 0 failed; 0 ignored\ntest result: FAILED. 1 passed; 1 failed; 0 ignored", 3, 1, 0),
        ("?   \tx/y\t[no test files]", 0, 0, 0), ("ok  \tx/y\t0.002s [no tests to run]", 0, 0, 0),
        ("?   \tx\t[no test files]\nok  \tx/y\t(cached)", 1, 0, 0), ("FAIL\tx/y [build failed]", 0, 1, 0),
        ("--- SKIP: TestA (0.00s)\nok  \tx/y\t0.1s", 0, 0, 1), ('npm error Missing script: "test"', 0, 0, 0),
        ("\u2139 tests 0\n\u2139 pass 0", 0, 0, 0), ("# tests 3\n# pass 2\n# fail 1\n# skipped 0", 2, 1, 0),
        ("No test files found, exiting with code 1", 0, 0, 0), (" Tests  3 passed (3)", 3, 0, 0),
        ("1..2\n# tests 2\n# pass  2\n\n# ok", 2, 0, 0), ("OK (3 tests, 3 assertions)", 3, 0, 0),
        ("     Summary [   0.005s] 3 tests run: 2 passed, 1 failed, 4 skipped", 2, 1, 4),
        ("3 examples, 1 failure", 2, 1, 0), ("3 runs, 3 assertions, 1 failures, 0 errors, 1 skips", 1, 1, 1),
        ("[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 1", 1, 1, 1),
        ("ok | 3 passed | 0 failed (5ms)", 3, 0, 0),
        (" 1 pass\n 1 fail\nRan 2 tests across 1 file.", 1, 1, 0), ("  2 tests passed\n  1 test failed", 2, 1, 0),
        ("Tests:       1 failed, 1 skipped, 2 passed, 4 total", 2, 1, 1), ("  3 passing (4ms)\n  1 failing", 3, 1, 0),
    ],
)  # fmt: skip
def test_the_summaries_of_the_usual_runners_are_counted(printed: str, passed: int, failed: int, not_run: int) -> None:
    counts = judged(envelope(printed), {"cmd": "make"}).counts
    assert counts is not None
    assert (counts.passed, counts.failed, counts.not_run) == (passed, failed, not_run)


def test_a_program_that_reports_no_tests_has_no_counts() -> None:
    assert read_counts("built\n2 warnings\nFound 5 errors in 2 files") is None


@pytest.mark.parametrize(
    ("printed", "exit_code", "arguments", "verdict", "cause"),
    [
        ("1 passed in 0.1s", 0, PYTEST, "passed", ""),
        ("1 failed in 0.1s", 0, PYTEST, "failed", ""),
        ("1 passed in 0.1s", 1, PYTEST, "failed", ""),
        ("..                       [100%]", 0, PYTEST, "passed", ""),
        (".F                       [100%]", 0, PYTEST, "failed", ""),
        ("", 0, PYTEST, "could_not_run", "no_tests"),
        ("4 tests collected in 0.02s", 0, PYTEST, "could_not_run", "no_tests"),
        ("1 passed in 0.1s\n!!!!!!! _pytest.outcomes.Exit: enough !!!!!!!", 0, PYTEST, "could_not_run", "no_tests"),
        ("!!!!!!! Interrupted: enough !!!!!!!\n1 passed in 0.1s", 0, PYTEST, "could_not_run", "no_tests"),
        ("2 xfailed in 0.02s", 0, PYTEST, "could_not_run", "no_tests"),
        ("no tests ran in 0.02s", 5, PYTEST, "could_not_run", "no_tests"),
        ("!!! Interrupted: 1 error during collection !!!\n1 error in 0.1s", 2, PYTEST, "could_not_run", "broken"),
        ("ERROR: file or directory not found: x", 4, PYTEST, "could_not_run", "broken"),
        ("FAIL\tx/y [build failed]", 1, {"cmd": "go"}, "could_not_run", "broken"),
        (GO_JSON + '{"Action":"fail","Test":"TestA"}', 0, {"cmd": "go"}, "failed", ""),
        (GO_JSON.replace("FAIL", "PASS") + '{"Action":"pass","Test":"TestA"}', 0, {"cmd": "go"}, "passed", ""),
        ("sh: 1: mocha: not found", 127, {"cmd": "npm-test"}, "could_not_run", "unavailable"),
        ("", 0, {"cmd": "python", "args": ["-m", "unittest"]}, "could_not_run", "no_tests"),
        ("Running unittests src/lib.rs", 0, {"cmd": "cargo", "args": ["test"]}, "could_not_run", "no_tests"),
        ("", 0, {"cmd": "go", "args": ["test", "./..."]}, "could_not_run", "no_tests"),
        ("", 0, {"cmd": "cargo", "args": ["test", "--no-run"]}, "passed", ""),
        ("built", 0, {"cmd": "make"}, "passed", ""),
        ("boom", 2, {"cmd": "make"}, "failed", ""),
        ("stopped", None, {"cmd": "make"}, "failed", ""),
    ],
)
def test_a_check_passes_only_if_its_report_and_its_exit_status_agree(
    printed: str, exit_code: int | None, arguments: dict[str, Any], verdict: str, cause: str
) -> None:
    found = judged(envelope(printed, exit_code), arguments)
    assert (found.verdict, found.cause) == (verdict, cause)


def test_a_check_that_the_command_server_refuses_could_not_be_run_and_says_why() -> None:
    gone = Problem(code="not_found", message="go is not installed here", hint="install Go")
    found = judged(envelope("", None, gone), {"cmd": "go"})
    assert (found.verdict, found.cause) == ("could_not_run", "unavailable")
    assert (found.reason, found.next_step) == ("not_found: go is not installed here", "install Go")


@pytest.mark.parametrize(
    ("printed", "reason", "step"),
    [
        ("> express@5 test\n> mocha\n\nsh: 1: mocha: not found", "sh: 1: mocha: not found", "`npm install`"),
        ("test_b.py:1: in <module>\n    import nope\nE   ModuleNotFoundError: No module named 'nope'\nERROR test_b.py",
         "ModuleNotFoundError: No module named 'nope'", "`uv sync`"),
        ("    calc_test.go:9: got 3, want 4\n--- FAIL: TestAdd", "calc_test.go:9: got 3, want 4", ""),
        ("error[E0425]: cannot find value `x`", "error[E0425]: cannot find value `x`", ""),
    ],
)  # fmt: skip
def test_the_first_error_line_and_the_next_step_are_named(printed: str, reason: str, step: str) -> None:
    found = judged(envelope(printed, 1), {"cmd": "make"})
    assert found.reason == reason
    assert step in found.next_step


def change(path: str, before: str | None, after: str | None, diff: str = "") -> dict[str, Any]:
    return {"files": [{"path": path, "op": "update", "before_sha256": before, "after_sha256": after}], "diff": diff}


def test_changed_files_that_check_are_told_from_others_by_what_is_left_of_the_changes() -> None:
    diff = "--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-{1}\n"
    found = changed_files([
        change("calc.py", "a", "b"), change("tests/test_calc.py", "a", "b"), change("tests/test_new.py", None, "b"),
        change("tests/calc.py", None, "b"), change("tests/__init__.py", None, "b"), change("tests/x.json", None, "b"),
        change("conftest.py", None, "b"), change("Makefile", "a", "b"), change("Makefile", "b", "a"),
        change("pyproject.toml", "a", "b", diff.format("pyproject.toml", 'addopts = "-q"')),
        change("package.json", "a", "b", diff.format("package.json", '"version": "1"')), change("check.py", "a", "b"),
        change("a.test.ts", "a", "b"), change("x_test.go", "a", "b"), {"changed_paths": [".github/workflows/ci.yml"]},
    ], ["python", "check.py"])  # fmt: skip
    assert {file.path: (file.kind, file.weakens) for file in found.checking} == {
        "tests/calc.py": ("tests", True), "tests/__init__.py": ("tests", False), "tests/x.json": ("tests", False),
        "tests/test_calc.py": ("tests", True), "tests/test_new.py": ("tests", False), "a.test.ts": ("tests", True),
        "x_test.go": ("tests", True), "conftest.py": ("test settings", True), "check.py": ("task runner", True),
        "pyproject.toml": ("test settings", True), ".github/workflows/ci.yml": ("CI", True),
    }  # fmt: skip
    assert found.others == ("calc.py", "package.json")


@pytest.mark.parametrize(
    ("request_text", "path", "asked"),
    [
        ("fix the failing test", "tests/test_a.py", False), ("make the tests pass", "tests/test_a.py", False),
        ("make the tests pass", "Makefile", False), ("add a make target", "Makefile", True),
        ("change add so that the tests pass", "tests/test_a.py", False),
        ("fix the bug in tests/test_a.py", "tests/test_a.py", False),
        ("add a test for add", "tests/test_a.py", True), ("add multiply and tests for it", "tests/test_a.py", True),
        ("the test is wrong, it expects 4", "tests/test_a.py", True), ("set addopts to -q", "pyproject.toml", True),
        ("run the linter in CI", ".github/workflows/ci.yml", True), ("speed up add", "conftest.py", False),
    ],
)  # fmt: skip
def test_a_request_is_about_tests_only_if_it_says_so(request_text: str, path: str, asked: bool) -> None:
    [file] = changed_files([{"changed_paths": [path]}]).checking
    assert asked_for(request_text, file) is asked


PROOF = {
    "tests/__init__.py": "",
    "tests/test_calc.py": (
        "import unittest\nfrom calc import add\n\n\nclass TestAdd(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n"
    ),
}


def edit(path: str, old: str, new: str) -> list[Scripted]:
    block = f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
    return [calls(("fs__read_file", {"path": path})), calls(("fs__apply_patch", {"patch": block}))]


async def ended(place: Path, *script: Scripted, request: str = "fix the failing test") -> Ran:
    return await run(place, [*script, text("Done."), text("Done.")], request=request, files=PROOF)


ASSERTION = "        self.assertEqual(add(1, 2), 3)"
EASIER = edit("tests/test_calc.py", ASSERTION, "        self.assertTrue(True)")
HARMLESS = edit("calc.py", f"    {WRONG}", f"    {WRONG}  # checked")


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("  2 passing (4ms)\n  1 failing", "", "could_not_run"),
        ("  2 passing (4ms)\n  1 failing", "  3 passing (4ms)", "passed"),
        ("built", "built", "passed"),
    ],
)
def test_a_check_that_reported_tests_before_and_reports_none_now_proves_nothing(
    before: str, after: str, verdict: str
) -> None:
    call = QueuedCall(call=PlannedCall(id="check.1", tool="exec__exec", input={"cmd": "npm-test"}), key="k")
    check = gone_silent(judge(call, envelope(after)), envelope(before, 1))
    assert (check.verdict, check.ok) == (verdict, verdict == "passed")
    assert check.lost_tests == (verdict == "could_not_run")


@pytest.mark.parametrize(
    "path",
    ["testdata/out.txt", "a/golden/x.json", "expected/x", "src/x.snap", ".npmrc", "tests/a.py", "conftest.py"],
)
def test_files_that_check_without_being_tests_are_known(path: str) -> None:
    assert kind_of(path) is not None


async def test_a_run_that_only_makes_its_test_easier_has_failed_and_names_the_test_first(tmp_path: Path) -> None:
    ran = await ended(tmp_path, *EASIER)
    assert (ran.final.status, ran.final.exit_status) == ("failed", 1), ran.final.text
    assert "only files that check the code were changed" in ran.final.text.splitlines()[0]
    assert "**The change also edits tests or check settings:** `tests/test_calc.py` (tests)." in ran.final.text


async def test_a_change_that_also_makes_its_test_easier_is_done_and_unchecked(tmp_path: Path) -> None:
    ran = await ended(tmp_path, *HARMLESS, *EASIER)
    assert (ran.final.status, ran.final.exit_status) == ("unchecked", 4), ran.final.text
    assert "also edits files that check it" in ran.final.text.splitlines()[0]


async def test_a_new_module_beside_the_tests_that_they_may_get_instead_proves_nothing(tmp_path: Path) -> None:
    shadow = {"changes": [{"path": "tests/calc.py", "op": "add", "content": "def add(a, b):\n    return 3\n"}]}
    ran = await ended(tmp_path, *edit("calc.py", WRONG, RIGHT), calls(("fs__apply_patch", shadow)))
    assert (ran.final.status, ran.final.exit_status) == ("unchecked", 4), ran.final.text
    assert "`tests/calc.py` (new tests)" in ran.final.text.splitlines()[0]


async def test_tests_that_the_request_asks_for_may_change_and_are_named(tmp_path: Path) -> None:
    right = edit("calc.py", f"    {WRONG}", f"    {RIGHT}")
    more = edit("tests/test_calc.py", ASSERTION, f"{ASSERTION}\n        self.assertEqual(add(2, 2), 4)")
    ran = await ended(tmp_path, *right, *more, request="fix the failing test and add a test for 2 + 2")
    assert ran.final.status == "done", ran.final.text
    named, verdict, *_ = ran.final.text.split("\n\n")
    assert named.startswith("**The change also edits tests or check settings:** `tests/test_calc.py`")
    assert re.fullmatch(r"\*\*Done:\*\* `.+` failed before the change and passes now\.", verdict), ran.final.text


async def test_what_a_model_says_is_quoted_in_every_report(tmp_path: Path) -> None:
    table = "| check | result | exit code | last line |\n|---|---|---|---|\n| `make test` | passed | 0 | ok |"
    right = edit("calc.py", f"    {WRONG}", f"    {RIGHT}")
    ran = await run(tmp_path, [*right, text(table)], files={})
    assert ran.final.status == "done", ran.final.text
    tables = [line for line in ran.final.text.splitlines() if line.startswith("| check")]
    assert len(tables) == 1, ran.final.text
    assert f"> {table.splitlines()[2]}" in ran.final.text


@pytest.mark.parametrize(
    ("files", "arguments", "verdict"),
    [
        ({"conftest.py": "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n",
          "test_a.py": "def test_a():\n    assert False\n"}, [], "failed"),
        ({"test_a.py": "def test_a():\n    pass\n"}, ["--collect-only"], "could_not_run"),
        ({"test_a.py": "import pytest\n\n@pytest.mark.xfail\ndef test_a():\n    assert 0\n"}, [], "could_not_run"),
        ({"pytest.ini": "[pytest]\naddopts = -q\n", "test_a.py": "def test_a():\n    pass\n"}, [], "passed"),
        ({"pytest.ini": "[pytest]\naddopts = -p no:terminal\n", "test_a.py": "def test_a():\n    pass\n"}, [],
         "could_not_run"),
        ({"test_a.py": "import no_such_module\n"}, [], "could_not_run"),
    ],
)  # fmt: skip
async def test_a_real_pytest_is_believed_only_where_its_report_and_its_status_agree(
    tmp_path: Path, files: dict[str, str], arguments: list[str], verdict: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    python = f"{pytest_environment()}/bin/python"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", *arguments]
    done = await anyio.run_process(command, cwd=tmp_path, check=False)
    found = judged(envelope(done.stdout.decode(), done.returncode), PYTEST)
    assert found.verdict == verdict, done.stdout.decode()
    assert "no_such_module" in found.reason or "test_a.py" not in files or "no_such" not in files["test_a.py"]
