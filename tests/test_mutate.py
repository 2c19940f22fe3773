"""`scripts/mutate.py` makes small faults, finds those that no test notices, and leaves the clone alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from mutate import AREAS, ROOT, Area, Copy, diff, faults, survivors
from mutations import mutants

MODULE = '''"""Say whether there is room."""


def has_room(count: int, limit: int = 3) -> bool:
    """One more fits."""
    if not count or (count < limit and limit):
        return True
    raise ValueError("there is no room at all")
'''


def test_each_fault_changes_one_place_and_words_are_left_alone() -> None:
    source = MODULE.encode()
    made = {(mutant.kind, mutant.applied(source).decode()) for mutant in mutants(source)}
    changed = {
        (kind, *(line.strip() for line in text.splitlines() if line not in MODULE.splitlines())) for kind, text in made
    }
    assert changed == {
        ("off by one", "def has_room(count: int, limit: int = 4) -> bool:"),
        ("negate condition", "if (not (not count or (count < limit and limit))):"),
        ("swap and/or", "if ((not count) and (count < limit and limit)):"),
        ("swap and/or", "if not count or (((count < limit) or (limit))):"),
        ("remove not", "if (count) or (count < limit and limit):"),
        ("swap comparison", "if not count or (count <= limit and limit):"),
        ("return nothing", "return None"),
        ("other constant", "return False"),
        ("drop statement", "pass"),
    }


@pytest.mark.parametrize("name", AREAS)
def test_every_area_names_modules_that_decide_and_tests_that_exist(name: str) -> None:
    area = AREAS[name]
    assert all(list(ROOT.glob(pattern)) for pattern in area.modules), area.modules
    assert all((ROOT / test).exists() for test in area.tests), area.tests
    assert len(list(islice(faults(area), 51))) > 50


def test_a_fault_that_no_test_notices_is_found_in_a_copy(tmp_path: Path) -> None:
    area = Area(modules=("policy/lg_policy/version.py",), tests=("tests/test_version.py",))
    with closing(Copy(tmp_path)) as copy:
        assert_it_is_found(copy, area)


def assert_it_is_found(copy: Copy, area: Area) -> None:
    (copy.place / "tests" / "conftest.py").unlink()
    (copy.place / "tests" / "test_version.py").write_text("def test_nothing() -> None: ...\n")
    before = (ROOT / area.modules[0]).read_bytes()
    (fault,) = faults(area)

    assert list(survivors(copy, area, [fault], 30)) == [fault]
    (copy.place / "tests" / "test_version.py").write_text(
        "from lg_policy.version import __version__\n\n\n"
        "def test_version() -> None:\n    assert not __version__.endswith('X')\n"
    )
    assert list(survivors(copy, area, [fault], 30)) == []
    assert "X'" in diff(fault)
    assert (ROOT / area.modules[0]).read_bytes() == before


def test_the_command_lists_faults_by_a_seed() -> None:
    argv = [sys.executable, "scripts/mutate.py", "--module", "arguments", "--max", "3", "--list", "--seed"]
    listed = [
        subprocess.run([*argv, seed], cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
        for seed in ("1", "1", "2")
    ]
    assert listed[0].startswith("== arguments: 3 of ")
    assert listed[0] == listed[1] != listed[2]
