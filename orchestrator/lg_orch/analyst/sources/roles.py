"""What a path is for: product code, tests, examples, documentation, or somebody else's code that was copied in."""

from __future__ import annotations

import re
from typing import Literal

from lg_orch.analyst.sources.languages import extension

Role = Literal["code", "tests", "examples", "docs", "vendored"]

_TESTS = {
    "test",
    "tests",
    "__tests__",
    "testing",
    "spec",
    "specs",
    "e2e",
    "testdata",
    "fixtures",
    "__mocks__",
    "testsuite",
}
_EXAMPLES = {"example", "examples", "sample", "samples", "demo", "demos", "bench", "benches", "benchmark", "benchmarks"}
_DOCS = {"doc", "docs", "documentation", "website"}
_VENDORED = {"node_modules", "vendor", "third_party", "third-party", "_vendor", "vendored", "external", ".venv", "venv"}
_SOURCE_SET = re.compile(r"(?:^|/)src/(main|test|\w+Main|\w+Test)/")
_TEST_FILE = re.compile(
    r"(?:^test_.*\.pyi?|.*_test\.(?:py|go|cc|cpp|c|exs?|dart)|.*_spec\.rb|.*\.(?:test|spec)\.[cm]?[jt]sx?|conftest\.py"
    r"|.*Tests?\.(?:java|kt|scala|cs)|.*(?:IT|Spec)\.(?:java|kt|scala|groovy))$"
)


def role(path: str) -> Role:
    """Return the role of a file or directory, judged by names alone; a vendored tree wins over everything inside it."""
    source = _SOURCE_SET.search(path)
    # Below `src/main` stand package names, and `org/example` is no example.
    parts = path[: source.start()].split("/") if source else path.split("/")[:-1]
    directories = {part.lower() for part in parts}
    if directories & _VENDORED:
        return "vendored"
    if directories & _TESTS or is_test_file(path) or (source is not None and source[1].endswith(("test", "Test"))):
        return "tests"
    if directories & _EXAMPLES:
        return "examples"
    if directories & _DOCS and extension(path) != ".go":  # a Go package about documentation is product code
        return "docs"
    return "code"


def directory_role(path: str) -> Role:
    """Return the role of what lies in a directory."""
    return role(f"{path}/x")


def is_test_file(path: str) -> bool:
    """Tell whether the file's own name says that it is a test, by the habits of its language."""
    return extension(path) != "" and _TEST_FILE.match(path.rpartition("/")[2]) is not None
