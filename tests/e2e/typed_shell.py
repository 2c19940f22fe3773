"""A shell on a terminal of its own whose commands of ours are forks, for pages whose blocks are typed.

On its PATH each of our programs is a small script. It hands its streams, words, directory and environment to what
started the shell, which forks the program and says how it ended. All are one session, as at any terminal.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import selectors
import signal
import socket
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fork_server import MAX_BYTES
from tests.forked import become, by_fork, own_the_terminal
from tests.forked_programs import COMMANDS, our_programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from tests.fork_server import ForkServer

SIZE = (50, 200)
"""Rows and columns of the terminal: wide enough that a row of a list stays one."""
SCRIPT = """\
#!{python} -IS
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect({address!r})
words = [{program!r}, *sys.argv[1:]]
socket.send_fds(link, [json.dumps([words, os.getcwd(), dict(os.environ)]).encode()], [0, 1, 2])
sys.exit(int(link.recv(10) or 1))
"""


@contextmanager
def typed_shell(script: Path, cwd: Path, environ: Mapping[str, str], server: ForkServer | None) -> Iterator[int]:
    """Run a script of bash in `cwd`; yields its terminal. Closing that hangs up, which ends what still runs there.

    Without a server, our programs start as always. Their scripts are made beside `cwd`.
    """
    path = f"{Path(sys.executable).parent}:{environ['PATH']}"
    start: AbstractContextManager[None] = nullcontext()
    if server is not None:
        address = f"\0lg-typed-{os.urandom(8).hex()}"
        path = f"{_scripts(cwd.parent / 'programs', address)}:{path}"
        start = by_fork(lambda words: partial(_shell, words, address) if words[0] == "bash" else None, server)
    terminal, other = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    with start:
        process = subprocess.Popen(
            ["bash", str(script)], cwd=cwd, env={**environ, "PATH": path}, stdin=other, stdout=other, stderr=other,
            start_new_session=True,
            preexec_fn=own_the_terminal,  # noqa: PLW1509  two system calls; threads of the tests hold no lock for them
        )  # fmt: skip
    os.close(other)
    try:
        yield terminal
    finally:
        os.close(terminal)
        process.wait()


def _scripts(folder: Path, address: str) -> Path:
    folder.mkdir()
    for program in COMMANDS:
        script = folder / Path(program).name
        script.write_text(SCRIPT.format(python=sys.executable, address=address, program=program))
        script.chmod(0o755)
    return folder


def _shell(words: list[str], address: str) -> int:
    os.environ.pop("LG_START", None)  # what the shell gets is what was given for it
    return _Parent(address).run(words)


class _Parent:
    """The process that a shell is started by, and that forks the programs which the scripts ask for."""

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(address)
        self._listener.listen()
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._listener, selectors.EVENT_READ, self._asked)
        self._status: int | None = None

    def run(self, words: list[str]) -> int:
        """Start the shell and serve its commands until it has ended; returns its exit status."""
        shell = os.fork()
        if shell == 0:
            os.execvp(words[0], words)
        ended = os.pidfd_open(shell)
        self._ready.register(ended, selectors.EVENT_READ, partial(self._shell_ended, shell))
        while self._status is None:
            for key, _ in self._ready.select():
                key.data()
        return self._status

    def _shell_ended(self, shell: int) -> None:
        self._status = _exit_status(shell)

    def _asked(self) -> None:
        link, _ = self._listener.accept()
        order, streams, _flags, _address = socket.recv_fds(link, MAX_BYTES, 3)
        if not order:  # the script was killed before it could ask
            link.close()
            return
        words, cwd, environ = json.loads(order)
        pid = os.fork()
        if pid == 0:
            program = our_programs(words)
            assert program is not None
            variables = [os.fsencode(f"{name}={text}") for name, text in environ.items()]
            become(program, streams, cwd, variables, own_session=False, words=words)
        for stream in streams:
            os.close(stream)
        ended = os.pidfd_open(pid)
        self._ready.register(ended, selectors.EVENT_READ, partial(self._program_ended, pid, ended, link))
        self._ready.register(link, selectors.EVENT_READ, partial(self._script_ended, pid, link))

    def _script_ended(self, pid: int, link: socket.socket) -> None:
        """Whoever ends the script means the program: it ends as well, and is waited for as any other."""
        if link.fileno() != -1:
            self._ready.unregister(link)
            os.kill(pid, signal.SIGTERM)

    def _program_ended(self, pid: int, ended: int, link: socket.socket) -> None:
        self._ready.unregister(ended)
        os.close(ended)
        if link in self._ready.get_map():
            self._ready.unregister(link)
        with suppress(OSError):  # the script was ended before its program
            link.send(str(_exit_status(pid)).encode())
        link.close()


def _exit_status(pid: int) -> int:
    """Wait for a process that has ended; returns its status as a shell shows it."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if status >= 0 else 128 - status
