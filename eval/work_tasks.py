"""Small tasks of several files with hidden checks: one text file each in `work/`.

Its head says what is asked; a line `-- SECTION/path --` stands before each file. Sections: `project` is what a run
gets; `hidden` are the checks, which it never sees; `reference` is a right solution, and `lazy` a wrong one that looks
right. `!path` in the last two is a file that the solution removes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ARCHIVES = Path(__file__).parent / "work"
SECTIONS = ("project", "lazy", "reference", "hidden")
REMOVED = "!"
TIMEOUT_S = 120
_NAME = re.compile(r"^-- (project|lazy|reference|hidden)/(\S.*) --$")


@dataclass(frozen=True, kw_only=True)
class WorkTask:
    """One task. `files` has, by section, the text of each file by its path."""

    id: str
    kind: str
    request: str
    files: Mapping[str, Mapping[str, str]]


def load_all() -> list[WorkTask]:
    """Return every task, sorted by id."""
    return [read(path.stem, path) for path in sorted(ARCHIVES.glob("*.txt"))]


def load(identity: str) -> WorkTask:
    """Return one of the tasks."""
    return read(identity, ARCHIVES / f"{identity}.txt")


def read(identity: str, archive: Path) -> WorkTask:
    """Read a task. Raises `ValueError` where a section is missing, or a path leaves the project."""
    head: dict[str, str] = {}
    files: dict[str, dict[str, list[str]]] = {section: {} for section in SECTIONS}
    current: list[str] | None = None
    for line in archive.read_text(encoding="utf-8").splitlines(keepends=True):
        found = _NAME.match(line.rstrip("\n"))
        if found:
            current = files[found[1]].setdefault(found[2], [])
        elif current is not None:
            current.append(line)
        elif line.strip():
            key, _, value = line.partition(":")
            head[key.strip()] = value.strip()
    texts = {section: {path: "".join(lines) for path, lines in held.items()} for section, held in files.items()}
    for section, held in texts.items():
        if not held or any(Path(path).is_absolute() or ".." in Path(path).parts for path in held):
            raise ValueError(f"{identity}: the section {section} is empty, or a path leaves the project")
    return WorkTask(id=identity, kind=head["kind"], request=head["request"], files=texts)


def write(task: WorkTask, root: Path, *sections: str) -> None:
    """Write the files of these sections, one section over the other."""
    for section in sections:
        for path, text in task.files[section].items():
            if path.startswith(REMOVED):
                (root / path.removeprefix(REMOVED)).unlink()
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")


def judge(task: WorkTask, root: Path) -> list[str]:
    """Return what the hidden checks say of a project; empty when it is right.

    They run on a copy, with settings of their own: nothing that a run wrote decides how it is judged, except the code.
    """
    with tempfile.TemporaryDirectory(prefix="lg-eval-") as scratch:
        copy, checks = Path(scratch) / "project", Path(scratch) / "checks"
        shutil.copytree(root, copy, symlinks=True)
        write(task, checks, "hidden")
        settings = checks / "settings.ini"
        settings.write_text("[pytest]\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LG_"))}
        paths = os.pathsep.join(map(str, (copy, copy / "vendor")))
        argv = [sys.executable, "-P", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "--tb=line"]
        try:
            done = subprocess.run(
                [*argv, "-c", str(settings), f"--rootdir={checks}", str(checks)], cwd=copy, capture_output=True,
                env=kept | {"PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "LG_CHECKS": str(checks)},
                text=True, timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return [f"the hidden checks did not end within {TIMEOUT_S} s"]
    if done.returncode == 0:
        return []
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed or [f"the hidden checks ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"]


def verify(task: WorkTask) -> list[str]:
    """Return what is wrong with the task itself: its checks must tell right from wrong."""
    wrong = []
    for sections, right in ((("project",), False), (("project", "lazy"), False), (("project", "reference"), True)):
        with tempfile.TemporaryDirectory(prefix="lg-eval-") as scratch:
            root = Path(scratch) / "project"
            write(task, root, *sections)
            said = judge(task, root)
        if right and said:
            wrong.append(f"the reference solution fails: {'; '.join(said)}")
        elif not right and not said:
            wrong.append(f"the hidden checks pass on {' and '.join(sections)}")
    return wrong
