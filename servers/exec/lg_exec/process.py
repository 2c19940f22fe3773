"""One command from start to end: pipes always drained, limits watched, the whole tree ended before the answer.

`run` knows nothing of sandboxes: a `Container` says what to start and how its tree is limited, signalled and found.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import resource
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio

from lg_exec.textout import clean
from lg_exec.tree import Usage
from lg_policy.limits import Deadline, HeadTail

log = logging.getLogger(__name__)

_CHUNK = 65_536
_DRAIN_S = 1.0
_GONE_S = 5.0
_PROGRESS_BYTES = 4_000
_LIMIT_SIGNALS = {"SIGXFSZ": "file_size", "SIGXCPU": "cpu"}

OnOutput = Callable[[str], Awaitable[None]]
"""Called with new output while the command runs, at most every `progress_interval_s`."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one call: seconds, mebibytes, counts. `disk_mb` is what may be written to throw-away storage."""

    timeout_s: float
    cpu_s: float
    memory_mb: int
    processes: int
    open_files: int
    file_mb: int
    disk_mb: int
    output_kb: int


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a command ended. Exactly one of `exit_code` and `signal` is set; `limit_hit` names a limit that ended it."""

    exit_code: int | None
    signal: str | None
    stdout: HeadTail
    stderr: HeadTail
    wall_ms: int
    cpu_ms: int
    peak_memory_mb: float
    limit_hit: str | None


class Container(Protocol):
    """How one command is started, limited, signalled and found. Used once, then closed."""

    @property
    def argv(self) -> Sequence[str]:
        """The program to start and its arguments."""

    @property
    def env(self) -> Mapping[str, str]:
        """Its whole environment."""

    @property
    def cwd(self) -> str | None:
        """Its working directory; `None` for this server's own."""

    @property
    def pass_fds(self) -> Sequence[int]:
        """Descriptors that it inherits."""

    @property
    def user(self) -> int | None:
        """The user and, with the same number, group to become; `None` to stay."""

    @property
    def group(self) -> int | None:
        """The group to become."""

    @property
    def changed_paths(self) -> tuple[str, ...] | None:
        """After the end: what changed below the root, where the command could change it."""

    async def adopt(self, pid: int) -> None:
        """Take over the just started process: apply the limits, then let the command begin.

        Raises `SandboxUnavailable` when the sandbox could not be set up.
        """

    def usage(self) -> Usage:
        """What the tree uses now."""

    def breach(self, usage: Usage) -> str | None:
        """The name of a limit that the tree has reached, time apart."""

    def signal(self, number: int) -> None:
        """Send a signal to the tree; SIGKILL reaches every process of it."""

    def survivors(self) -> bool:
        """Whether a process of the tree is left; reaps those that are ours to reap."""

    def verdict(self, returncode: int, complaint: str) -> tuple[int | None, str | None]:
        """Exit code or signal name of the command, from the return code and stderr of the process that was started.

        Raises `SandboxUnavailable` when the command never began.
        """

    def accounted(self) -> Usage:
        """What the tree has used in total and at its peak, as far as known only after its end."""

    def keep_changes(self) -> None:
        """The command has ended within its limits: carry its changes over, where its template says so."""

    def close(self) -> None:
        """Release descriptors and groups."""


