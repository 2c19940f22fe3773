"""Programs started by a fork of the process that starts them, instead of by an interpreter that imports anew.

Most of what a start costs is importing the MCP SDK. A process that has it already forks: a process of its own with the
parent, session, pipes, environment and working directory that were asked for, and with nothing else of the old one.
"""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import fcntl
import gc
import logging
import os
import signal
import subprocess
import sys
import termios
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from lg_policy.prefork.process_image import set_process_image

if TYPE_CHECKING:
    from tests.fork_server import ForkServer

HIGHEST_FD = 4096
Program = Callable[[], int]
_KEPT: list[Any] = []


@contextmanager
def by_fork(chosen: Callable[[list[str]], Program | None], server: ForkServer | None = None) -> Iterator[None]:
    """In this block, run in a fork what `chosen` returns for the words of a command; start the rest as always.

    It is a fork of `server` where there is one, else of this process.
    """
    if sys.platform == "win32":
        yield
        return
    really: Any = subprocess._fork_exec  # type: ignore[attr-defined]  # what every start comes down to

    def start(args: Any, *rest: Any) -> int:
        words = [os.fsdecode(word) for word in args]
        program = chosen(words)
        if program is None:
            started: int = really(args, *rest)
            return started
        if server is not None:
            return server.start(words, program, rest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child uses nothing that is theirs
            pid = os.fork()
        if pid == 0:
            become(program, [rest[5], rest[8], rest[10]], rest[3], rest[4], own_session=rest[14])
        return pid

    subprocess._fork_exec = start  # type: ignore[attr-defined]  # see above
    try:
        yield
    finally:
        subprocess._fork_exec = really  # type: ignore[attr-defined]  # see above


def become(
    program: Program,
    streams: list[int],
    cwd: Any,
    environment: list[bytes] | None,
    *,
    own_session: bool,
    words: Sequence[str] = (),
) -> NoReturn:
    """Be the program, with these streams (-1: as they are) and that directory; `words` are what others see of it."""
    status = 1
    try:
        gc.disable()  # an old file that goes would close a new one of the same number
        if own_session:
            os.setsid()
        for number, given in enumerate(streams):
            if given != -1:
                os.dup2(given, number)
        if own_session:
            own_the_terminal()
        os.closerange(3, HIGHEST_FD)
        if cwd is not None:
            os.chdir(cwd)
        if environment is not None:
            os.environb.clear()
            os.environb.update(dict(entry.split(b"=", 1) for entry in environment))
        if words:
            sys.orig_argv = list(words)
            set_process_image([os.fsencode(word) for word in words], environment or [])
        if os.environ.get("PYTHONFAULTHANDLER"):
            faulthandler.enable()
        os.environ["LG_START"] = "exec"  # a fork of the tests is no clean start for others
        _forget_the_parent()
        status = contextvars.Context().run(_run, program)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def own_the_terminal() -> None:
    """Where standard input is a terminal: let a session that has just begun belong to it."""
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _forget_the_parent() -> None:
    # The old ones stay, and the new ones do not own their descriptors: a file that goes closes whatever has its number.
    _KEPT.extend((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "w" if n else "r", 1, closefd=False) for n in range(3))
    logging.root.handlers.clear()
    warnings.simplefilter("ignore")  # the tests' filter makes errors of them
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    asyncio._set_running_loop(None)


def _run(program: Program) -> int:
    try:
        return program()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
