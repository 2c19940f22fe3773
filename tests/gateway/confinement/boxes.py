"""Programs in real sandboxes, for tests: Python code that tries something and prints what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from lg_gateway.confinement.confined_process import Confined, ConfinedCommand, sandbox_binary, start_confined
from lg_gateway.confinement.confinement import Confinement
from tests.support import require


def confinement(tmp_path: Path, **more: Any) -> Confinement:
    """Return a sandbox with a home of its own, beside the state directory that it never sees."""
    require(sandbox_binary() is not None, "no bubblewrap")
    given: dict[str, Any] = {
        "name": "box",
        "home": str(tmp_path / "home"),
        "private_home": str(tmp_path / "state" / "box" / "home"),
        "state": str(tmp_path / "state"),
        "add_with": 'add "{host}"',
    }
    return Confinement(**given | more)


async def run_confined(box: Confinement, code: str, *args: str, **env: str) -> tuple[str, Confined]:
    """Run Python code in a sandbox and return what it printed, also as errors."""
    return await _run(box, [sys.executable, "-c", code, *args], env)


async def run_command(box: Confinement, *argv: str) -> str:
    """Run a command in a sandbox and return what it printed, also as errors."""
    return (await _run(box, argv, {}))[0]


async def _run(box: Confinement, argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, Confined]:
    command = ConfinedCommand(argv=argv, env=env)
    process, confined = await start_confined(box, command, mark={})
    text = {"stdout": b"", "stderr": b""}

    async def read(name: str) -> None:
        async for data in getattr(process, name):
            text[name] += data

    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, "stdout")
                tasks.start_soon(read, "stderr")
            await process.wait()
    finally:
        await process.aclose()
        await confined.close()
    return (text["stdout"] + text["stderr"]).decode(), confined


def tried(*statements: str) -> str:
    """Return code that runs each statement, and prints `reached` with its text or how it failed."""
    lines = ["import os, socket, sys, ctypes, urllib.request"]
    for statement in statements:
        lines += ["try:", f"    print('reached', ({statement}))", "except BaseException as error:"]
        lines += ["    print('failed', type(error).__name__)"]
    return "\n".join(lines)


def leftovers(tmp_path: Path) -> list[str]:
    """Return the sockets that are left in the state directory."""
    return [name for name in os.listdir(tmp_path / "state") if name.endswith(".sock")]
