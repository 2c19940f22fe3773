"""Runs one command from start to end: reads its pipes, watches its limits, and ends the whole tree before it returns.

`run` knows nothing of sandboxes. A `Container` says what to start, and how the tree is limited, signalled and found.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from typing import TYPE_CHECKING

import anyio

from lg_exec.process.container import Container, Finished, Limits, OnOutput, Timing
from lg_exec.process.limit_messages import limit_complained_of
from lg_exec.process.worker_thread import Work, in_thread
from lg_policy.limits import Deadline

if sys.platform == "win32":
    from lg_exec.process.windows_child import WindowsExit as Exit
    from lg_exec.process.windows_child import WindowsStreams as Streams
    from lg_exec.process.windows_child import start
else:
    from lg_exec.process.posix_child import Exit, Streams, start

if TYPE_CHECKING:
    import resource

    from lg_policy.errors import LgError
    from lg_policy.sandbox.process_tree import Usage

log = logging.getLogger(__name__)

KEEP_S = 60.0
"""Seconds that keeping the changes of one command may take; then nothing is kept."""
_FIRST_LOOK_S = 0.03
_LOOK_EVERY_S = 0.15
"""How often a running tree is looked at. A look costs half a millisecond of CPU, so short commands get few of them."""
_DRAIN_S = 1.0
_GONE_S = 5.0
_KILL = 9  # `signal.SIGKILL`, a name that Windows' module lacks
_LIMIT_SIGNALS = {"SIGXFSZ": "file_size", "SIGXCPU": "cpu"}


async def run(
    container: Container, *, stdin: bytes, limits: Limits, timing: Timing, on_output: OnOutput | None = None
) -> Finished:
    """Run the container's command to its end. When it is cancelled, it ends the tree and then raises."""
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
        limit_hit, not_kept = await in_thread(
            lambda work: _conclude(container, streams, (watch.limit_hit, exit_code, signal_name), total, work),
            seconds=KEEP_S,
            what="keeping the command's changes",
        )
    finally:
        streams.close()
        with anyio.CancelScope(shield=True):
            await in_thread(lambda _: container.close())
    return Finished(
        exit_code=exit_code,
        signal=signal_name,
        stdout=streams.stdout,
        stderr=streams.stderr,
        wall_ms=round((time.monotonic() - begun) * 1000),
        cpu_ms=round(max(watch.peak_cpu_ms, total.cpu_ms)),
        peak_memory_mb=round(max(watch.peak_memory, total.memory) / 2**20, 1),
        limit_hit=limit_hit,
        not_kept=not_kept,
    )


def _conclude(
    container: Container,
    streams: Streams,
    ending: tuple[str | None, int | None, str | None],
    total: Usage,
    work: Work,
) -> tuple[str | None, LgError | None]:
    """Find the limit that a command has reached, if any. If none, keep its changes; returns why that failed."""
    limit_hit, exit_code, signal_name = ending
    limit_hit = limit_hit or container.breach(total, ended=True) or _LIMIT_SIGNALS.get(signal_name or "")
    if limit_hit is None and exit_code:
        limit_hit = limit_complained_of(container.uncounted, streams.stderr, streams.stdout)
    return limit_hit, None if limit_hit is not None else container.keep_changes(work)


class _Watch:
    """Looks at a running tree from time to time, and ends it when it has reached a limit."""

    def __init__(self, container: Container, ending: Exit, limits: Limits) -> None:
        self._container = container
        self._ending = ending
        self._deadline = Deadline(limits.timeout_s)
        self.limit_hit: str | None = None
        self.peak_memory = 0
        self.peak_cpu_ms = 0.0

    async def until_end(self, grace_s: float) -> None:
        """Return when the main process has ended by itself, or was told to end."""
        pause = _FIRST_LOOK_S
        while not await self._ending.wait(min(pause, self._deadline.remaining() or 0)):
            pause = min(pause * 2, _LOOK_EVERY_S)
            self.limit_hit = await in_thread(lambda _: self._look())
            if self.limit_hit is not None:
                self._container.signal(_KILL)
                return
            if self._deadline.passed():
                self.limit_hit = "time"
                self._container.signal(signal.SIGTERM)
                await self._ending.wait(grace_s)
                return

    def _look(self) -> str | None:
        """Look once at the tree, and at what it has written; the more there is, the longer that takes."""
        usage = self._container.usage()
        self.peak_memory = max(self.peak_memory, usage.memory)
        self.peak_cpu_ms = max(self.peak_cpu_ms, usage.cpu_ms)
        return self._container.breach(usage)


async def _report(streams: Streams, on_output: OnOutput, timing: Timing) -> None:
    """Pass new output on. Of a silent command say now and then that it runs, so that no client gives up."""
    begun = told = time.monotonic()
    while True:
        await anyio.sleep(min(timing.progress_s, timing.silence_s))
        text = streams.fresh_text()
        if not text and time.monotonic() - told >= timing.silence_s:
            text = f"still running after {time.monotonic() - begun:.0f} s, no new output"
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
