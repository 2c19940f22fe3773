"""Which commands check a project, by the files at its root; the same for the analyst and for language models."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lg_orch.models_io import RepoContext

_PYTHON = ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini", "conftest.py", "tests", "test")
_BY_FILE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    *((name, ("pytest", "python-pytest"), ("-q",)) for name in _PYTHON),
    ("Cargo.toml", ("cargo",), ("test",)),
    ("go.mod", ("go",), ("test", "./...")),
    ("package.json", ("npm-test",), ()),
)
"""A name at the root, the shipped command templates that can run such a project's tests, best first, and arguments."""
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


def check_commands(context: RepoContext) -> list[tuple[str, tuple[str, ...]]]:
    """Command and arguments for each kind of project at the root; none that the command server cannot run here.

    A `package.json` counts only with a test script where its scripts were read.
    """
    able = {command.name for command in context.commands if not command.reason}
    wanted: dict[str, tuple[str, ...]] = {}
    for commands, arguments in _kinds(context):
        # Where nobody asked the command server, the first is as good a guess as any; the call will tell.
        command = next((one for one in commands if not context.commands or one in able), None)
        if command is not None:
            wanted.setdefault(command, arguments)
    if not wanted and "make:test" in context.scripts and "make" in able:
        wanted["make"] = ("test",)
    return list(wanted.items())


def missing_checks(context: RepoContext) -> dict[str, str]:
    """Commands that would check this project and cannot be run here, with the reason; empty where any check can."""
    if check_commands(context):
        return {}
    why = {command.name: command.reason for command in context.commands}
    wanted = [commands[0] for commands, _ in _kinds(context)] + ["make"] * ("make:test" in context.scripts)
    return {command: why[command] for command in wanted if why.get(command)}


def _kinds(context: RepoContext) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The commands, best first, and arguments for each kind of project at the root."""
    names = {entry.path for entry in context.top_level}
    for name, commands, arguments in _BY_FILE:
        if name not in names or (commands[0] == "pytest" and not has_python(context)):
            continue
        if name == "package.json" and context.commands and "test" not in context.scripts:
            continue
        yield commands, arguments


_NEEDS: Mapping[str, tuple[str, ...]] = {
    "cargo": ("Cargo.toml",), "go": ("go.mod",), "make": ("Makefile", "makefile", "GNUmakefile"),
    "npm-run": ("package.json",), "npm-test": ("package.json",), "npx-tsc": ("tsconfig.json",),
    "node-test": ("package.json",),
}  # fmt: skip
_PYTHON_ONLY = frozenset(("pytest", "python-pytest", "python", "mypy", "ruff", "uv-run"))


def runnable(context: RepoContext) -> list[str]:
    """Names of the commands that are of use here: what the command server can run, without other languages' programs.

    A command that this does not know, the user's own, is always of use.
    """
    names = {entry.path for entry in context.top_level}
    python = has_python(context)
    return [
        command.name
        for command in context.commands
        if not command.reason
        and any(name in names for name in _NEEDS.get(command.name, tuple(names)))
        and (python or command.name not in _PYTHON_ONLY)
    ]


def has_python(context: RepoContext) -> bool:
    """Whether there is Python at all: `pyproject.toml` may stand in a project of another language."""
    if context.totals is None:
        return True
    return any(row.extension.lstrip(".").lower() == "py" for row in context.totals.extensions)


def scripts(manifests: dict[str, str]) -> tuple[str, ...]:
    """What `package.json` and `Makefile` define, from their texts; a test script that only fails does not count."""
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
    """Languages with the versions that the manifests ask for."""
    found = []
    for name, language, pattern in _RUNTIMES:
        match = pattern.search(manifests.get(name, ""))
        if match is not None and match[1].isprintable():
            found.append(f"{language} {match[1]}")
    return tuple(found)
