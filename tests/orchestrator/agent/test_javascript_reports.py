"""The reports of JavaScript's runners: who is asked for one, what each writes, and how it decides with the exit status.

The reports are those that Node.js 20, Jest 30, Vitest 4 and Mocha 11 wrote for four tests: one passes, one fails, two
do not run. Where Node.js is installed, its own runner is also started.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from lg_exec.templates.arguments import ArgumentRules
from lg_orch.agent.checks.judgement import judged
from lg_orch.agent.checks.packages import packages
from lg_orch.agent.checks.ran_tests import fewer_tests
from lg_orch.agent.checks.report_options import shown_words, with_reports
from lg_orch.agent.checks.runner_reports import runner_of
from lg_orch.contracts.envelopes import Artifacts, ToolEnvelope
from lg_orch.contracts.plans import ToolUse
from lg_orch.contracts.repository import Command
from lg_orch.contracts.state import Sandbox
from lg_orch.tools.junit import JS_OPTIONS, read_report, split_report
from lg_orch.tools.result_text import command_output
from lg_policy.config.exec_templates import DEFAULT_COMMANDS
from lg_policy.config.settings import CommandTemplate
from tests.support import require

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = tuple(
    Command(name=name, args_allow=tuple(template["args_allow"]), root="overlay")
    for name, template in DEFAULT_COMMANDS.items()
)
BUBBLEWRAP = Sandbox(active=True, backend="bubblewrap 0.11")
NODE = """<?xml version="1.0" encoding="utf-8"?>
<testsuites>
\t<testcase name="adds" time="0.001249" classname="test"/>
\t<testsuite name="suite" time="0.001823" disabled="0" errors="0" tests="3" failures="1" skipped="2" hostname="vm">
\t\t<testcase name="fails &lt;b>" time="0.001053" classname="test" failure="1 == 2">
\t\t\t<failure type="testCodeFailure" message="1 == 2">
Error [ERR_TEST_FAILURE]: 1 == 2
\t\t\t</failure>
\t\t</testcase>
\t\t<testcase name="skipped" time="0.000163" classname="test">
\t\t\t<skipped type="skipped" message="true"/>
\t\t</testcase>
\t\t<testcase name="todo one" time="0.000095" classname="test">
\t\t\t<skipped type="todo" message="true"/>
\t\t</testcase>
\t</testsuite>
\t<!-- tests 4 -->
\t<!-- suites 1 -->
\t<!-- pass 1 -->
\t<!-- fail 1 -->
\t<!-- cancelled 0 -->
\t<!-- skipped 1 -->
\t<!-- todo 1 -->
</testsuites>
"""
JEST = (
    '{"numFailedTestSuites":1,"numFailedTests":1,"numPassedTestSuites":0,"numPassedTests":1,"numPendingTestSuites":0,'
    '"numPendingTests":1,"numRuntimeErrorTestSuites":0,"numTodoTests":1,"numTotalTestSuites":1,"numTotalTests":4,'
    '"success":false,"testResults":[{"assertionResults":[{"fullName":"adds","status":"passed"},'
    '{"fullName":"suite fails <b>","status":"failed"},{"fullName":"suite skipped","status":"pending"},'
    '{"fullName":"suite todo one","status":"todo"}]}],"wasInterrupted":false}'
    "Test results written to: ../../dev/stderr\n"
)
VITEST = """<?xml version="1.0" encoding="UTF-8" ?>
<testsuites name="vitest tests" tests="4" failures="1" errors="0" time="0.033555646">
    <testsuite name="a.spec.mjs" hostname="vm" tests="2" failures="1" errors="0" skipped="0" time="0.033555646">
        <testcase classname="a.spec.mjs" name="adds" time="0.001665077">
        </testcase>
        <testcase classname="a.spec.mjs" name="suite &gt; fails &lt;b&gt;" time="0.021175353">
            <failure message="expected 1 to be 2 // Object.is equality" type="AssertionError">
AssertionError: expected 1 to be 2 // Object.is equality
            </failure>
        </testcase>
    </testsuite>
    <testsuite name="b.spec.mjs" hostname="vm" tests="2" failures="0" errors="0" skipped="2" time="0.033555646">
        <testcase classname="b.spec.mjs" name="suite &gt; skipped" time="0">
            <skipped/>
        </testcase>
        <testcase classname="b.spec.mjs" name="suite &gt; todo one" time="0">
            <skipped/>
        </testcase>
    </testsuite>
</testsuites>
"""
MOCHA = """<testsuite name="Mocha Tests" tests="4" failures="0" errors="1" skipped="2" timestamp="Sun" time="0.008">
<testcase classname="" name="adds" file="/tmp/js/m/c.js" time="0"/>
<testcase classname="suite" name="fails &#x3C;b&#x3E;" file="/tmp/js/m/c.js" time="0.005"><failure>1 == 2

      + expected - actual
