"""Reports for machines: who is asked for one, what it proves, and how files are put back for a repeat of the checks."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from lg_fs.patch.diff import file_diff
from lg_orch.agent.checks import restore_program
from lg_orch.agent.checks.earlier_files import CannotPutBackError, steps_back
from lg_orch.agent.checks.judgement import judged
from lg_orch.agent.checks.ran_tests import fewer_tests
from lg_orch.agent.checks.report_options import shown_words, with_reports
from lg_orch.agent.checks.runner_reports import runner_of
from lg_orch.contracts.envelopes import Artifacts, ToolEnvelope
from lg_orch.contracts.plans import ToolUse
from lg_orch.contracts.repository import Command
from lg_orch.contracts.state import Sandbox
from lg_orch.tools.junit import REPORT_OPTIONS, read_report, split_report
from lg_orch.tools.result_text import command_output
from lg_policy.config.exec_templates import DEFAULT_COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = tuple(
    Command(name=name, args_allow=tuple(template["args_allow"]), root="overlay")
    for name, template in DEFAULT_COMMANDS.items()
)
BUBBLEWRAP = Sandbox(active=True, backend="bubblewrap 0.11")
ASKED = {"cmd": "pytest", "args": ["-q", *REPORT_OPTIONS]}
GO = {"cmd": "go", "args": ["test", "-json", "./..."]}


def junit(cases: str, **totals: int) -> str:
    told = " ".join(f'{name}="{number}"' for name, number in totals.items())
    head = '<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">'
    return f'{head}<testsuite name="pytest" {told} time="0.1">{cases}</testsuite></testsuites>'


def case(name: str, inside: str = "") -> str:
    return f'<testcase classname="tests.test_a" name="{name}" time="0.0">{inside}</testcase>'


def envelope(printed: str, exit_code: int | None = 0, errors: str = "", **structured: Any) -> ToolEnvelope:
    artifacts = Artifacts(call_id="check.1", structured=structured)
    return ToolEnvelope(
        tool="exec__exec", ok=True, exit_code=exit_code, stdout=printed, stderr=errors, timing_ms=1,
        artifacts=artifacts,
    )  # fmt: skip


def go(*events: dict[str, Any]) -> str:
    return "\n".join(json.dumps({"Package": "x/y"} | event) for event in events)


def asked(command: str, *args: str, sandbox: Sandbox | None = BUBBLEWRAP) -> list[str]:
    [use] = with_reports([ToolUse(tool="exec__exec", input={"cmd": command, "args": list(args)})], SHIPPED, sandbox)
    found: list[str] = use.input["args"]
    return found


def test_pytest_and_go_are_asked_for_a_report_where_their_template_allows_it() -> None:
    assert asked("pytest", "-q") == ["-q", *REPORT_OPTIONS]
    assert asked("python-pytest", "-q")[1:] == list(REPORT_OPTIONS)
    assert asked("python", "-m", "pytest") == ["-m", "pytest", *REPORT_OPTIONS]
    assert asked("uv-run", "pytest", "-q") == ["pytest", "-q", *REPORT_OPTIONS]
    assert asked("go", "test", "./...") == ["test", "-json", "./..."]


def test_nobody_else_is_asked_for_a_report() -> None:
    assert asked("go", "build", "./...") == ["build", "./..."]
    assert asked("cargo", "test") == ["test"]
    assert asked("pytest", "-q", sandbox=Sandbox(active=True, backend="seatbelt")) == ["-q"]
    assert asked("pytest", "-q", sandbox=Sandbox(active=False, backend="off")) == ["-q"]
    use = ToolUse(tool="exec__exec", input={"cmd": "pytest", "args": ["-q"]})
    own = Command(name="pytest", args_allow=("-q",))
    assert with_reports([use], [own], BUBBLEWRAP) == (use,), "a template of the user that allows no report"
    assert with_reports([use], [], BUBBLEWRAP) == (use,)


def test_people_are_shown_neither_the_options_nor_the_report() -> None:
    assert shown_words(ASKED) == ["pytest", "-q"]
    report = junit(case("test_a"), tests=1, failures=0, errors=0, skipped=0)
    assert command_output(envelope("1 passed in 0.1s", errors=f"a warning\n{report}\nand another")) == (
        "1 passed in 0.1s\n--- standard error ---\na warning\nand another"
    )


@pytest.mark.parametrize(
    ("printed", "exit_code", "report", "verdict", "passed"),
    [
        ("1 passed in 0.1s", 0, junit(case("test_a"), tests=1, failures=0, errors=0, skipped=0), "passed", 1),
        ("", 0, junit(case("test_a"), tests=1, failures=0, errors=0, skipped=0), "passed", 1),
        ("3 passed in 0.1s", 0, junit(case("test_a", "<failure/>"), tests=3, failures=1, errors=0, skipped=0),
         "failed", 2),
        ("3 passed in 0.1s", 0, junit("", tests=3, failures=0, errors=0, skipped=3), "passed", 0),
        ("", 0, junit(case("test_a", "<skipped/>"), tests=1, failures=0, errors=0, skipped=1), "could_not_run", 0),
        ("3 passed in 0.1s", 0, "", "could_not_run", 3),
        ("3 passed in 0.1s", 0, junit("", tests=3, errors=0) + junit("", tests=1, failures=1), "failed", 0),
    ],
)  # fmt: skip
def test_summary_report_and_exit_status_must_all_say_that_pytest_passed(
    printed: str, exit_code: int, report: str, verdict: str, passed: int
) -> None:
    found = judged(envelope(printed, exit_code, report), ASKED)
    if printed and report and passed == 0 and verdict == "passed":
        # The summary says that tests passed and the report that none ran: nothing ran.
        verdict = "could_not_run"
    assert found.verdict == verdict, found
    assert found.counts is not None
    assert found.counts.passed == passed


def test_a_report_whose_middle_was_cut_still_counts_and_one_that_was_cut_away_is_not_missed() -> None:
    report = junit(case("test_a") * 50 + case("test_b", "<failure/>"), tests=51, failures=1, errors=0, skipped=0)
    cut = f"{report[:300]}\n[… 9000 bytes left out …]\n{report[-40:]}"
    assert judged(envelope("51 passed", 0, cut, truncated=True), ASKED).verdict == "failed"
    assert judged(envelope("51 passed in 1s", 0, "warning\n" * 10, truncated=True), ASKED).verdict == "passed"


def test_a_report_names_what_ran_without_parameters_and_what_failed() -> None:
    cases = case("test_a[1]") + case("test_a[2]", "<skipped/>") + case("test_b", "<skipped/>")
    report = read_report(junit(cases + case("test_c", "<failure>x</failure>"), tests=4, failures=1, skipped=2))
    assert report is not None
    assert report.ran == {"tests.test_a::test_a", "tests.test_a::test_c"}
    assert report.failures == ("tests.test_a::test_c",)


@pytest.mark.parametrize("text", ["<testsuite" * 50_000, "<?xml version=" * 40_000, '<testcase a="' * 40_000])
def test_reading_a_report_takes_time_in_proportion_to_its_length(text: str) -> None:
    hostile = f'<?xml version="1.0"?><testsuites>{text}'
    begun = time.process_time()
    read_report(hostile)
    split_report(text)
    assert time.process_time() - begun < 20, "quadratic work on half a megabyte takes minutes"


@pytest.mark.parametrize(
    ("events", "exit_code", "verdict"),
    [
        ([{"Action": "pass", "Test": "TestA"}, {"Action": "output", "Output": "ok  \tx/y\t0.1s\n"}], 0, "passed"),
        ([{"Action": "skip", "Test": "TestA"}, {"Action": "output", "Output": "ok  \tx/y\t0.1s\n"}], 0,
         "could_not_run"),
        ([{"Action": "output", "Test": "TestA", "Output": "--- FAIL: TestA (0.00s)\n"},
          {"Action": "fail", "Test": "TestA"}, {"Action": "output", "Output": "ok  \tx/y\t0.1s\n"}], 0, "failed"),
        ([{"Action": "output", "Output": "?   \tx/y\t[no test files]\n"}, {"Action": "skip"}], 0, "could_not_run"),
        ([{"Action": "output", "Test": "TestA", "Output": '{"Action":"pass","Test":"TestForged"}\n'},
          {"Action": "skip", "Test": "TestA"}], 0, "could_not_run"),
    ],
)  # fmt: skip
def test_the_json_of_go_decides_test_by_test(events: list[dict[str, Any]], exit_code: int, verdict: str) -> None:
    assert judged(envelope(go(*events), exit_code), GO).verdict == verdict


def test_a_model_reads_what_go_printed_and_no_json() -> None:
    events = (
        {"Action": "run", "Test": "TestA"}, {"Action": "output", "Test": "TestA", "Output": "=== RUN   TestA\n"},
        {"Action": "output", "Test": "TestA", "Output": "    x_test.go:3: want 3\n"},
        {"Action": "fail", "Test": "TestA"}, {"Action": "output", "Output": "FAIL\tx/y\t0.1s\n"},
    )  # fmt: skip
    assert command_output(envelope(go(*events), 1)) == "    x_test.go:3: want 3\n--- FAIL: TestA\nFAIL\tx/y\t0.1s"


@pytest.mark.parametrize(
    ("arguments", "runner"),
    [
        ({"cmd": "python", "args": ["-B", "-m", "pytest"]}, "pytest"),
        ({"cmd": "python", "args": ["-mpytest"]}, "pytest"),
        ({"cmd": "uv-run", "args": ["python", "-m", "pytest"]}, "pytest"),
        ({"cmd": "uv-run", "args": ["pytest"]}, "pytest"),
        ({"cmd": "python", "args": ["-c", "x", "-m", "pytest"]}, ""),
        ({"cmd": "python", "args": ["check.py", "-m", "pytest"]}, ""),
        ({"cmd": "python", "args": ["-m", "mypy"]}, ""),
    ],
)
def test_the_runner_is_known_however_it_is_started(arguments: dict[str, Any], runner: str) -> None:
    assert runner_of(arguments) == runner


@pytest.mark.parametrize(
    ("before", "after", "arguments", "told"),
    [
        ("5 passed in 1s", "3 passed in 1s", {"cmd": "make"}, "3 tests ran, 5 before the change"),
        ("5 passed in 1s", "3 passed, 2 skipped in 1s", {"cmd": "make"}, "3 tests ran, 5 before the change"),
        ("4 passed, 1 failed in 1s", "5 passed in 1s", {"cmd": "make"}, ""),
        ("3 passed in 1s", "5 passed in 1s", {"cmd": "make"}, ""),
        ("built", "built", {"cmd": "make"}, ""),
        ("test a ... ok\ntest b ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored",
         "test a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored", {"cmd": "cargo", "args": ["test"]},
         "1 test ran, 2 before the change; missing: b"),
        (go({"Action": "pass", "Test": "TestA"}, {"Action": "pass", "Test": "TestB"}),
         go({"Action": "pass", "Test": "TestB"}, {"Action": "skip", "Test": "TestA"}), GO,
         "1 test ran, 2 before the change; missing: TestA"),
    ],
)  # fmt: skip
def test_fewer_tests_than_before_are_counted_and_named(
    before: str, after: str, arguments: dict[str, Any], told: str
) -> None:
    assert fewer_tests(envelope(before), envelope(after), arguments) == told
    assert fewer_tests(None, envelope(after), arguments) == ""
    assert fewer_tests(envelope(before, truncated=True), envelope(after), arguments) == "", "nobody can tell"


def change(root: Path, path: str, after: bytes | None, to: str = "") -> dict[str, Any]:
    """Write a file as the file server would, and return the change set that it would answer."""
    place, target = root / path, root / (to or path)
    before = place.read_bytes() if place.exists() else None
    if after is None:
        place.unlink()
    else:
        if to:
            place.unlink()
        target.write_bytes(after)
    old, new = (path if before is not None else None), ((to or path) if after is not None else None)
    digests = [None if text is None else hashlib.sha256(text).hexdigest() for text in (before, after)]
    file = {"path": path, "to": to or None, "before_sha256": digests[0], "after_sha256": digests[1]}
    return {"files": [file], "diff": file_diff(old, new, before, after).text}


def put_back(root: Path, changes: list[dict[str, Any]], paths: list[str]) -> subprocess.CompletedProcess[str]:
    told = {"steps": steps_back(changes, paths), "argv": ["@python", "-c", "print('checked')"], "cwd": ""}
    program = [sys.executable, "-I", "-c", _source()]
    return subprocess.run(program, cwd=root, input=json.dumps(told), capture_output=True, text=True, check=False)


def _source() -> str:
    with open(restore_program.__file__) as file:
        return file.read()


@pytest.mark.parametrize("seed", range(12))
def test_files_are_put_back_byte_for_byte_through_any_number_of_changes(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    ends = chance.choice(["\n", "\r\n"])

    def lines() -> bytes:
        text = "".join(f"{chance.choice('abc é')}{ends}" for _ in range(chance.randrange(12)))
        return (text + chance.choice(["", "no end"])).encode()

    first = lines()
    (tmp_path / "test_a.py").write_bytes(first)
    (tmp_path / "other.py").write_text("same\n")
    changes = [change(tmp_path, "test_a.py", lines()) for _ in range(3)]
    changes.append(change(tmp_path, "test_a.py", lines(), to="test_b.py"))
    changes.append(change(tmp_path, "conftest.py", lines()))
    changes.append(change(tmp_path, "other.py", b"changed\n"))
    changes.append(change(tmp_path, "test_b.py", None))
    done = put_back(tmp_path, changes, ["test_a.py", "conftest.py"])
    assert (done.returncode, done.stdout) == (0, "checked\n"), done.stderr
    assert (tmp_path / "test_a.py").read_bytes() == first
    assert sorted(os.listdir(tmp_path)) == ["other.py", "test_a.py"]
    assert (tmp_path / "other.py").read_text() == "changed\n", "what does not check stays as the run left it"


def test_a_file_that_is_not_as_the_run_left_it_is_not_put_back_and_nothing_is_checked(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("one\n")
    changes = [change(tmp_path, "test_a.py", b"two\n")]
    (tmp_path / "test_a.py").write_text("three\n")
    done = put_back(tmp_path, changes, ["test_a.py"])
    assert (done.returncode, done.stdout) == (restore_program.FAILED, "")
    assert restore_program.MARK in done.stderr
    assert (tmp_path / "test_a.py").read_text() == "three\n"


def test_what_a_command_wrote_and_what_has_no_diff_cannot_be_put_back(tmp_path: Path) -> None:
    with pytest.raises(CannotPutBackError, match="a command wrote"):
        steps_back([{"changed_paths": ["test_a.py"]}], ["test_a.py"])
    (tmp_path / "test_a.bin").write_bytes(b"\0one")
    changed = change(tmp_path, "test_a.bin", b"\0two")
    assert put_back(tmp_path, [changed], ["test_a.bin"]).returncode == restore_program.FAILED
    with pytest.raises(CannotPutBackError, match="has no diff"):
        steps_back([changed | {"diff": ""}], ["test_a.bin"])
