"""Finds the commands that check a project and its packages, for the analyst and for language models.

Only what a shipped command template can run is named: pytest, unittest, cargo, go, npm and make.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.packages import owner
from lg_orch.contracts.repository import Package

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lg_orch.contracts.repository import RepoContext
    from lg_policy.config.settings import BudgetSettings

_AT_ROOT: Mapping[str, str] = {
    **dict.fromkeys(("pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "tests", "test"), "python"),
    **dict.fromkeys(("pytest.ini", "conftest.py"), "pytest"),
    "Cargo.toml": "cargo",
    "go.mod": "go",
    "package.json": "npm",
}
"""Names at the root, and what they say of how it is tested."""
_COMMANDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cargo": ("cargo", ("test",)),
    "go": ("go", ("test", "./...")),
    "npm": ("npm-test", ()),
}
"""The shipped template that runs such tests, and arguments."""
_FALLBACKS: Mapping[str, str] = {"make:test": "test", "make:check": "check"}
"""Targets that check a directory for which nothing else is known, best first."""
_NO_TESTS = "no test specified"
_TARGET = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_.-]*)\s*:(?!=)", re.MULTILINE)
MAX_SCRIPTS = 40
_RUNTIMES: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("pyproject.toml", "Python", re.compile(r"^requires-python\s*=\s*[\"']([^\"'\n]{1,40})[\"']", re.MULTILINE)),
    ("go.mod", "Go", re.compile(r"^go\s+([0-9.]{1,12})", re.MULTILINE)),
    ("Cargo.toml", "Rust", re.compile(r"^rust-version\s*=\s*\"([^\"\n]{1,20})\"", re.MULTILINE)),
    ("package.json", "Node.js", re.compile(r"\"node\"\s*:\s*\"([^\"\n]{1,40})\"")),
)
MANIFESTS = ("pyproject.toml", "go.mod", "Cargo.toml", "package.json", "Makefile")
"""Files at the root that say how a project is checked and which versions it wants."""


@dataclass(frozen=True, kw_only=True)
class ProjectCheck:
    """One command that checks the project, or the package whose directory it is run in."""

    command: str
    args: tuple[str, ...] = ()
    cwd: str = ""

    def input(self) -> dict[str, Any]:
        """Return the command as arguments of `exec`."""
        return {"cmd": self.command, "args": list(self.args)} | ({"cwd": self.cwd} if self.cwd else {})


@dataclass(frozen=True, kw_only=True)
class ChosenChecks:
    """The checks for a change, those of the root first, and the packages for which there was no room."""

    checks: tuple[ProjectCheck, ...]
    left_out: tuple[str, ...] = ()


def root_checks(context: RepoContext) -> list[ProjectCheck]:
    """Return a command for each kind of project at the root; none that the command server cannot run here."""
    return _checks(context, _root(context))


def can_check(context: RepoContext) -> bool:
    """Tell whether the root's tests, or those of any package, can be run here."""
    return bool(root_checks(context)) or any(_checks(context, package) for package in context.packages)


def missing_checks(context: RepoContext) -> dict[str, str]:
    """Return the commands that would check the root but cannot be run here, each with the reason.

    Empty when any check can be run.
    """
    if root_checks(context):
        return {}
    why = {command.name: command.reason for command in context.commands}
    tests = _root(context).tests
    wanted = ["pytest"] * ("python" in tests) + [command for kind, (command, _) in _COMMANDS.items() if kind in tests]
    wanted += ["make"] * any(name in tests for name in _FALLBACKS)
    return {command: why[command] for command in wanted if why.get(command)}


def named_checks(context: RepoContext) -> list[str]:
    """Return the root's checks in words, each with the environment that it comes from."""
    places = {command.name: command.environment for command in context.commands}
    return [
        f"{check.command} from {places[check.command]}" if places.get(check.command) else check.command
        for check in root_checks(context)
    ]


def _root(context: RepoContext) -> Package:
    """The root as a package. A `package.json` counts only with a test script where its scripts were read."""
    names = {entry.path for entry in context.top_level}
    found = next((package.tests for package in context.packages if not package.path), ())
    tests = {*found, *(kind for name, kind in _AT_ROOT.items() if name in names)}
    tests |= {name for name in _FALLBACKS if name in context.scripts}
    if "pytest" in tests:
        tests.add("python")
    if not has_python(context):
        tests -= {"python", "pytest"}
    if context.commands and "test" not in context.scripts:
        tests.discard("npm")
    return Package(path="", tests=tuple(sorted(tests)))