AssertionError [ERR_ASSERTION]: 1 == 2
    at Context.&#x3C;anonymous&#x3E; (m/c.js:3:68)</failure></testcase>
<testcase classname="suite" name="skipped" file="/tmp/js/m/c.js" time="0"><skipped/></testcase>
<testcase classname="suite" name="todo one" file="/tmp/js/m/c.js" time="0"><skipped/></testcase>
</testsuite>
"""
REPORTS = {"node": NODE, "jest": JEST, "vitest": VITEST, "mocha": MOCHA}
SUMMARIES = {
    "node": "\u2139 tests 1\n\u2139 pass 1\n\u2139 fail 0\n", "jest": "Tests:       1 passed, 1 total\n",
    "vitest": "      Tests  1 passed (1)\n", "mocha": "",
}  # fmt: skip
"""What a runner prints for people where all is well, or where somebody makes it say so."""
GOOD = {
    "node": NODE.replace("fail 1", "fail 0").replace("<failure", "<x").replace('failures="1"', 'failures="0"'),
    "jest": JEST.replace('"numFailedTests":1', '"numFailedTests":0').replace('"failed"', '"pending"'),
    "vitest": VITEST.replace('failures="1"', 'failures="0"').replace("<failure", "<x"),
    "mocha": MOCHA.replace('errors="1"', 'errors="0"').replace("<failure", "<x"),
}


def envelope(printed: str, errors: str, exit_code: int = 0, **structured: Any) -> ToolEnvelope:
    return ToolEnvelope(
        tool="exec__exec", ok=True, exit_code=exit_code, stdout=printed, stderr=errors, timing_ms=1,
        artifacts=Artifacts(call_id="check.1", structured=structured),
    )  # fmt: skip


def arguments(runner: str) -> dict[str, Any]:
    if runner == "node":
        return {"cmd": "node-test", "args": [*JS_OPTIONS["node"], "a.test.js"]}
    return {"cmd": "npm-test", "args": ["--", *JS_OPTIONS[runner]]}


def asked(script: str, *args: str, sandbox: Sandbox | None = BUBBLEWRAP) -> list[str]:
    """Return the arguments of `npm test` in a package whose manifest has that test script."""
    line = f'    "test": {json.dumps(script)},'
    known = packages([{"path": "web/package.json", "matches": [{"text": line}]}])
    check = {"cmd": "npm-test", "args": list(args), "cwd": "web"}
    [use] = with_reports([ToolUse(tool="exec__exec", input=check)], SHIPPED, sandbox, known)
    found: list[str] = use.input["args"]
    return found


def asked_node(*args: str, own: tuple[str, ...] | None = None) -> list[str]:
    commands = SHIPPED if own is None else (Command(name="node-test", args_allow=own),)
    use = ToolUse(tool="exec__exec", input={"cmd": "node-test", "args": list(args)})
    [use] = with_reports([use], commands, BUBBLEWRAP)
    found: list[str] = use.input["args"]
    return found


@pytest.mark.parametrize(
    ("script", "runner"),
    [
        ("jest", "jest"), ("jest --ci --coverage", "jest"), ("NODE_ENV=test jest", "jest"), ("npx jest src", "jest"),
        ("vitest run", "vitest"), ("vitest", "vitest"), ("mocha", "mocha"), ("nyc mocha test/*.js", "mocha"),
        ("cross-env NODE_ENV=test mocha -r ts-node/register", "mocha"), ("node --test", "node"),
        ("node --test --test-concurrency=1", "node"),
    ],
)  # fmt: skip
def test_npm_test_passes_the_options_on_where_its_script_is_that_runner_alone(script: str, runner: str) -> None:
    assert asked(script) == ["--", *JS_OPTIONS[runner]]
    assert asked(script, "--silent") == ["--silent", "--", *JS_OPTIONS[runner]]
    assert runner_of({"cmd": "npm-test", "args": asked(script)}) == runner


@pytest.mark.parametrize(
    "script",
    [
        "jest && echo ok", "npm run lint; mocha", "jest | tee out", "jest > out", "echo jest", "xo && ava", "tap",
        "jest --json", "mocha --reporter dot", "mocha -R spec", "vitest --reporter=dot", "vitest watch",
        "jest --watch", "node --test tests/", "node --test --test-reporter=tap", "node test.js", "jest $(cat x)",
        "mocha 'test/**/*.js' || true", "my-jest", "jest-cli", "react-scripts test",
    ],
)  # fmt: skip
def test_a_script_that_is_more_or_less_than_a_runner_is_left_as_it_is(script: str) -> None:
    assert asked(script) == []


def test_nobody_is_asked_where_standard_error_has_no_name_or_the_template_does_not_allow_it() -> None:
    assert asked("jest", sandbox=Sandbox(active=True, backend="seatbelt")) == []
    assert asked("jest", "--", "--bail") == ["--", "--bail"]
    assert asked_node("a.js", own=("--test-reporter=spec|tap|dot", "path:**")) == ["a.js"]
    two = packages([{"path": "web/package.json", "matches": [{"text": '"test": "jest"'}, {"text": '"test": "mocha"'}]}])
    use = ToolUse(tool="exec__exec", input={"cmd": "npm-test", "cwd": "web"})
    assert with_reports([use], SHIPPED, BUBBLEWRAP, two) == (use,), "which of the two is the test script?"


def test_node_writes_two_reports_and_a_reporter_that_the_plan_chose_stays() -> None:
    assert asked_node("a.test.js") == [*JS_OPTIONS["node"], "a.test.js"]
    chosen = asked_node("--test-reporter=dot", "a.test.js")
    assert chosen == ["--test-reporter=dot", *JS_OPTIONS["node"][1:], "a.test.js"]
    assert asked_node("--test-reporter=dot", "--test-reporter-destination=stdout")[0] == "--test-reporter=dot"
    assert shown_words({"cmd": "node-test", "args": chosen}) == ["node-test", "--test-reporter=dot", "a.test.js"]
    assert shown_words(arguments("node")) == ["node-test", "a.test.js"]


def test_the_shipped_templates_allow_what_is_asked_for() -> None:
    for name, args in (("node-test", JS_OPTIONS["node"]), ("npm-test", ("--", *JS_OPTIONS["mocha"]))):
        template = CommandTemplate.model_validate(DEFAULT_COMMANDS[name])
        assert ArgumentRules(name, template).check(args, str).args == tuple(args)


@pytest.mark.parametrize("runner", REPORTS)
def test_each_report_says_what_passed_failed_and_did_not_run(runner: str) -> None:
    report = read_report(f"a warning\n{REPORTS[runner]}", runner)
    assert report is not None
    assert (report.passed, report.failed, report.not_run) == (1, 1, 2)
    assert [name.rpartition("::")[2].removeprefix("suite ").removeprefix("> ") for name in report.failures] == [
        "fails <b>"
    ]
    assert len(report.ran) == 2
    assert shown_words(arguments(runner))[1:] == (["a.test.js"] if runner == "node" else [])


@pytest.mark.parametrize("runner", REPORTS)
def test_summary_report_and_exit_status_must_all_say_that_it_passed(runner: str) -> None:
    summary, asking = SUMMARIES[runner], arguments(runner)
    assert judged(envelope(summary, GOOD[runner]), asking).verdict == "passed"
    hidden = judged(envelope(summary, REPORTS[runner]), asking)
    assert hidden.verdict == "failed", "the report says that a test failed"
    assert hidden.reason.startswith("exit status 0, but its own report says 1 failed")
    assert "fails <b>" in hidden.failures[0]
    assert judged(envelope(summary, GOOD[runner], exit_code=1), asking).verdict == "failed"
    silent = judged(envelope(summary or "  5 passing\n", ""), asking)
    assert silent.verdict == "could_not_run"
    assert silent.reason == f"{runner} wrote no report of its tests"
    assert judged(envelope(summary or "  5 passing\n", "", truncated=True), asking).verdict == "passed"


@pytest.mark.parametrize("runner", REPORTS)
def test_where_the_report_says_that_nothing_ran_a_summary_that_says_otherwise_proves_nothing(runner: str) -> None:
    nothing = {
        "node": NODE[: NODE.index("\t<testcase")] + "\t<!-- tests 1 -->\n\t<!-- pass 0 -->\n\t<!-- fail 0 -->\n"
        "\t<!-- skipped 1 -->\n</testsuites>\n",
        "jest": GOOD["jest"].replace('"numPassedTests":1', '"numPassedTests":0').replace('"passed"', '"pending"'),
        "vitest": VITEST[: VITEST.index(" tests=")] + ' tests="0" failures="0" errors="0">\n</testsuites>\n',
        "mocha": '<testsuite name="Mocha Tests" tests="0" failures="0" errors="0" skipped="0">\n</testsuite>\n',
    }[runner]
    found = judged(envelope(SUMMARIES[runner] or "  5 passing\n", nothing), arguments(runner))
    assert (found.verdict, found.cause) == ("could_not_run", "no_tests"), found


@pytest.mark.parametrize("runner", REPORTS)
def test_people_and_models_are_shown_what_stands_around_the_report(runner: str) -> None:
    text = command_output(envelope("out\n", f"a warning\n{REPORTS[runner]}and another\n", exit_code=1))
    assert "a warning" in text
    assert "and another" in text
    assert "<test" not in text
    assert "numPassedTests" not in text


def test_the_report_of_mocha_is_shown_in_words_because_nothing_else_is() -> None:
    text = command_output(envelope("", MOCHA, exit_code=1))
    assert "  1 passing\n  1 failing\n  2 pending\n" in text
    assert "  1) suite fails <b>\n     1 == 2\n" in text
    assert "at Context.<anonymous> (m/c.js:3:68)" in text
    assert judged(envelope("", MOCHA, exit_code=1), arguments("mocha")).reason.startswith("AssertionError")


def test_a_file_that_jest_could_not_load_is_a_failure() -> None:
    broken = GOOD["jest"].replace('"numRuntimeErrorTestSuites":0', '"numRuntimeErrorTestSuites":1')
    assert judged(envelope(SUMMARIES["jest"], broken), arguments("jest")).verdict == "failed"


@pytest.mark.parametrize("runner", ["jest", "vitest", "mocha"])
def test_of_two_reports_the_worse_one_counts(runner: str) -> None:
    forged = GOOD[runner].replace('"numPassedTests":1', '"numPassedTests":50').replace('tests="4"', 'tests="54"')
    for text in (forged + REPORTS[runner], REPORTS[runner] + forged):
        assert judged(envelope(SUMMARIES[runner], text), arguments(runner)).verdict == "failed"


def test_a_comment_that_a_test_of_node_writes_does_not_replace_the_totals() -> None:
    forged = NODE.replace("<testcase", "<!-- pass 50 -->\n<!-- fail 0 -->\n<testcase", 1)
    report = read_report(forged, "node")
    assert report is not None
    assert (report.passed, report.failed) == (1, 1)
    late = NODE.replace("</testsuites>", "<!-- fail 0 -->\n</testsuites>")
    assert judged(envelope(SUMMARIES["node"], late), arguments("node")).verdict == "failed", "the case itself says so"


def test_tests_that_no_longer_run_are_named_from_the_reports() -> None:
    def ran(*names: str) -> ToolEnvelope:
        cases = "".join(f'<testcase classname="a.mjs" name="{name}" time="0"></testcase>' for name in names)
        head = VITEST[: VITEST.index("\n    <testsuite name")]
        suite = f'<testsuite name="a.mjs" tests="{len(names)}" failures="0" errors="0" skipped="0">{cases}</testsuite>'
        return envelope("", head + suite + "</testsuites>")

    told = fewer_tests(ran("adds", "suite &gt; is quick"), ran("adds"), arguments("vitest"))
    assert told == "1 test ran, 2 before the change; missing: a.mjs::suite > is quick"


@pytest.mark.parametrize(
    "text",
    ['{"numFailedTestSuites":\n' * 40_000, '<testsuite name="Mocha Tests"\n' * 40_000, "<!-- pass 1" * 80_000,
     '<testsuite name="Mocha Tests" tests="1">' + "<failure>" * 80_000, '<?xml version="1.0"?><testsuites>' * 20_000],
)  # fmt: skip
@pytest.mark.parametrize("runner", REPORTS)
def test_reading_a_report_takes_time_in_proportion_to_its_length(runner: str, text: str) -> None:
    begun = time.process_time()
    read_report(text, runner)
    split_report(text)
    assert time.process_time() - begun < 20, "quadratic work on a megabyte takes minutes"


def test_the_runner_of_node_itself_is_judged_by_its_report(tmp_path: Path) -> None:
    require(shutil.which("node") is not None, "Node.js")
    (tmp_path / "a.test.js").write_text(
        "const { test } = require('node:test');\nconsole.log('\u2139 pass 7');\nprocess.on('exit', () => {});\n"
        "test('adds', () => {});\ntest('is left out', { skip: true }, () => {});\n"
    )

    def run() -> ToolEnvelope:
        command = ["node", "--test", *JS_OPTIONS["node"], "a.test.js"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        return envelope(ran.stdout, ran.stderr, ran.returncode)

    good = judged(run(), arguments("node"))
    assert good.verdict == "passed"
    assert good.counts is not None
    assert (good.counts.passed, good.counts.not_run) == (1, 1)
    (tmp_path / "a.test.js").write_text(
        "const { test } = require('node:test');\ntest('no', { skip: true }, () => {});\n"
    )
    assert judged(run(), arguments("node")).cause == "no_tests"
    (tmp_path / "a.test.js").write_text("require('node:test').test('no', () => { throw new Error('five') });\n")
    failed = judged(run(), arguments("node"))
    assert (failed.verdict, failed.failures) == ("failed", ("test::no",))
