"""Programs of ours started by a fork of the process that starts them; see `tests.forked`.

A process that has all modules already, and is asked to start `INTERPRETER -P -m PROGRAM …`, forks.
"""

from __future__ import annotations

import functools
import runpy
import sys
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from tests.forked import Program, by_fork
from tests.orchestrator.stopping import be

if TYPE_CHECKING:
    from pathlib import Path

MODULES = (
    "lg_gateway.commands.serving.serve",
    "lg_gateway.serving.running",
    "lg_gateway.serving.gateway",
    "lg_gateway.serving.server",
    "lg_fs.server.startup",
    "lg_fs.server.server",
)
MORE_MODULES = ("lg_exec.server.server", "lg_policy.wire.serving", "aiosqlite", "psycopg")
SHAPE = ("-P", "-m")
FOREVER = ExitStack()


def preload() -> None:
    """Import what the programs import."""
    for name in (*MODULES, *MORE_MODULES):
        import_module(name)


def bud(folder: Path) -> None:
    """From here on, start such programs by a fork."""

    def chosen(words: list[str]) -> Program | None:
        if words[0] != sys.executable or tuple(words[1:3]) != SHAPE:
            return None
        return functools.partial(_main, folder, words)

    FOREVER.enter_context(by_fork(chosen))


def _main(folder: Path, words: list[str]) -> int:
    program = words[3]
    be(folder, program, words[4:])
    runpy.run_module(program, run_name="__main__", alter_sys=True)
    return 0
