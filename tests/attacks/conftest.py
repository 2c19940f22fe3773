"""A root with a secret beside it, and commands that run sandboxed in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from lg_exec.server.executor import Executor
from tests.exec.helpers import py, sandboxed

SECRET = "hunter2-not-for-you"


async def output(executor: Executor, code: str, **more: object) -> str:
    """Run Python code in the sandbox and return all it wrote."""
    with anyio.fail_after(60):
        outcome = await py(executor, code, **more)
    shown = outcome.as_json()
    assert shown["sandbox"]["active"]
    return str(shown["stdout"] + shown["stderr"])


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On the disk: a sandbox that hides `/dev` would hide them as well."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    (tmp_path / "secret").write_text(SECRET)
    return path


@pytest.fixture
def executor(root: Path, tmp_path: Path) -> Iterator[Executor]:
    with sandboxed(root, tmp_path / "scratch") as made:
        yield made
