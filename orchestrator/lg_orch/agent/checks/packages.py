"""Finds a repository's packages and the tests of each, from the lines of its manifests. Pure.

A package is a directory with a manifest that says how it is tested. A file belongs to the nearest one above it: that is
what Cargo, Go, npm and pytest do with the directory they are started in, and they find their workspaces above it by
themselves.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.repository import Package

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

_PYTHON = re.compile(
    r"^\[(project|tool\.poetry|tool\.pytest\.ini_options|metadata|options|tool:pytest|pytest)\]|setup\("
)
_PYTEST = re.compile(r"pytest")
_TEST_SCRIPT = re.compile(r"\"test\"\s*:\s*\"(?!.{0,40}no test specified)")
SCRIPT = "npm:"
"""Stands before the runner that a package's test script starts, and nothing else: `npm:jest`."""
_RUNNER = re.compile(
    r"\"test\"\s*:\s*\"(?:(?:npx|c8|nyc|cross-env|[A-Z_]{1,40}=[\w.-]{1,60}) ){0,4}"
    r"(?:(jest|vitest|mocha)|(node) --test)((?: [\w./@=,*:-]{1,120}){0,20})\""
)
"""A script without anything of a shell: options at its end reach the runner."""
_OWN_REPORT = re.compile(r" (?:--reporters?|-R|--json|--outputFile|--output-file|--watch|--test-reporter)\b| watch\b")
_TARGET = re.compile(r"^(test|check)\s*:(?:[^=]|$)")
_RULES: Mapping[str, Sequence[tuple[str, re.Pattern[str]]]] = {
    **dict.fromkeys(("pyproject.toml", "setup.cfg", "tox.ini"), (("python", _PYTHON), ("pytest", _PYTEST))),
    "setup.py": (("python", _PYTHON), ("pytest", _PYTEST)),
    "pytest.ini": (("python", _PYTHON), ("pytest", _PYTEST)),
    "Cargo.toml": (("cargo", re.compile(r"^\[package\]")), ("cargo-workspace", re.compile(r"^\[workspace\]"))),
    "go.mod": (("go", re.compile(r"^module\s")),),
    "package.json": (("npm", _TEST_SCRIPT),),
    **dict.fromkeys(("Makefile", "makefile", "GNUmakefile"), (("make", _TARGET),)),
}
"""What a line of a manifest says of how its directory is tested."""
_DATA = frozenset(
    ("testdata", "fixtures", "__fixtures__", "__mocks__", "node_modules", "vendor", "third_party", "_vendor")
)
"""Directories whose packages are no part of the project: data of its tests, and other people's code."""

LOOK: dict[str, Any] = {
    "regex": "|".join(dict.fromkeys(
        pattern.pattern.replace("(?!.{0,40}no test specified)", "")
        for rules in _RULES.values() for _, pattern in rules
    )),
    "glob": list(_RULES),
}  # fmt: skip
"""Arguments of the one search that finds them all; RE2 has no looking ahead."""


def packages(found: Iterable[Mapping[str, Any]]) -> tuple[Package, ...]:
    """Return the packages that the files of a search name, the root as the one whose path is ""; sorted by path."""
    tests: dict[str, set[str]] = defaultdict(set)
    manifests: dict[str, set[str]] = defaultdict(set)
    for file in found:
        directory, _, name = str(file.get("path", "")).rpartition("/")
        if _DATA & set(directory.split("/")):
            continue
        for match in file.get("matches") or ():
            told = _told(name, str(match.get("text", "")))
            tests[directory] |= told
            manifests[directory] |= {name} if told else set()
    return tuple(
        Package(path=path, manifests=tuple(sorted(manifests[path])), tests=tuple(sorted(tests[path])))
        for path in sorted(tests)
        if tests[path] - {"pytest"}
    )


def _told(name: str, line: str) -> set[str]:
    told = set()
    for kind, pattern in _RULES.get(name, ()):
        match = pattern.search(line)
        if match is not None:
            told.add(f"make:{match[1]}" if kind == "make" else kind)
    runner = _script_runner(line) if "npm" in told else ""
    return told | ({f"{SCRIPT}{runner}"} if runner else set())


def _script_runner(line: str) -> str:
    """The runner that the test script of a line starts; empty where an option at its end would not reach that."""
    found = _RUNNER.search(line)
    if found is None or _OWN_REPORT.search(found[3]):
        return ""
    # node takes what stands after a file as the file's own arguments.
    plain = found[2] is None or all(word.startswith("-") for word in found[3].split())
    return (found[1] or found[2]) if plain else ""


def owner(path: str, known: Container[str]) -> str:
    """Return the directory of the nearest of these packages above a file; the root where there is none."""
    parts = path.split("/")[:-1]
    while parts and "/".join(parts) not in known:
        parts.pop()
    return "/".join(parts)


def mentioned(text: str, known: Iterable[str]) -> list[str]:
    """Return the directories that a text names, as they are or in a longer path."""
    return [
        path
        for path in known
        if path and re.search(rf"(?<![\w./-])(?:\./)?{re.escape(path)}(?![\w-])", text) is not None
    ]