class Streams:
    """The two output pipes of a command, read whenever they have something, for as long as they are open."""

    def __init__(self, limit_bytes: int) -> None:
        self.stdout = HeadTail(limit_bytes)
        self.stderr = HeadTail(limit_bytes)
        self.ended = asyncio.Event()
        self._fresh = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open: set[int] = set()
        self._loop = asyncio.get_running_loop()

    def attach(self) -> tuple[int, int]:
        """Make both pipes; returns their write ends for the child."""
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
            data = os.read(reader, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._close(reader)
            return
        kept.feed(data)
        self._fresh += data
        if len(self._fresh) > 4 * _CHUNK:
            del self._fresh[:-_CHUNK]

    def fresh_text(self) -> str:
        """Output since the last call, cut to its end when it is long."""
        data = bytes(self._fresh)
        self._fresh.clear()
        text = clean(self._decoder.decode(data))
        return text if len(text) <= _PROGRESS_BYTES else f"… {text[-_PROGRESS_BYTES:]}"

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
    """Notices that a child ended without reaping it, so that its process group id stays taken until `reap`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.happened = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._fd = -1
        if hasattr(os, "pidfd_open"):
            self._fd = os.pidfd_open(pid)
            self._loop.add_reader(self._fd, self._noticed)
        else:  # macOS: a thread per command waits
            waiting = self._loop.run_in_executor(None, os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            waiting.add_done_callback(lambda _: self.happened.set())

    def _noticed(self) -> None:
        self._loop.remove_reader(self._fd)
        self.happened.set()

    async def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; returns whether the child has ended."""
        with anyio.move_on_after(seconds):
            await self.happened.wait()
        return self.happened.is_set()

    def reap(self) -> tuple[int, resource.struct_rusage]:
        """Collect the ended child: its return code (negative for a signal) and what it and its reaped children used."""
        _, status, used = os.wait4(self.pid, 0)
        return os.waitstatus_to_exitcode(status), used

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds: between SIGTERM and SIGKILL, and between two progress messages."""

    grace_s: float
    progress_s: float


async def run(
    container: Container, *, stdin: bytes, limits: Limits, timing: Timing, on_output: OnOutput | None = None
) -> Finished:
    """Run the container's command to its end. Cancelling ends the tree first, then propagates."""
    begun = time.monotonic()
    streams = Streams(limits.output_kb * 1024)
    try:
        pid = _spawn(container, stdin, streams)
        ending = Exit(pid)
        watch = _Watch(container, ending, limits)
        try:
            await container.adopt(pid)
            async with anyio.create_task_group() as group:
                if on_output is not None:
                    group.start_soon(_report, streams, on_output, timing.progress_s)
                await watch.until_end(timing.grace_s)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                returncode, used = await _end_tree(container, ending, timing.grace_s, streams)
        exit_code, signal_name = container.verdict(returncode, streams.stderr.text())
        total = container.accounted()
        limit_hit = watch.limit_hit or container.breach(total) or _LIMIT_SIGNALS.get(signal_name or "")
        if limit_hit is None:
            container.keep_changes()
    finally:
        streams.close()
        container.close()
    cpu_ms = max(watch.peak_cpu_ms, total.cpu_ms, (used.ru_utime + used.ru_stime) * 1000)
    peak = max(watch.peak_memory, total.memory, used.ru_maxrss * 1024)
    return Finished(
        exit_code=exit_code,
        signal=signal_name,
        stdout=streams.stdout,
        stderr=streams.stderr,
        wall_ms=round((time.monotonic() - begun) * 1000),
        cpu_ms=round(cpu_ms),
        peak_memory_mb=round(peak / 2**20, 1),
        limit_hit=limit_hit,
    )


class _Watch:
    """Looks at a running tree from time to time, and ends it when it reaches a limit."""

    def __init__(self, container: Container, ending: Exit, limits: Limits) -> None:
        self._container = container
        self._ending = ending
        self._deadline = Deadline(limits.timeout_s)
        self.limit_hit: str | None = None
        self.peak_memory = 0
        self.peak_cpu_ms = 0.0

    async def until_end(self, grace_s: float) -> None:
        """Return when the main process has ended by itself or was told to."""
        pause = 0.02
        while not await self._ending.wait(min(pause, self._deadline.remaining() or 0)):
            pause = min(pause * 1.5, 0.15)
            usage = self._container.usage()
            self.peak_memory = max(self.peak_memory, usage.memory)
            self.peak_cpu_ms = max(self.peak_cpu_ms, usage.cpu_ms)
            self.limit_hit = self._container.breach(usage)
            if self.limit_hit is not None:
                self._container.signal(signal.SIGKILL)
                return
            if self._deadline.passed():
                self.limit_hit = "time"
                self._container.signal(signal.SIGTERM)
                await self._ending.wait(grace_s)
                return


async def _report(streams: Streams, on_output: OnOutput, interval_s: float) -> None:
    while True:
        await anyio.sleep(interval_s)
        text = streams.fresh_text()
        if text:
            await on_output(text)


async def _end_tree(
    container: Container, ending: Exit, grace_s: float, streams: Streams
) -> tuple[int, resource.struct_rusage]:
    """End what is left of the tree, then read what is left in the pipes."""
    if not ending.happened.is_set():  # cancelled: the command gets its chance to clean up
        container.signal(signal.SIGTERM)
        await ending.wait(grace_s)
    container.signal(signal.SIGKILL)
    while not await ending.wait(_GONE_S):
        log.error("process %d does not end after SIGKILL", ending.pid)
        container.signal(signal.SIGKILL)
    returncode, used = ending.reap()
    ending.close()
    with anyio.move_on_after(_GONE_S) as patience:
        while container.survivors():
            container.signal(signal.SIGKILL)
            await anyio.sleep(0.002)
    if patience.cancelled_caught:
        log.error("processes of the tree of %d are left after SIGKILL", ending.pid)
    with anyio.move_on_after(_DRAIN_S):
        await streams.ended.wait()
    return returncode, used


def _spawn(container: Container, stdin: bytes, streams: Streams) -> int:
    """Start the process; its pid is ours to reap. No `preexec_fn`: that is unsafe with threads and slow."""
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
    """A descriptor to read `data` from. A file in memory: nobody has to feed it and it cannot block."""
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
