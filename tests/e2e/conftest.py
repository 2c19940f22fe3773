"""Expensive things that the end-to-end tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.adapters import adapters_requirements
from tests.e2e.repository import write_project
from tests.third_party import EVERYTHING_SERVER, made_once, npm_script, python_environment, time_server_program

# Opt-in: `CLAUDE_CLI` is the path of Claude Code, which the package `claude-agent-sdk` has, in 178 MB.
collect_ignore = [] if os.environ.get("CLAUDE_CLI") else ["test_claude_code.py"]
# Opt-in, as `LG_CHAOS=1`: it takes a team of its own, whose workers a busy machine may take for lost once more.
collect_ignore += [] if os.environ.get("LG_CHAOS") else ["test_stopped_worker.py"]


@pytest.fixture(autouse=True)
def _what_is_compiled_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that a test makes has nothing compiled, and most programs of these tests start in such ones."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.fixture(scope="session")
def time_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of `mcp-server-time`, a third-party server of today's era."""
    return time_server_program(tmp_path_factory)


@pytest.fixture(scope="session")
def everything_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of npm's `server-everything`, a third-party server of the 2025 era; run it with node."""
    return made_once(
        tmp_path_factory, "everything", lambda folder: npm_script(folder, EVERYTHING_SERVER, "dist/index.js")
    )


@pytest.fixture(scope="session")
def adapters_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with what docs/langchain-mcp-adapters.md says to install, and MCP's SDK of the 2025 era."""
    return made_once(tmp_path_factory, "adapters", lambda folder: python_environment(folder, *adapters_requirements()))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project in a path with a space."""
    return write_project(tmp_path / "a project")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home directory of its own, as a client with windows starts programs from it: with a short PATH."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
