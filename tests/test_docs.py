"""The documentation says what the program has: settings, environment variables, files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")] if path.is_file())
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)\s]*)?\)")


@pytest.mark.parametrize("script", ["settings_reference.py", "attack_table.py"])
def test_generated_parts_are_what_their_source_says(script: str) -> None:
    argv = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_environment_variable_that_the_programs_read_is_documented() -> None:
    folders = ("policy", "servers", "gateway", "orchestrator")
    used = {
        name
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"[\"'](LG_[A-Z_]+)[\"']", path.read_text("utf-8"))
    }
    documented = set(re.findall(r"LG_[A-Z_]+", (ROOT / "docs" / "configuration.md").read_text("utf-8")))
    assert used <= documented


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text("utf-8")) if not (page.parent / target).exists()]
    assert not missing
