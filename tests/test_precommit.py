"""`./scripts/dev.sh precommit`: which tests it runs for what was changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALWAYS = {"tests/test_docs.py", "tests/test_structure.py"}
CHOOSE = "import sys; sys.path.insert(0, sys.argv[1]); import checks; print(*checks.tests_of(sys.argv[2:]), sep='\\n')"


@pytest.mark.parametrize(
    ("changed", "chosen"),
    [
        ("tests/test_precommit.py", "tests/test_precommit.py"),
        ("tests/fs/patch/__init__.py", "tests/fs/patch"),
        ("servers/fs/lg_fs/patch/match.py", "tests/fs/patch/test_match.py"),
        ("servers/fs/lg_fs/patch/no_such_module.py", "tests/fs/patch"),
        ("gateway/lg_gateway/no_such_room/module.py", "tests/gateway"),
        ("README.md", "tests/e2e/test_readme.py"),
        ("docs/clients.md", "tests/e2e/test_client_configurations.py"),
        ("docs/policy.md", str(next((ROOT / "tests").rglob("test_policy_page.py")).relative_to(ROOT))),
        ("scripts/terminal_picture.py", "tests/e2e/test_terminal_picture.py"),
    ],
)
def test_a_changed_file_brings_its_tests(changed: str, chosen: str) -> None:
    assert chosen in chosen_for(changed)


def test_a_file_without_tests_of_its_own_brings_only_those_that_always_run() -> None:
    assert chosen_for(".gitignore", "tests/removed/test_gone.py") == ALWAYS


def chosen_for(*changed: str) -> set[str]:
    argv = [sys.executable, "-c", CHOOSE, str(ROOT / "scripts"), *changed]
    found = set(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split())
    assert found >= ALWAYS
    return found
