"""Starts child processes in their own process group, and ends them with all their descendants.

Nothing here imports the MCP SDK, so that children start while the gateway still imports it.
"""

from __future__ import annotations

import io
import logging
import math
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import Process

from lg_gateway.processes import reaper
from lg_policy.prefork.process import open_forked
from lg_policy.prefork.start import INHERITED

if TYPE_CHECKING:
    from lg_gateway.confinement.confined_process import Confined
    from lg_gateway.confinement.confinement import Confinement

log = logging.getLogger(__name__)

INHERITED_WINDOWS = (
    "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE",
    "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
)  # fmt: skip
EXIT_GRACE_S = 2.0
TERM_GRACE_S = 2.0
LOG_BYTES = 1_000_000
LINE_BYTES = 64_000
TAIL_BYTES = 2_000
LOG_BURST = 1_000_000
LOG_RATE = 50_000
"""Bytes of its output that a server gets into its log at once, and in a second after that."""


@dataclass(frozen=True, kw_only=True)
class ServerLaunch:
    """How to start one stdio server. `env` comes on top of the few names every child inherits.

    `ours`: it is a module of ours, which a spare process may become.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    ours: bool = False
    confinement: Confinement | None = None
    """The sandbox that it starts in."""


class Reaper:
    """The helper process that outlives a killed gateway just long enough to end its children."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[str] | None = None
        self._mark = ""

    def start(self) -> None:
        """Start the helper; on a system without process groups there is none."""
        if os.name != "posix" or self._helper is not None:
            return
        self._helper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            text=True,
            start_new_session=True,
        )

    def mark(self) -> dict[str, str]:
        """Return what the environment of a sandbox must have, so that none outlives a killed gateway."""
        if not self._mark:
            self._mark = secrets.token_hex(16)
            self._say(f"={self._mark}\n")
        return {reaper.MARK: self._mark}

    def watch(self, pgid: int) -> None:
        """Register a process group."""
        self._say(f"+{pgid} {reaper.start_time(pgid)}\n")

    def forget(self, pgid: int) -> None:
        """Unregister a group that has ended."""
        self._say(f"-{pgid}\n")

    def close(self) -> None:
        """End the helper, which ends what is still registered."""
        if self._helper is None or self._helper.stdin is None:
            return
        with suppress(BrokenPipeError):
            self._helper.stdin.close()
        try:
            self._helper.wait(timeout=reaper.GRACE_S + 5)
        except subprocess.TimeoutExpired:
            self._helper.kill()
            self._helper.wait()
        self._helper = None

    def _say(self, line: str) -> None:
        if self._helper is None or self._helper.stdin is None:
            return
        try:
            self._helper.stdin.write(line)
            self._helper.stdin.flush()
        except BrokenPipeError:
            log.warning("the helper that ends orphaned servers is gone; a killed gateway may leave servers behind")


