"""Section of the summary about tests: where they are, how many, and the commands that run them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lg_orch.analyst import ci, imports
from lg_orch.analyst.report import number
from lg_orch.analyst.roles import is_test_file, role
from lg_orch.analyst.safe_text import code

if TYPE_CHECKING:
    from lg_orch.analyst.facts import TestCommand
    from lg_orch.analyst.report import Report
    from lg_orch.analyst.survey import Survey

_SHOWN = 15


def tests(survey: Survey, report: Report) -> None:
    """Layout and commands."""
    report.section("Tests")
    layout(survey, report)
    commands(survey, report)


def layout(survey: Survey, report: Report) -> None:
    """Directories with test files, and how many test functions the search saw."""
    by_directory: Counter[str] = Counter()
    first: dict[str, str] = {}
    for path, _ in survey.code:
        if role(path) == "tests" and (is_test_file(path) or "test" in path.rpartition("/")[2].lower()):
            top = _top(path)
            by_directory[top] += 1
            first.setdefault(top, path)
    for directory, count in by_directory.most_common(8):
        where = code(f"{directory}/") if directory else "the root"
        report.say(f"{number(count, 'test file')} below {where}", file=first[directory], line=1)
    if len(by_directory) > 8:
        rest = sum(count for _, count in by_directory.most_common()[8:])
        further = number(len(by_directory) - 8, "further directory", "further directories")
        report.say(f"{number(rest, 'test file')} in {further}")
    markers = [value for value in survey.imports.values if imports.is_test_marker(value.value)]
    if markers:
        total = sum(value.count for value in markers)
        best = max(markers, key=lambda value: value.count)
        report.say(f"{number(total, 'test function')} by their spelling, the first", file=best.path, line=best.line)
    if not by_directory and not markers:
        report.text("No test files found.")
        report.lacks("test files")
    if survey.code and not survey.code_complete:
        report.lacks("test files beyond the source files that were listed")


def _top(path: str) -> str:
    """The directory that makes it a test, or the one beside product code in which it stands."""
    parts = path.split("/")[:-1]
    for index in range(len(parts)):
        if role("/".join([*parts[: index + 1], "x"])) == "tests":
            return "/".join(parts[: index + 1])
    return "/".join(parts)


def commands(survey: Survey, report: Report) -> None:
    """How the repository itself says that its tests are run; conventions of build tools are named as such."""
    found = find_commands(survey)
    for test in found[:_SHOWN]:
        report.say(f"{code(test.command)}: {_why(test)}", file=test.file, line=test.line)
    if len(found) > _SHOWN:
        report.say(f"{number(len(found) - _SHOWN, 'further command')} in nested manifests")
    if not found:
        report.text("No file says how tests are run.")
        report.lacks("a command that runs the tests")


def _why(test: TestCommand) -> str:
    if test.why.startswith("runs "):  # the manifest's own words follow
        return f"runs {code(test.why[5:].strip(chr(39)))}"
    return test.why


def find_commands(survey: Survey) -> list[TestCommand]:
    """Commands of manifests, the root's first, then those of CI; each command of a file once."""
    found = [test for manifest in survey.own_manifests for test in manifest.tests]
    wrapped = {"gradle": "gradlew", "mvn": "mvnw"}
    result: dict[tuple[str, str], TestCommand] = {}
    for test in found:
        program, _, rest = test.command.partition(" ")
        wrapper = wrapped.get(program, "")
        command = f"./{wrapper} {rest}" if wrapper in survey.looked else test.command
        changed = type(test)(command=command, why=test.why, file=test.file, line=test.line)
        result.setdefault((command, test.file), changed)
    for path in sorted(survey.texts):
        flow = ci.read_workflow(survey.texts[path])
        for test in flow.tests if flow is not None else ():
            result.setdefault((test.command, path), test)
    return sorted(result.values(), key=lambda test: (test.why.startswith("run by"), test.file.count("/")))
