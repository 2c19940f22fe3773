"""A process that has imported what our programs import, and becomes them: one beside each process that runs tests.

It has no threads, no open database and no settings of a test, so what a fork of it becomes is as clean as what starts
from nothing, also where the test itself has a gateway or a web server open.

A fork of it is a sibling and not a child: whoever asked for it waits for it, as for a process that it started itself.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import platform
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.forked import Program

FOREVER = ExitStack()
ROOT = Path(__file__).resolve().parent.parent
CLONE_PARENT = 0x8000
CLONE = {"x86_64": 56, "aarch64": 220}
"""Number of the system call, by machine."""
MAX_BYTES = 200_000
"""What one message on such a socket may have."""


def is_possible() -> bool:
    """Whether this system can start programs that way."""
    return sys.platform == "linux" and platform.machine() in CLONE


class ForkServer:
    """Starts the process at the first program that is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None

    def start(self, words: list[str], program: Program, rest: tuple[Any, ...]) -> int:
        """Start a program, with what CPython's `_fork_exec` is given after the arguments; returns its process."""
        streams = [given if given != -1 else number for number, given in enumerate((rest[5], rest[8], rest[10]))]
        environment = [os.fsencode(entry) for entry in rest[4]] if rest[4] is not None else _environment()
        order = pickle.dumps((words, program, os.fsdecode(rest[3] or os.getcwd()), environment, rest[14]))
        with self._lock:
            link = self._linked()
            socket.send_fds(link, [order], streams)
            return int(link.recv(100))

    def close(self) -> None:
        """End the process. What it became goes on."""
        with self._lock:
            if self._link is not None:
                self._link.close()
            if self._process is not None:
                self._process.wait()
            self._link = self._process = None

    def _linked(self) -> socket.socket:
        if self._link is None:
            self._link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            command = [sys.executable, "-m", "tests.fork_server", str(other.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[other.fileno()])
            other.close()
        return self._link


def _environment() -> list[bytes]:
    return [name + b"=" + value for name, value in os.environb.items()]


def main(descriptor: int) -> None:
    """Wait for orders, as `ForkServer` gives them, and become what they say."""
    from tests.forked import become, by_fork
    from tests.forked_programs import built_in_server, our_programs, preload_all
    from tests.gateway.fixture_program import fixture_server

    def started_by_programs(words: list[str]) -> Program | None:
        return fixture_server(words) or built_in_server(words) or our_programs(words)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when nobody can ask it any more
    preload_all()
    link = socket.socket(fileno=descriptor)
    while True:
        order, streams, _flags, _address = socket.recv_fds(link, MAX_BYTES, 3)
        if not order:
            return
        pid = fork_beside()
        if pid == 0:
            os.close(link.detach())
            FOREVER.enter_context(by_fork(started_by_programs))
            words, program, cwd, environment, own_session = pickle.loads(order)
            become(program, streams, cwd, environment, own_session=own_session, words=words)
        for stream in streams:
            os.close(stream)
        link.send(str(pid).encode())


def fork_beside() -> int:
    """Fork a process whose parent is that of this one; 0 in it."""
    python = ctypes.pythonapi
    for name in ("PyOS_BeforeFork", "PyOS_AfterFork_Child", "PyOS_AfterFork_Parent"):
        getattr(python, name).restype = None
    call = ctypes.PyDLL(None).syscall
    call.restype = ctypes.c_long
    call.argtypes = (ctypes.c_long,) * 6
    python.PyOS_BeforeFork()
    pid = int(call(CLONE[platform.machine()], CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return pid


if __name__ == "__main__":
    main(int(sys.argv[1]))
