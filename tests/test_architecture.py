"""The map in docs/architecture.md leads to what is there."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.documents import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
TASKS = [
    "a command template", "a predicate", "a ledger column", "a model provider", "a client", "what an approval shows",
    "what a model is told", "a manifest", "a store", "a command", "when a model is asked again", "the final report",
    "what is masked",
]  # fmt: skip


def answers() -> list[list[str]]:
    """Return the rows of the table: what a reader wants, what to open, what to do then."""
    table = PAGE.partition("## Where do I change …?")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_map_of_folders_is_what_the_folders_say() -> None:
    argv = [sys.executable, str(ROOT / "scripts" / "folder_map.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("task", TASKS)
def test_a_reader_who_wants_to_change_something_finds_where(task: str) -> None:
    assert any(task in wanted for wanted, _, _ in answers())


def test_each_answer_names_files_that_are_there_and_names_that_stand_in_them() -> None:
    rows = answers()
    assert len(rows) >= len(TASKS)
    for wanted, places, then in rows:
        spans = re.findall(r"`([^`]+)`", f"{places} {then}")
        paths = [ROOT / span for span in spans if "/" in span]
        assert paths, wanted
        assert not [path for path in paths if not path.exists()], wanted
        text = "".join(path.read_text("utf-8") for path in paths if path.is_file())
        text += "".join(file.read_text("utf-8") for path in paths if path.is_dir() for file in path.glob("*.py"))
        symbols = re.findall(r"\(`(\w+)`\)", places)
        assert not [symbol for symbol in symbols if not re.search(rf"\b{symbol}\b", text)], wanted
