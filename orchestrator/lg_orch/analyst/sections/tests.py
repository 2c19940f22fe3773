"""Section of the summary about tests: where they are, how many, and the commands that run them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from lg_orch.analyst.report.markdown import number
from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sources import ci, imports
from lg_orch.analyst.sources.facts import TestCommand
from lg_orch.analyst.sources.languages import CODE, normal_extension
from lg_orch.analyst.sources.roles import directory_role, is_test_file, role

if TYPE_CHECKING:
    from lg_orch.analyst.report.markdown import MarkdownReport
    from lg_orch.analyst.sources.survey import Survey

_SHOWN = 15
_PYTEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
"""pytest's own default of `python_files`."""


def tests(survey: Survey, report: MarkdownReport) -> None:
    """Report the layout and commands."""
    report.section("Tests")
    commands(survey, report)
    layout(survey, report)


def layout(survey: Survey, report: MarkdownReport) -> None:
    """Report the directories with test files, and how many test functions the search saw."""
    by_directory: dict[str, list[str]] = defaultdict(list)
    for path, _ in survey.code:
        if role(path) == "tests":
            by_directory[_top(path)].append(path)
    ranked = sorted(by_directory.items(), key=lambda item: (-len(item[1]), item[0]))
    for directory, paths in ranked[:8]:
        where = code(f"{directory}/") if directory else "the root"
        named = [path for path in paths if is_test_file(path)]
        spelled = f", {len(named):,} of them named as tests" if named else ""
        first = min(named or paths)
        report.say(f"{number(len(paths), 'source file')} of tests below {where}{spelled}", file=first, line=1)
    if len(ranked) > 8:
        rest = sum(len(paths) for _, paths in ranked[8:])
        further = number(len(ranked) - 8, "further directory", "further directories")
        report.say(f"{number(rest, 'source file')} of tests in {further}")
    markers = [value for value in survey.imports.values if imports.is_test_marker(value.value)]
    if markers:
        total = sum(value.count for value in markers)
        best = max(markers, key=lambda value: value.count)
        report.say(
            f"{number(total, 'test function')} recognised by spelling, the first", file=best.path, line=best.line
        )
    counted = _counted(survey) if not survey.code_complete else []
    for directory, files in counted[:8]:
        report.say(f"{number(files, 'source file')} of tests below {code(directory + '/')}")
    if not by_directory and not markers and not counted:
        report.text("No test files found.")
        report.lacks("test files")


def _counted(survey: Survey) -> list[tuple[str, int]]:
    """Test directories by the counts, for repositories whose files were not all listed."""
    files: Counter[str] = Counter()
    for row in survey.totals.rows if survey.totals else ():
        directory = row.directory or ""
        if directory_role(directory) == "tests" and normal_extension(row.extension) in CODE:
            files[_top(f"{directory}/x")] += row.files
    return files.most_common()


def _top(path: str) -> str:
    """The directory that makes it a test, or the one beside product code in which it stands."""
    parts = path.split("/")[:-1]
    for index in range(len(parts)):
        if role("/".join([*parts[: index + 1], "x"])) == "tests":
            return "/".join(parts[: index + 1])
    return "/".join(parts)


def commands(survey: Survey, report: MarkdownReport) -> None:
    """Report how the repository itself says that its tests are run; conventions of build tools are named as such."""
    found = find_commands(survey)
    for test in found[:_SHOWN]:
        report.say(f"{code(test.command)}: {_why(test)}", file=test.file, line=test.line)
    if len(found) > _SHOWN:
        report.say(f"{number(len(found) - _SHOWN, 'further command')}, not shown")
    if not found:
        report.text("No file says how tests are run.")
        report.lacks("a command that runs the tests")


def typed_first(test: TestCommand) -> str:
    """Return what to type to run the tests, and where."""
    folder = "" if _PYTEST_FILE.search(test.file) else test.file.rpartition("/")[0]
    # A workflow stands in a folder of its own, and its commands are typed at the root.
    where = f" in {code(folder + '/')}" if folder and not folder.startswith(".") else ""
    return f"To run the tests, type {code(test.command)}{where}."


def _why(test: TestCommand) -> str:
    if test.why.startswith("runs "):  # the manifest's own words follow
        command, _, rest = test.why[5:].rpartition("; ") if test.why.endswith(" the same") else (test.why[5:], "", "")
        return f"runs {code(command)}{'; ' + rest if rest else ''}"
    return test.why


def find_commands(survey: Survey) -> list[TestCommand]:
    """Return the commands of manifests, then those of CI; the same command of a nested manifest is only counted."""
    wrapped = {"gradle": "gradlew", "mvn": "mvnw"}
    nearest: dict[str, TestCommand] = {}
    nested: Counter[str] = Counter()
    for test in sorted((test for item in survey.own_manifests for test in item.tests), key=_depth):
        program, _, rest = test.command.partition(" ")
        wrapper = wrapped.get(program, "")
        command = f"./{wrapper} {rest}" if wrapper in survey.looked else test.command
        whole = f"{command} --workspace"  # the root's command runs this one too
        if command in nearest or whole in nearest:
            nested[command if command in nearest else whole] += 1
        else:
            nearest[command] = replace(test, command=command)
    result = [
        replace(test, why=f"{test.why}; {number(nested[command], 'nested manifest')} the same")
        if nested[command]
        else test
        for command, test in nearest.items()
    ]
    in_ci: dict[str, TestCommand] = {}
    for path in sorted(survey.texts):
        flow = ci.read_workflow(survey.texts[path])
        for test in flow.tests if flow is not None else ():
            in_ci.setdefault(test.command, test)
    return [*result, *in_ci.values()] or _by_names(survey)


def _by_names(survey: Survey) -> list[TestCommand]:
    """Return what runs test files that no file configures: pytest finds those of Python by their names."""
    first = min((path for path, _ in survey.code if _PYTEST_FILE.search(path)), default=None)
    if first is None:
        return []
    why = "no file says how; pytest finds tests by names such as this one"
    return [TestCommand(command="python -m pytest", why=why, file=first, line=1)]


def _depth(test: TestCommand) -> int:
    return test.file.count("/")
