"""docs/terminal.svg and the script that draws it from a run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

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


def check(picture: str) -> None:
    rows = [element.text or "" for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    for words in SHOWN:
        assert any(words in row for row in rows), words
    assert not LOADS_SOMETHING.search(picture)
    assert not any(re.search(r"(?<![\w.])/(?:home|root|tmp|Users|var)/", row) for row in rows), rows


def test_the_picture_of_the_readme_shows_a_run_and_loads_nothing() -> None:
    assert "(docs/terminal.svg)" in (ROOT / "README.md").read_text("utf-8")
    check((ROOT / "docs" / "terminal.svg").read_text("utf-8"))


@pytest.mark.timeout(330)
def test_the_script_draws_such_a_picture_from_a_run(tmp_path: Path) -> None:
    out = tmp_path / "terminal.svg"
    argv = [sys.executable, "-P", str(ROOT / "scripts" / "terminal_picture.py"), "--out", str(out)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=320)
    assert done.returncode == 0, done.stderr
    check(out.read_text("utf-8"))