def checks_for(context: RepoContext, paths: Iterable[str], limits: BudgetSettings) -> ChosenChecks:
    """Return the root's checks, and those of the packages that these files belong to, first where most of them lie.

    A crate below a root that is a Cargo workspace and nothing else is tested with it.
    """
    root = root_checks(context)
    members = any(check.command == "cargo" for check in root) and _is_workspace_only(context)
    found: dict[str, list[ProjectCheck]] = {}
    for package in context.packages:
        covered = members and "cargo-workspace" not in package.tests
        checks = [check for check in _checks(context, package) if not (covered and check.command == "cargo")]
        if package.path and (checks or (covered and "cargo" in package.tests)):
            found[package.path] = checks
    counts = Counter(owner(path, found) for path in paths)
    wanted = [path for path, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if found.get(path)]
    chosen = list(root[: limits.max_checks])
    left_out: list[str] = []
    for number, path in enumerate(wanted):
        if number >= limits.max_check_packages or len(chosen) + len(found[path]) > limits.max_checks:
            left_out.append(path)
        else:
            chosen += found[path]
    return ChosenChecks(checks=tuple(chosen), left_out=tuple(left_out))


def _is_workspace_only(context: RepoContext) -> bool:
    tests = next((package.tests for package in context.packages if not package.path), ())
    return "cargo-workspace" in tests and "cargo" not in tests


def _checks(context: RepoContext, package: Package) -> list[ProjectCheck]:
    able = {command.name for command in context.commands if not command.reason}
    # Where nobody asked the command server, the best is as good a guess as any; the call will tell.
    known = bool(context.commands)
    found: list[ProjectCheck] = []
    if "python" in package.tests:
        chosen = ("pytest", ("-q",)) if not known else _python(package, able)
        found += [ProjectCheck(command=chosen[0], args=chosen[1], cwd=package.path)] if chosen else []
    for kind, (command, args) in _COMMANDS.items():
        wanted = kind in package.tests or f"{kind}-workspace" in package.tests
        if wanted and (not known or command in able):
            found.append(ProjectCheck(command=command, args=args, cwd=package.path))
    target = next((target for name, target in _FALLBACKS.items() if name in package.tests), None)
    if not found and target is not None and "make" in able:
        found.append(ProjectCheck(command="make", args=(target,), cwd=package.path))
    return found


def _python(package: Package, able: set[str]) -> tuple[str, tuple[str, ...]] | None:
    """pytest, which runs unittest's tests as well; where it is not installed and nothing asks for it, unittest."""
    if "pytest" in able:
        return "pytest", ("-q",)
    if "pytest" not in package.tests and "python" in able:
        return "python", ("-m", "unittest")
    return ("python-pytest", ("-q",)) if "python-pytest" in able else None


_NEEDS: Mapping[str, tuple[str, ...]] = {
    "cargo": ("Cargo.toml",), "go": ("go.mod",), "make": ("Makefile", "makefile", "GNUmakefile"),
    "npm-run": ("package.json",), "npm-test": ("package.json",), "npx-tsc": ("tsconfig.json",),
    "node-test": ("package.json",),
}  # fmt: skip
_PYTHON_ONLY = frozenset(("pytest", "python-pytest", "python", "mypy", "ruff", "uv-run"))


def runnable(context: RepoContext) -> list[str]:
    """Return the names of the commands that are useful here: those that can be run and fit the project's languages.

    A command that this does not know, the user's own, is always of use.
    """
    names = {entry.path for entry in context.top_level}
    names |= {name for package in context.packages for name in package.manifests}
    python = has_python(context)
    return [
        command.name
        for command in context.commands
        if not command.reason
        and any(name in names for name in _NEEDS.get(command.name, tuple(names)))
        and (python or command.name not in _PYTHON_ONLY)
    ]


def has_python(context: RepoContext) -> bool:
    """Tell whether there is Python at all: `pyproject.toml` may stand in a project of another language."""
    if context.totals is None:
        return True
    return any(row.extension.lstrip(".").lower() == "py" for row in context.totals.extensions)


def scripts(manifests: dict[str, str]) -> tuple[str, ...]:
    """Return the scripts of `package.json` and the targets of the `Makefile`, from their texts.

    A test script that only fails does not count.
    """
    found: list[str] = []
    try:
        package = json.loads(manifests.get("package.json", "{}"))
    except ValueError:
        package = {}
    declared = package.get("scripts") if isinstance(package, dict) else None
    if isinstance(declared, dict):
        found += [name for name, line in declared.items() if isinstance(line, str) and _NO_TESTS not in line]
    found += [f"make:{target}" for target in dict.fromkeys(_TARGET.findall(manifests.get("Makefile", "")))]
    return tuple(name for name in found[:MAX_SCRIPTS] if len(name) <= 100 and name.isprintable())


def runtimes(manifests: dict[str, str]) -> tuple[str, ...]:
    """Return the languages with the versions that the manifests ask for."""
    found = []
    for name, language, pattern in _RUNTIMES:
        match = pattern.search(manifests.get(name, ""))
        if match is not None and match[1].isprintable():
            found.append(f"{language} {match[1]}")
    return tuple(found)
