"""Write the lists of docs/attack-tables.md, which attacks are tried, from the tests in tests/attacks that try them.

A test there carries `@pytest.mark.attack(CLASS, TRIED)`: the class of attack, and what is tried in a few words. What
holds is the test's own name, read as a sentence; which server it concerns is in its file's name. The tests are parsed,
not imported. `--check` changes nothing and exits 1 when the page differs or a test carries no such mark.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generated import main

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "attack-tables.md"
TESTS = ROOT / "tests" / "attacks"
MARK = "pytest.mark.attack"
AREAS = {
    "fs": "Files (`lg-fs`)",
    "exec": "Commands (`lg-exec`)",
    "code": "Code (`lg-code`)",
    "gateway": "Gateway and ledger (`lg-gateway`)",
    "orch": "Orchestrator (`lg-orch`)",
}
"""The part of a file's name after `test_`, and the heading of its section, in the order of the page."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One test: the class of attack, what is tried, what holds, and where."""

    kind: str
    tried: str
    holds: str
    file: str


def tables(folder: Path) -> str:
    """Return a section for each area, with a list for each class. Raises `ValueError` for a file of no known area."""
    found: dict[str, list[Attack]] = {area: [] for area in AREAS}
    for path in sorted(folder.glob("test_*.py")):
        area = path.stem.split("_")[1]
        if area not in AREAS:
            raise ValueError(f"{path.name}: test_AREA_*.py with AREA one of {', '.join(AREAS)}")
        found[area] += attacks(path)
    return "\n".join(_table(AREAS[area], rows) for area, rows in found.items() if rows)


def _table(heading: str, rows: list[Attack]) -> str:
    lines = [f"## {heading}\n"]
    for kind in dict.fromkeys(row.kind for row in rows):
        of_kind = [row for row in rows if row.kind == kind]
        files = dict.fromkeys(row.file for row in of_kind)
        lines += [f"### {kind}\n", *(f"- {row.tried}: *{row.holds}*" for row in of_kind)]
        lines += [f"\n{', '.join(f'[{file}](../tests/attacks/{file})' for file in files)}\n"]
    return "\n".join(lines)


def attacks(path: Path) -> Iterator[Attack]:
    """Return what the tests of one file try. Raises `ValueError` that names a test whose mark is missing or wrong."""
    for node in ast.parse(path.read_text("utf-8"), str(path)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            kind, tried = _marked(node, f"{path.name}: {node.name}")
            words = node.name.removeprefix("test_").replace("_", " ").capitalize()
            yield Attack(kind=kind, tried=tried, holds=words, file=path.name)


def _marked(test: ast.FunctionDef | ast.AsyncFunctionDef, where: str) -> tuple[str, str]:
    for decorator in test.decorator_list:
        if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) != MARK:
            continue
        texts = [one.value for one in decorator.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if len(texts) != 2 or len(decorator.args) != 2 or decorator.keywords or any("|" in one for one in texts):
            raise ValueError(f'{where}: write @{MARK}("CLASS", "what is tried"), two literal texts without "|"')
        return texts[0], texts[1]
    raise ValueError(f'{where} has no @{MARK}("CLASS", "what is tried")')


if __name__ == "__main__":
    sys.exit(main(PAGE, lambda: tables(TESTS), Path(__file__)))
