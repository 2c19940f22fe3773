"""Programs of ours started by a fork of the process that starts them, instead of by an interpreter that imports anew.

Three quarters of what a start costs is importing. A process that has all modules already, and is asked to start
`INTERPRETER -P -m PROGRAM …`, forks: parent, session, pipes, environment and working directory are as always.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import runpy
import signal
import subprocess
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from tests.orchestrator.stopping import be

if TYPE_CHECKING:
    from pathlib import Path

MODULES = (
    "lg_gateway.commands.serve",
    "lg_gateway.serving.running",
    "lg_gateway.serving.gateway",
    "lg_gateway.serving.server",
    "lg_fs.server.startup",
    "lg_fs.server.server",
)
MORE_MODULES = ("lg_exec.server.server", "lg_policy.wire.serving", "aiosqlite", "psycopg")
SHAPE = ("-P", "-m")
HIGHEST_FD = 4096
_KEPT: list[Any] = []


def preload() -> None:
    """Import what the programs import."""
    for name in (*MODULES, *MORE_MODULES):
        import_module(name)


def bud(folder: Path) -> None:
    """From here on, start such programs by a fork."""
    really: Any = subprocess._fork_exec  # type: ignore[attr-defined]  # what every start comes down to

    def start(args: Any, *rest: Any) -> int:
        words = [os.fsdecode(word) for word in args]
        if words[0] != sys.executable or tuple(words[1:3]) != SHAPE:
            started: int = really(args, *rest)
            return started
        pid = os.fork()
        if pid == 0:
            _become(folder, words, rest)
        return pid

    subprocess._fork_exec = start  # type: ignore[attr-defined]  # see above


def _become(folder: Path, words: list[str], rest: tuple[Any, ...]) -> NoReturn:
    """Be the program. `rest` is what follows the arguments where a process is started, in CPython's order."""
    status = 1
    try:
        cwd, environment, own_session = rest[3], rest[4], rest[14]
        if own_session:
            os.setsid()
        for number, given in enumerate((rest[5], rest[8], rest[10])):
            if given != -1:
                os.dup2(given, number)
        os.closerange(3, HIGHEST_FD)
        os.chdir(cwd)
        if environment is not None:
            os.environb.clear()
            os.environb.update(dict(one.split(b"=", 1) for one in environment))
        _forget_the_parent()
        status = contextvars.Context().run(_main, folder, words)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _forget_the_parent() -> None:
    # The old ones stay, and the new ones do not own their descriptors: a file that goes closes whatever has its number.
    _KEPT.extend((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "w" if n else "r", 1, closefd=False) for n in range(3))
    logging.root.handlers.clear()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    asyncio._set_running_loop(None)


def _main(folder: Path, words: list[str]) -> int:
    program = words[3]
    be(folder, program, words[4:])
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0
