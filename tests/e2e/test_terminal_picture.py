"""The pictures of a terminal in docs/, and the scripts that draw them from a run."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import terminal_picture
from typed_terminal import Grid

from tests.small_environment import pytest_environment

ROOT = Path(__file__).resolve().parents[2]
SHOWN = (
    'lg-orch run "fix the failing test"',
    "A tool call needs your approval.",
    "| +    return chart + tide",
    "1 passed",
)
LOADS_SOMETHING = re.compile(
    r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import|@font-face|<script|<image|<foreignObject"
)


def check(picture: str, shown: tuple[str, ...] = SHOWN) -> None:
    pieces: dict[str, list[str]] = {}
    for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text"):
        pieces.setdefault(element.attrib["y"], []).append(element.text or "")
    rows = [" ".join(row) for row in pieces.values()]
    for words in shown:
        assert any(words in row for row in rows), words
    assert not LOADS_SOMETHING.search(picture)
    assert not any(re.search(r"(?<![\w.])/(?:home|root|tmp|Users|var)/", row) for row in rows), rows


def test_the_picture_of_the_readme_shows_a_run_and_loads_nothing() -> None:
    assert "(docs/terminal.svg)" in (ROOT / "README.md").read_text("utf-8")
    check((ROOT / "docs" / "terminal.svg").read_text("utf-8"))


def test_the_picture_of_a_conversation_shows_a_change_a_follow_up_and_its_undo() -> None:
    assert "(conversation.svg)" in (ROOT / "docs" / "chat.md").read_text("utf-8")
    said = ("> fix the failing test", "A tool call needs your approval.", "> which other code uses depth?")
    undone = ("> /undo", "+    return chart - tide", "reverted 1 change set")
    check((ROOT / "docs" / "conversation.svg").read_text("utf-8"), (*said, *undone))


def test_a_row_that_was_drawn_twice_is_shown_as_it_was_last() -> None:
    grid = Grid()
    grid.write("\x1b[?2004h> fi\x1b[31mx\x1b[0m it\r\nbelow\x1b[1A\r\x1b[2Cmend\x1b[K\r\n\x1b[Jlast\x1b]9;told\x07")
    assert grid.lines() == ["> mend", "last"]


@pytest.mark.timeout(330)
@pytest.mark.usefixtures("programs_by_fork")
def test_the_script_draws_such_a_picture_from_a_run(tmp_path: Path) -> None:
    out = tmp_path / "terminal.svg"
    terminal_picture.main(["--out", str(out), "--environment", pytest_environment()])
    check(out.read_text("utf-8"))