class Child:
    """One started server. Owned by one task, which must call `stop`."""

    def __init__(
        self, launch: ServerLaunch, process: Process, reaper_: Reaper, confined: Confined | None = None
    ) -> None:
        self.launch = launch
        self.confined = confined
        self.process = process
        self.tail = b""
        self.mask: Callable[[str], str] | None = None
        """Hides secrets in what is logged of its output."""
        self._allowance = LogAllowance()
        self._left_out = 0
        self._reaper = reaper_
        reaper_.watch(process.pid)

    async def copy_log(self) -> None:
        """Copy what the server prints to its log file, which is rotated once it is full; keep the last lines."""
        stream = self.process.stderr
        if stream is None:
            return
        file = BoundedLog(self.launch.log_path)
        pending = b""
        try:
            while True:
                pending += await stream.receive()
                end = pending.rfind(b"\n") + 1
                whole = pending[:end] if end or len(pending) <= LINE_BYTES else pending
                pending = pending[len(whole) :]
                self._note(file, whole)
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return
        finally:
            self._note(file, pending)
            self._say_left_out(file)
            file.close()

    def _note(self, file: BoundedLog, data: bytes) -> None:
        """Write whole lines, so that a secret is not missed because it came in two parts.

        Of a flood only the end is looked at: hiding secrets in megabytes would take the time of all other work.
        """
        if not self._allowance.take(len(data), time.monotonic()):
            self._left_out += len(data)
            self.tail = self._masked(data[-TAIL_BYTES:].partition(b"\n")[2])[-TAIL_BYTES:]
            return
        data = self._masked(data)
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        self._say_left_out(file)
        file.write(data)

    def _say_left_out(self, file: BoundedLog) -> None:
        if self._left_out:
            file.write(b"[%d bytes left out: the server printed too much at once]\n" % self._left_out)
            self._left_out = 0

    def _masked(self, data: bytes) -> bytes:
        if self.mask is None:
            return data
        return self.mask(data.decode("utf-8", "replace")).encode("utf-8", "replace")

    def last_words(self) -> str:
        """Return the last line that the server printed, for a message about its end."""
        lines = self.tail.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1].strip()[:300] if lines else ""
        limit = self.confined.breach() if self.confined is not None else ""
        return "; ".join(filter(None, (f"it reached its limit of {limit}" if limit else "", said)))

    async def stop(self) -> None:
        """End the server and its group: close its input, then SIGTERM, then SIGKILL. Bounded and shielded."""
        with anyio.CancelScope(shield=True):
            if self.process.stdin is not None:
                with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await self.process.stdin.aclose()
            if not await self._exited(EXIT_GRACE_S) or self._signal(0):
                self._signal(signal.SIGTERM)
                if not await self._exited(TERM_GRACE_S) or self._signal(0):
                    self._signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
                    await self._exited(TERM_GRACE_S)
            self._reaper.forget(self.process.pid)
            if self.confined is not None:
                await self.confined.close()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                        await stream.aclose()

    async def _exited(self, seconds: float) -> bool:
        """Whether the server itself ended in time. Its pipes may live on in a descendant: they do not count."""
        deadline = anyio.current_time() + seconds
        while self.process.returncode is None:
            if anyio.current_time() >= deadline:
                return False
            await anyio.sleep(0.01)
        return True

    def _signal(self, number: int) -> bool:
        if os.name == "posix":
            return reaper.signal_group(self.process.pid, number)
        if number and self.process.returncode is None:
            self.process.kill()
        return False


async def start(launch: ServerLaunch, reaper_: Reaper) -> Child:
    """Start a server. Raises `OSError` when its program cannot be run, `SandboxUnavailable` without a sandbox."""
    if launch.confinement is not None:
        from lg_gateway.confinement.confined_process import ConfinedCommand, start_confined

        command = ConfinedCommand(argv=launch.argv, env=launch.env, directory=str(launch.cwd))
        process, confined = await start_confined(launch.confinement, command, mark=reaper_.mark())
        return Child(launch, process, reaper_, confined)
    environment = child_environment(os.environ) | dict(launch.env)
    forked = await open_forked(launch.argv, env=environment, cwd=launch.cwd) if launch.ours else None
    process = forked or await anyio.open_process(
        list(launch.argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=launch.cwd,
        env=environment,
        start_new_session=os.name == "posix",
    )
    return Child(launch, process, reaper_)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the environment that every server gets. Exported shell functions are left out."""
    names: Sequence[str] = INHERITED_WINDOWS if sys.platform == "win32" else INHERITED
    return {name: environ[name] for name in names if name in environ and not environ[name].startswith("()")}


class LogAllowance:
    """What a server may print for its log: a burst at once, and a steady rate after it. What is beyond is left out."""

    def __init__(self, burst: float = LOG_BURST, rate: float = LOG_RATE) -> None:
        self._burst, self._rate = burst, rate
        self._left, self._at = burst, -math.inf

    def take(self, size: int, now: float) -> bool:
        """Return whether that many bytes may be written now."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if size > self._left:
            return False
        self._left -= size
        return True


class BoundedLog:
    """A file of at most `limit` bytes and its predecessor: when it is full it becomes `NAME.1` and a new one begins."""

    def __init__(self, path: Path, limit: int = LOG_BYTES) -> None:
        self._path = path
        self._limit = limit
        self._file = self._open()

    def write(self, data: bytes) -> None:
        """Append; a failure to write is the log's problem, never the server's."""
        try:
            if self._file.tell() + len(data) > self._limit:
                self._file.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._file = self._open()
            self._file.write(data[-self._limit :])
        except OSError as error:
            log.warning("cannot write %s: %s", self._path, error)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> io.FileIO:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
        file = io.FileIO(descriptor, "ab")
        file.seek(0, os.SEEK_END)
        return file
