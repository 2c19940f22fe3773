"""One child process and its pipes on POSIX systems: starts it, reads its output, notices its end, and reaps it."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio

from lg_exec.process.outputs import CHUNK, Outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_exec.process.container import Container
    from lg_policy.limits import HeadTail


class Streams(Outputs):
    """The two output pipes of a command. They are read whenever they have something, as long as they are open."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self._open: set[int] = set()
        self._loop = asyncio.get_running_loop()

    def attach(self) -> tuple[int, int]:
        """Make both pipes and return their write ends, for the child."""
        ends = []
        for kept in (self.stdout, self.stderr):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            self._open.add(reader)
            self._loop.add_reader(reader, self._take, reader, kept)
            ends.append(writer)
        return ends[0], ends[1]

    def _take(self, reader: int, kept: HeadTail) -> None:
        try:
            data = os.read(reader, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._close(reader)
            return
        self.take(data, kept)

    def close(self) -> None:
        """Stop reading."""
        for reader in list(self._open):
            self._close(reader)

    def _close(self, reader: int) -> None:
        self._loop.remove_reader(reader)
        self._open.discard(reader)
        os.close(reader)
        if not self._open:
            self.ended.set()


class Exit:
    """Notices that a child has ended. It does not reap it, so the process group id stays taken until `reap`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.happened = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._fd = -1
        self._close: Callable[[], None] = lambda: os.close(self._fd)
        if hasattr(os, "pidfd_open"):
            self._fd = os.pidfd_open(pid)
            self._loop.add_reader(self._fd, self._noticed)
        elif sys.platform == "darwin":  # where `os.waitid` is missing before Python 3.13
            self._watch()
        else:  # a thread per command waits
            waiting = self._loop.run_in_executor(None, os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            waiting.add_done_callback(lambda _: self.happened.set())

    def _watch(self) -> None:
        """Have macOS tell when the process ends."""
        if sys.platform != "darwin":
            return
        queue = select.kqueue()
        wanted = select.kevent(self.pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        try:
            queue.control([wanted], 0)
        except ProcessLookupError:  # it has ended already
            queue.close()
            self.happened.set()
            return
        self._fd, self._close = queue.fileno(), queue.close
        self._loop.add_reader(self._fd, self._noticed)

    def _noticed(self) -> None:
        self._loop.remove_reader(self._fd)
        self.happened.set()

    async def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`, and return whether the child has ended."""
        with anyio.move_on_after(seconds):
            await self.happened.wait()
        return self.happened.is_set()

    def reap(self) -> tuple[int, resource.struct_rusage]:
        """Reap the ended child. Returns its code, negative for a signal, and what it and its children have used."""
        _, status, used = os.wait4(self.pid, 0)
        return os.waitstatus_to_exitcode(status), used

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._close()
            self._fd = -1


async def start(container: Container, stdin: bytes, streams: Streams) -> Exit:
    """Start the process. Raises `OSError`. Only Windows has to wait for something here."""
    return Exit(_spawn(container, stdin, streams))


def _spawn(container: Container, stdin: bytes, streams: Streams) -> int:
    """Start the process, whose pid is ours to reap. There is no `preexec_fn`: it is slow, and unsafe with threads.

    The thread of the event loop has to call this. It lives as long as the server, and a process that dies with its
    parent dies with the thread that started it.
    """
    out, err = streams.attach()
    source = _stdin(stdin)
    try:
        started = subprocess.Popen(
            list(container.argv),
            stdin=source,
            stdout=out,
            stderr=err,
            env=dict(container.env),
            cwd=container.cwd,
            pass_fds=tuple(container.pass_fds),
            start_new_session=True,
            user=container.user,
            group=container.group,
            extra_groups=[] if container.user is not None else None,
        )
    finally:
        for end in (source, out, err):
            os.close(end)
    # `Exit` reaps it. Without a return code Popen would warn, and keep it in a list of its own to poll.
    started.returncode = 0
    return started.pid


def _stdin(data: bytes) -> int:
    """Return a descriptor to read `data` from: a file in memory, which nobody has to feed and which cannot block."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY)
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("stdin")
    else:
        import tempfile

        fd, name = tempfile.mkstemp()
        os.unlink(name)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
