"""Executors whose commands change a root for real, and what is below a root."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from lg_exec.server.executor import Executor, Outcome
from tests.exec.helpers import py, sandboxed, settings

RW = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@contextmanager
def writing(root: Path, tmp_path: Path, **limits: int) -> Iterator[Executor]:
    commands = {"py": {**RW, "limits": limits} if limits else RW}
    with sandboxed(root, tmp_path / "s", settings(commands=commands)) as executor:
        yield executor


async def ran(executor: Executor, code: str) -> Outcome:
    with anyio.fail_after(60):
        return await py(executor, code)


def tree(root: Path) -> dict[bytes, object]:
    """Everything below a root: the content of files, the target of links, the mode of directories."""
    found: dict[bytes, object] = {}
    for place, dirs, files in os.walk(os.fsencode(root)):
        for name in (*dirs, *files):
            path = os.path.join(place, name)
            status = os.lstat(path)
            rel = os.path.relpath(path, os.fsencode(root))
            if stat.S_ISLNK(status.st_mode):
                found[rel] = os.readlink(path)
            elif stat.S_ISDIR(status.st_mode):
                found[rel] = stat.S_IMODE(status.st_mode)
            else:
                with open(path, "rb") as file:
                    found[rel] = file.read()
    return found
