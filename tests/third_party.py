"""Other people's MCP servers, installed apart from our environment."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import require

TIME_SERVER = "mcp-server-time==2026.10.19"
EVERYTHING_SERVER = "@modelcontextprotocol/server-everything@2026.8.31"
INSTALL_TIMEOUT_S = 150
"""Less than a test may take, so that a package index that does not answer is what the failure names."""


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], str]) -> str:
    """What `make` returns for a folder; made once for all workers of a parallel run."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    made = folder / "made"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_text(make(folder))
    return made.read_text()


def time_server_program(factory: pytest.TempPathFactory) -> str:
    """The path of `mcp-server-time`. It is started once so that what it imports is compiled: many tests start it."""
    return made_once(factory, "time-server", _time_server)


def _time_server(folder: Path) -> str:
    path = python_program(folder, TIME_SERVER, "mcp-server-time")
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([path, "--help"], check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S, env=environ)
    return path


def python_program(target: Path, requirement: str, program: str) -> str:
    """Install a PyPI package into an environment of its own below `target`; return the path of its command."""
    return str(Path(python_environment(target, requirement)).parent / program)


def python_environment(
    target: Path, *requirements: str, newest: str = "", compiled: bool = False, lowest: bool = False
) -> str:
    """Install PyPI packages into an environment of their own below `target`; return the path of its interpreter.

    `newest` is the time after which nothing counts as published; only uv knows how to heed it. `compiled` is for an
    environment that many programs are started from. `lowest` takes the lowest version that each requirement allows,
    which only uv can find.
    """
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    require(uv is not None or not lowest, "uv, which finds the lowest versions")
    environment = target / "venv"
    shutil.rmtree(environment, ignore_errors=True)  # left by an installation that was cut off
    python = str(environment / "bin" / "python")
    if uv is not None:
        commands = [
            [uv, "venv", "--no-config", "-q", "-p", sys.executable, str(environment)],
            [
                uv,
                "pip",
                "install",
                "--no-config",
                "-q",
                "-p",
                python,
                *_options(newest, compiled, lowest),
                *requirements,
            ],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(environment)],
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements],
        ]
    for command in commands:
        _install(command, target, " ".join(requirements))
    return python


def _options(newest: str, compiled: bool, lowest: bool) -> list[str]:
    return [
        *(["--exclude-newer", newest] if newest else []),
        *(["--compile-bytecode"] if compiled else []),
        *(["--resolution", "lowest-direct"] if lowest else []),
    ]


def npm_script(target: Path, requirement: str, script: str) -> str:
    """Install an npm package below `target`; return the path of `script` inside its package directory."""
    npm = shutil.which("npm")
    require(npm is not None and shutil.which("node") is not None, "Node.js and npm")
    command = [str(npm), "install", "--prefix", str(target), "--no-audit", "--no-fund", "--silent", requirement]
    _install(command, target, requirement)
    package = requirement.rpartition("@")[0]
    return str(target / "node_modules" / package / script)


def _install(command: list[str], cwd: Path, requirement: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"{requirement} was not installed within {INSTALL_TIMEOUT_S} s: {' '.join(command)}")
    require(done.returncode == 0, f"{requirement} could not be installed: {done.stderr[-400:]}")
