"""One command from start to end: pipes always drained, limits watched, the whole tree ended before the answer.

`run` knows nothing of sandboxes: a `Container` says what to start and how its tree is limited, signalled and found.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from lg_exec.complaints import limit_complained_of
from lg_exec.tree import Usage
from lg_policy.limits import Deadline, HeadTail

if sys.platform == "win32":
    from lg_exec.windows_child import Exit, Streams, start
else:
    from lg_exec.child import Exit, Streams, start

if TYPE_CHECKING:
    import resource

log = logging.getLogger(__name__)

_DRAIN_S = 1.0
_GONE_S = 5.0
_KILL = 9  # `signal.SIGKILL`, a name that Windows' module lacks
_LIMIT_SIGNALS = {"SIGXFSZ": "file_size", "SIGXCPU": "cpu"}

OnOutput = Callable[[str], Awaitable[None]]
"""Called with new output while the command runs, and with a sign of life when there was none for a while."""


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
    def uncounted(self) -> Collection[str]:
        """Limits of which only the command's own error message tells that they were reached."""

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

    async def gone(self) -> None:
        """Return when no process of the tree is left; the started one was reaped, others that are ours are reaped here.

        Called after SIGKILL was sent; may not return if a process cannot be ended.
        """

    def verdict(self, returncode: int, complaint: str) -> tuple[int | None, str | None]:
        """Exit code or signal name of the command, from the return code and stderr of the process that was started.

        Raises `SandboxUnavailable` when the command never began.
        """

    def accounted(self, used: resource.struct_rusage) -> Usage:
        """What the tree has used in total and at its peak; `used` is what the started process reported."""

    def keep_changes(self) -> None:
        """The command has ended within its limits: carry its changes over, where its template says so."""

    def close(self) -> None:
        """Release descriptors and groups."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds: between SIGTERM and SIGKILL, between two progress messages at least, and at most."""

    grace_s: float
    progress_s: float
    silence_s: float = 15


async def run(
    container: Container, *, stdin: bytes, limits: Limits, timing: Timing, on_output: OnOutput | None = None
) -> Finished:
    """Run the container's command to its end. Cancelling ends the tree first, then propagates."""
    begun = time.monotonic()
    streams = Streams(limits.output_kb * 1024)
    try:
        ending = await start(container, stdin, streams)
        watch = _Watch(container, ending, limits)
        try:
            await container.adopt(ending.pid)
            async with anyio.create_task_group() as group:
                if on_output is not None:
                    group.start_soon(_report, streams, on_output, timing)
                await watch.until_end(timing.grace_s)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                returncode, used = await _end_tree(container, ending, timing.grace_s, streams)
        exit_code, signal_name = container.verdict(returncode, streams.stderr.text())
        total = container.accounted(used)
        limit_hit = watch.limit_hit or container.breach(total) or _LIMIT_SIGNALS.get(signal_name or "")
        if limit_hit is None and exit_code:
            limit_hit = limit_complained_of(container.uncounted, streams.stderr, streams.stdout)
        if limit_hit is None:
            container.keep_changes()
    finally:
        streams.close()
        container.close()
    return Finished(
        exit_code=exit_code,
        signal=signal_name,
        stdout=streams.stdout,
        stderr=streams.stderr,
        wall_ms=round((time.monotonic() - begun) * 1000),
        cpu_ms=round(max(watch.peak_cpu_ms, total.cpu_ms)),
        peak_memory_mb=round(max(watch.peak_memory, total.memory) / 2**20, 1),
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
                self._container.signal(_KILL)
                return
            if self._deadline.passed():
                self.limit_hit = "time"
                self._container.signal(signal.SIGTERM)
                await self._ending.wait(grace_s)
                return


async def _report(streams: Streams, on_output: OnOutput, timing: Timing) -> None:
    """Pass new output on; of a silent command say now and then that it runs, so that no client gives it up."""
    begun = told = time.monotonic()
    while True:
        await anyio.sleep(min(timing.progress_s, timing.silence_s))
        text = streams.fresh_text()
        if not text and time.monotonic() - told >= timing.silence_s:
            text = f"still running, without new output, after {time.monotonic() - begun:.0f} s"
        if text:
            await on_output(text)
            told = time.monotonic()


async def _end_tree(
    container: Container, ending: Exit, grace_s: float, streams: Streams
) -> tuple[int, resource.struct_rusage]:
    """End what is left of the tree, then read what is left in the pipes."""
    if not ending.happened.is_set():  # cancelled: the command gets its chance to clean up
        container.signal(signal.SIGTERM)
        await ending.wait(grace_s)
    container.signal(_KILL)
    while not await ending.wait(_GONE_S):
        log.error("process %d does not end after SIGKILL", ending.pid)
        container.signal(_KILL)
    returncode, used = ending.reap()
    ending.close()
    with anyio.move_on_after(_GONE_S) as patience:
        await container.gone()
    if patience.cancelled_caught:
        log.error("processes of the tree of %d are left after SIGKILL", ending.pid)
    with anyio.move_on_after(_DRAIN_S):
        await streams.ended.wait()
    return returncode, used
