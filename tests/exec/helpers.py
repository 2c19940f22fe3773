"""Executors for tests: templates that run small programs, unconfined unless a test asks for a sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lg_exec.process.environment import Programs
from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend
from lg_exec.sandbox.unconfined import UnconfinedBackend
from lg_exec.server.executor import Executor, Outcome, Request
from lg_exec.server.setup import make_place
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from lg_policy.sandbox.bubblewrap import binaries
from lg_policy.sandbox.cgroups import find_hierarchy
from tests.support import require

PY = {"from": "python", "args_allow": ["-c=*...", "path:**..."]}
SH = {"executable": "/bin/sh", "args_allow": ["-c=*..."]}


def settings(
    *, commands: Mapping[str, Any] | None = None, policy: Mapping[str, Any] | None = None, **exec_: Any
) -> Settings:
    """Settings with the templates `py` (this interpreter) and `sh`, and what a test adds."""
    table = {"py": PY, "sh": SH, **(commands or {})}
    return Settings.model_validate({"exec": {"commands": table, "kill_grace_s": 0.3, **exec_}, "policy": policy or {}})


@contextmanager
def unconfined(root: Path, scratch: Path, chosen: Settings | None = None) -> Iterator[Executor]:
    """An executor without a sandbox."""
    chosen = chosen or settings()
    scratch.mkdir(exist_ok=True)
    with Root(root) as opened:
        programs = Programs(opened.path, chosen.exec.environment, home=scratch)
        yield Executor(opened, chosen, UnconfinedBackend(str(opened.path), str(scratch), None), programs)


async def py(executor: Executor, code: str, **more: Any) -> Outcome:
    """Run Python code with the template `py`."""
    return await executor.execute(Request(cmd="py", args=("-c", code), **more))


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def make_venv(path: Path) -> Path:
    """A virtual environment without pip, made by this interpreter."""
    import venv

    venv.create(path, with_pip=False, symlinks=os.name == "posix")
    return path


BASE_PYTHON = os.path.realpath(sys.executable)


@contextmanager
def sandboxed(
    root: Path, scratch: Path, chosen: Settings | None = None, *, state: Path | None = None
) -> Iterator[Executor]:
    """An executor in bubblewrap, the limits held by whatever this machine has."""
    require(sys.platform == "linux", "bubblewrap runs on Linux")
    binary = next(binaries(), None)
    require(binary is not None, "bubblewrap")
    assert binary is not None
    chosen = chosen or settings()
    scratch.mkdir(exist_ok=True)
    with Root(root) as opened:
        place = make_place(chosen, opened, str(scratch), None, state_dir=state)
        backend = BubblewrapBackend(binary, place, find_hierarchy())
        programs = Programs(opened.path, chosen.exec.environment, home=scratch)
        yield Executor(opened, chosen, backend, programs)


def processes_with(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line.split(b"\0") and alive(int(entry.name)):
                found.append(int(entry.name))
    return found
