"""Tells which changed files check the project: tests, their settings, CI and task runners. Pure.

A check proves little about a change that edits the check itself: an assertion replaced by `assert True`, a test marked
`xfail`, an `addopts` line, a Makefile target. A new file of tests takes nothing away, so it is named and does no harm.
A new module beside them can: tests that import `calc` may get `tests/calc.py`.

Not covered: tests inside of a source file, as Rust has them, and code that notices that it is being tested.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CheckingKind = Literal["tests", "test settings", "CI", "task runner"]

_TEST_DIRECTORIES = frozenset(
    (
        "test",
        "tests",
        "__tests__",
        "spec",
        "specs",
        "e2e",
        "__snapshots__",
        "snapshots",
        "testdata",
        "test_data",
        "golden",
        "goldens",
        "expected",
        "__fixtures__",
    )
)
_TEST_NAME = re.compile(
    r"^tests?\.\w+$|^test_.*\.py$|_tests?\.\w+$|[._-](?:test|spec)\.\w+$|\.snap$|_spec\.rb$|^.+Tests?\.\w+$"
)
_MODULE = re.compile(r"\.(?:py|pyi?d|so|[cm]?[jt]sx?)$", re.IGNORECASE)
"""What another file can import by a name that is also a product's."""
_NAMED: Mapping[CheckingKind, re.Pattern[str]] = {
    "CI": re.compile(
        r"(?:^|/)(?:\.github|\.circleci|\.gitlab|\.buildkite)/|(?:^|/)(?:\.gitlab-ci|\.travis|azure-pipelines"
        r"|bitbucket-pipelines|appveyor)\.ya?ml$|(?:^|/)jenkinsfile$|(?:^|/)\.pre-commit-config\.yaml$"
    ),
    "task runner": re.compile(
        r"(?:^|/)(?:gnu)?makefile$|\.mk$|(?:^|/)\.?justfile$|(?:^|/)taskfile\.ya?ml$|(?:^|/)rakefile$|(?:^|/)tasks\.py$"
        r"|(?:^|/)(?:run[-_]?)?(?:tests?|checks?)\.(?:sh|bat|ps1|mk)$"
    ),
    "test settings": re.compile(
        r"(?:^|/)(?:conftest|sitecustomize|usercustomize|noxfile)\.py$|(?:^|/)\.?(?:pytest|tox)\.(?:ini|toml)$"
        r"|(?:^|/)\.coveragerc$|(?:^|/)(?:jest|vitest|vite|karma|playwright|cypress|ava|wdio)\.(?:config|conf)\.\w+$"
        r"|(?:^|/)\.mocharc\.?\w*$|(?:^|/)phpunit\.xml|(?:^|/)\.config/nextest\.toml$|(?:^|/)\.cargo/config(?:\.toml)?$"
        r"|\.pth$|(?:^|/)(?:\.npmrc|\.yarnrc(?:\.yml)?)$"
    ),
}
_MIXED = re.compile(
    r"(?:^|/)(?:pyproject\.toml|setup\.cfg|package\.json|cargo\.toml|build\.gradle(?:\.kts)?|pom\.xml|deno\.jsonc?)$"
)
"""Files that hold test settings beside much else: what was changed in them decides."""
_SETTING = re.compile(
    r"pytest|addopts|testpaths|python_files|norecursedirs|xfail|markers|filterwarnings|\btests?\b|\"scripts\"|jest"
    r"|vitest|mocha|coverage|fail_under|\btox\b|\bnox\b|unittest|harness|autotests",
    re.IGNORECASE,
)
_CHANGE_WORDS = (
    r"(?:add|write|create|extend|improve|update|change|adapt|adjust|rewrite|rename|move|remove|delete|drop|skip|mark"
    r"|disable|parametri[sz]e|split|port|migrate|convert|cover|refactor|tidy|clean)\w*(?: up)?"
)
_FILLERS = (
    r"(?:a|an|the|some|more|new|missing|unit|regression|integration|failing|old|our|its|his|these|those|all|any|one"
    r"|obsolete|duplicated?|better|proper|corresponding|few|two|three|further|existing|flaky|slow|small|simple)"
)
_THE_TESTS = (
    r"(?:tests?|test[ -](?:suite|cases?|files?)|specs?|fixtures?|assertions?|(?:test )?coverage)\b"
    r"(?!,? (?:\w+ )?(?:pass\w*|succeed\w*|green|work\w*|again)\b)"
)
_ABOUT_TESTS = re.compile(
    rf"\b{_CHANGE_WORDS}(?: {_FILLERS}){{0,5}} {_THE_TESTS}"
    rf"|\b{_CHANGE_WORDS}(?: [\w./'`\"-]+){{1,6}} (?:in|of)(?: {_FILLERS}){{0,2}} {_THE_TESTS}"
    rf"|\b(?:and|plus|including)(?: {_FILLERS}){{0,3}} {_THE_TESTS}"
    rf"|\bwith(?: (?:a|an|new|unit|some)){{1,2}} {_THE_TESTS}"
    r"|\btests? (?:is|are|was|were|itself|themselves|expects?|asserts?)\b[^.!?\n]{0,40}"
    r"\b(?:wrong|outdated|obsolete|incorrect|stale)\b"
    r"|\b(?:wrong|outdated|obsolete|incorrect|stale) (?:unit |old )?(?:tests?|assertions?)\b",
    re.IGNORECASE,
)
_ABOUT: Mapping[CheckingKind, re.Pattern[str]] = {
    "tests": _ABOUT_TESTS,
    "test settings": re.compile(
        r"\b(?:pytest|addopts|conftest|tox|nox|jest|vitest|mocha|coverage|test (?:settings?|config\w*|setup))\b",
        re.IGNORECASE,
    ),
    "CI": re.compile(r"\b(?:ci|workflows?|pipelines?|github actions?|gitlab|jenkins|pre-commit)\b", re.IGNORECASE),
    "task runner": re.compile(r"\b(?:makefile|justfile|taskfile|rakefile|make targets?)\b", re.IGNORECASE),
}


