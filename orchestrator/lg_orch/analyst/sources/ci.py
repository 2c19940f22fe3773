"""Continuous integration: which service, which workflows and jobs, and the lines in them that run tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import FoundValue, TestCommand

if TYPE_CHECKING:
    from lg_orch.analyst.sources.evidence import FileText

_SERVICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("GitHub Actions", (".github/workflows/*.yml", ".github/workflows/*.yaml")), ("GitLab CI", (".gitlab-ci.yml",)),
    ("CircleCI", (".circleci/config.yml",)), ("Azure Pipelines", ("azure-pipelines.yml",)),
    ("Jenkins", ("Jenkinsfile",)),
    ("Travis CI", (".travis.yml",)), ("AppVeyor", ("appveyor.yml", ".appveyor.yml")), ("Drone", (".drone.yml",)),
    ("Bitbucket Pipelines", ("bitbucket-pipelines.yml",)), ("Buildkite", (".buildkite/*.yml",)),
    ("Woodpecker", (".woodpecker.yml",)), ("Cirrus CI", (".cirrus.yml",)), ("scripts in .ci", (".ci/*",)),
)  # fmt: skip
"""The known services and the files that they read."""
GLOBS: tuple[str, ...] = tuple(f"/{glob}" for _, globs in _SERVICES for glob in globs)
"""Where the known services look for their configuration."""
_KEY = re.compile(r"""^( *)["']?([\w .-]+?)["']?\s*:(?:\s|$)""")
_RUNS_TESTS = re.compile(
    r"\b(pytest|tox|nox|cargo (?:test|nextest)|go test|npm (?:run )?test[\w:-]*|npm t\b|yarn (?:run )?test[\w:-]*"
    r"|pnpm (?:-r |run )*test[\w:-]*|npx (?:jest|vitest|mocha)|jest|vitest|mocha|make (?:test|check)[\w-]*"
    r"|python -m unittest|hatch (?:run )?test|uv run (?:pytest|tox|nox)|ctest|bundle exec rspec"
    r"|mvnw? (?:[\w.:-]+ )*(?:test|verify|integration-test)(?![\w.:-])"
    r"|gradlew? (?:[\w.:-]+ )*(?::?[\w:-]+:)?(?:test|check)(?![\w.:-]))(?!\w)"
)
_INSTALLS = re.compile(r"\b(?:install|add|download|cache)\b[^&;|]*$")
_SKIPPED = re.compile(r"maven\.test\.skip|-DskipTests|-x test\b")
_NOT_A_STEP = re.compile(r"^\s*(?:#|-?\s*(?:name|uses|id|key|path|if)\s*:)")


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """One CI file."""

    service: str
    file: str
    name: FoundValue | None
    jobs: tuple[FoundValue, ...]
    tests: tuple[TestCommand, ...]


def service_of(path: str) -> str | None:
    """Return the service that reads this file, or None."""
    return next((name for name, globs in _SERVICES if any(fnmatchcase(path, glob) for glob in globs)), None)


def read_workflow(file: FileText) -> Workflow | None:
    """Return the name, jobs and test lines of a CI file; None when no known service reads it."""
    service = service_of(file.path)
    if service is None:
        return None
    lines = file.lines()
    name = None
    for number, line in enumerate(lines, start=1):
        if line.startswith("name:") and line[5:].strip():
            name = FoundValue(text=line[5:].strip().strip("\"'"), file=file.path, line=number)
            break
    tests: dict[str, TestCommand] = {}
    for number, line in enumerate(lines, start=1):
        found = None if _NOT_A_STEP.match(line) else _RUNS_TESTS.search(line)
        if found and not _SKIPPED.search(line) and not _INSTALLS.search(line[: found.start()]):
            command = _command(line[found.start() :])
            tests.setdefault(
                command, TestCommand(command=command, why=f"run by {service}", file=file.path, line=number)
            )
    return Workflow(
        service=service, file=file.path, name=name, jobs=tuple(_jobs(lines, file.path)), tests=tuple(tests.values())
    )


def _command(text: str) -> str:
    """The rest of the line without a comment, what joins it to the next, and a quote that was opened before."""
    command = text.partition(" #")[0].strip().rstrip("|&;,\\ ")
    for quote in "\"'":
        if command.count(quote) % 2:
            command = command.removesuffix(quote)
    return command


def _jobs(lines: list[str], path: str) -> list[FoundValue]:
    """Keys directly under `jobs:`; services that name jobs elsewhere have none."""
    found: list[FoundValue] = []
    inside, indent = False, -1
    for number, line in enumerate(lines, start=1):
        key = _KEY.match(line)
        if key is None:
            continue
        depth = len(key[1])
        if depth == 0:
            inside, indent = key[2] == "jobs", -1
        elif inside:
            indent = depth if indent < 0 else indent
            if depth == indent:
                found.append(FoundValue(text=key[2], file=path, line=number))
    return found