@dataclass(frozen=True, kw_only=True)
class CheckingFile:
    """A changed file that checks the project."""

    path: str
    kind: CheckingKind
    added: bool
    """It was not there before, so no check was weakened in it."""

    @property
    def weakens(self) -> bool:
        """Whether checks may prove less with it than before; a new `conftest.py` can, a new file of tests cannot."""
        return not (self.added and self.kind == "tests") or self.helps

    @property
    def helps(self) -> bool:
        """Whether it is a new module that tests may import, and may get in place of the product's."""
        name = self.path.rpartition("/")[2]
        module = _MODULE.search(name) is not None and name != "__init__.py"
        return self.added and self.kind == "tests" and module and _TEST_NAME.search(name) is None


@dataclass(frozen=True, kw_only=True)
class ChangedFiles:
    """The files that a run left changed, those that check the project apart."""

    checking: tuple[CheckingFile, ...] = ()
    others: tuple[str, ...] = ()


def kind_of(path: str) -> CheckingKind | None:
    """Return what a file checks by its name; `None` for a file that checks nothing, or that also holds much else."""
    lowered, name = path.lower(), path.rpartition("/")[2]
    for kind, pattern in _NAMED.items():
        if pattern.search(lowered):
            return kind
    if _TEST_DIRECTORIES & set(lowered.split("/")[:-1]) or _TEST_NAME.search(name):
        return "tests"
    return None


def changed_files(changes: Iterable[Mapping[str, Any]], named_by_checks: Iterable[str] = ()) -> ChangedFiles:
    """Sort the files of change sets, as the file server answers them: `{"files": [...], "diff": ...}`, oldest first.

    A file that is as it was before does not count. `named_by_checks` are words of check commands: `python check.py`
    makes `check.py` a file that checks.
    """
    first: dict[str, object] = {}
    last: dict[str, object] = {}
    diffs: dict[str, list[str]] = {}
    for change in changes:
        for path, before, after in _states(change):
            first.setdefault(path, before)
            last[path] = after
            diffs.setdefault(path, []).append(str(change.get("diff") or ""))
    words = frozenset(named_by_checks)
    checking: list[CheckingFile] = []
    others: list[str] = []
    for path, after in last.items():
        if first[path] == after and after != "unknown":
            continue
        kind = "task runner" if path in words else kind_of(path)
        if kind is None and _MIXED.search(path.lower()) and any(_touches_settings(path, diff) for diff in diffs[path]):
            kind = "test settings"
        if kind is None:
            others.append(path)
        else:
            checking.append(CheckingFile(path=path, kind=kind, added=first[path] is None))
    return ChangedFiles(checking=tuple(checking), others=tuple(others))


def asked_for(request: str, file: CheckingFile) -> bool:
    """Tell whether the request is about what that file does: "add a test for X" is, "fix the failing test" is not."""
    if _ABOUT[file.kind].search(request):
        return True
    name = file.path.rpartition("/")[2]
    return file.kind != "tests" and name.lower() in request.lower()


def about_tests(request: str) -> bool:
    """Tell whether the request is about tests or their settings, so that fewer of them may run."""
    return any(_ABOUT[kind].search(request) for kind in ("tests", "test settings"))


def _states(change: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Each file with the digests before and after; `None` where there was or is no file."""
    for file in change.get("files") or ():
        if not isinstance(file, dict):
            continue
        before, after = file.get("before_sha256"), file.get("after_sha256")
        if file.get("to"):
            yield str(file.get("path")), before, None
            yield str(file["to"]), None, after
        else:
            yield str(file.get("path")), before, after
    for path in change.get("changed_paths") or ():
        yield str(path), "unknown", "unknown"


def _touches_settings(path: str, diff: str) -> bool:
    """Whether the part of a diff about one file shows a test setting; where there is no such part, it may."""
    part = _part_of(path, diff.splitlines())
    return not part or any(_SETTING.search(line) for line in part)


def _part_of(path: str, lines: list[str]) -> list[str]:
    part: list[str] = []
    inside = False
    for line in lines:
        if line.startswith(("diff --git ", "--- ", "+++ ")):
            inside = line.startswith("+++ ") and line[4:].removeprefix("b/").strip() == path
        elif inside:
            part.append(line)
    return part
