"""The sandbox on Linux: bubblewrap with every namespace and a minimal read-only system. Limits are set beforehand.

A start has this order. bwrap makes the namespaces and mounts, tells us its inner process, and waits. We put that
process into its control group and set its rlimits. Only then does it become the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from lg_exec.process.container import ChangeSet, Limits
from lg_exec.process.orphans import Orphans
from lg_exec.process.script_interpreter import interpreter_of
from lg_exec.process.worker_thread import Work
from lg_exec.process.written_bytes import Storage
from lg_exec.sandbox.layout import Layout
from lg_exec.sandbox.unconfined import rlimits, signal_name
from lg_exec.write_back.carrier import Kept
from lg_policy.changes.removal import remove_tree
from lg_policy.errors import LgError, NotFound, SandboxUnavailable
from lg_policy.printing import visible
from lg_policy.sandbox import process_tree
from lg_policy.sandbox.bubblewrap import NAMESPACES, memory_file, nul_separated
from lg_policy.sandbox.cgroups import Group
from lg_policy.sandbox.process_tree import Usage

_SETUP_S = 20.0
_NO_PROGRAM = "bwrap: execvp "


@dataclass(frozen=True, kw_only=True)
class Start:
    """What one sandboxed command needs. `limit_processes` sets an rlimit, which binds unless the real user is root."""

    bwrap: str
    layout: Layout
    command: Sequence[str]
    env: Mapping[str, str]
    network: bool
    seccomp: bytes | None
    limits: Limits
    limit_processes: bool
    user: int | None = None
    group: int | None = None
    mark: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], None] | None = None
    """Raises when what was mounted may not be the root; asked before the command begins."""
    temporary: tuple[str, ...] = ()
    """Directories that are removed at the end."""
    keep: Callable[[str, Work], Kept] | None = None
    """Carries an upper layer over into the root; only for `root = "rw"`."""


class Sandboxed:
    """One command in its sandbox."""

    cwd: str | None = "/"

    def __init__(self, start: Start, cgroup: Group | None, orphans: Orphans | None) -> None:
        self._start = start
        self._cgroup = cgroup
        self._orphans = orphans
        self.user, self.group = start.user, start.group
        self.uncounted = {"open_files", "file_size"}
        if start.layout.upper is None:  # else the disk that is full may be the host's
            self.uncounted.add("disk")
        if start.limit_processes and (cgroup is None or "pids" not in cgroup.controllers):
            self.uncounted.add("processes")
        self.env = start.mark  # nothing else: bwrap's own environment can be read inside, as that of process 1
        self.changed_paths: tuple[str, ...] | None = None
        self.change_set: ChangeSet | None = None
        self._outer = 0
        self._inner = 0
        self._inner_fd = -1
        self._cpu_ms = 0.0
        self._memory = 0
        self._heard = bytearray()
        self._storage = Storage(start.layout.storage, start.layout.upper)
        self._status, status_end = os.pipe()
        block_end, self._block = os.pipe()
        self._child_ends = [status_end, block_end, memory_file("args", nul_separated(self.options()))]
        flags = ["--json-status-fd", str(status_end), "--block-fd", str(block_end)]
        if start.seccomp is not None:
            self._child_ends.append(memory_file("seccomp", start.seccomp))
            flags += ["--seccomp", str(self._child_ends[-1])]
        self.argv = (start.bwrap, *flags, "--args", str(self._child_ends[2]), "--", *start.command)
        self.pass_fds = tuple(self._child_ends)

    def options(self) -> list[str]:
        """Return what the sandbox is built from: bubblewrap's options without the descriptors of this call."""
        options = [*NAMESPACES, "--new-session", *(["--share-net"] if self._start.network else [])]
        for name, value in self._start.env.items():
            options += ["--setenv", name, value]
        return options + self._start.layout.arguments()

    async def adopt(self, pid: int) -> None:
        """Wait for the inner process, limit it, and let it go. If the set-up failed, `verdict` says so."""
        self._outer = pid
        if self._orphans is not None:
            self._orphans.expect(pid)
        self._close_child_ends()
        self._inner = await self._hear_inner()
        if not self._inner:
            return
        if self._orphans is not None:
            self._orphans.expect(self._inner)
        self._inner_fd = os.pidfd_open(self._inner)
        if self._cgroup is not None:
            # In a thread: moving a process can take the kernel some milliseconds, which other calls need not wait for.
            await anyio.to_thread.run_sync(self._cgroup.add, self._inner)
        wanted = rlimits(self._start.limits)
        if self._start.limit_processes:
            # One for bwrap's own process inside, one so that a tree which is at its limit is seen to be over it.
            wanted[resource.RLIMIT_NPROC] = (self._start.limits.processes + 2, self._start.limits.processes + 2)
        for kind, values in wanted.items():
            resource.prlimit(self._inner, kind, values)
        if self._start.check is not None:
            self._start.check()
        os.write(self._block, b"\n")

    async def _hear_inner(self) -> int:
        loop = asyncio.get_running_loop()
        os.set_blocking(self._status, False)
        heard = asyncio.Event()

        def listen() -> None:
            data = os.read(self._status, 4096)
            self._heard.extend(data)
            if b"\n" in self._heard or not data:
                heard.set()

        loop.add_reader(self._status, listen)
        try:
            async with asyncio.timeout(_SETUP_S):
                await heard.wait()
        except TimeoutError as error:
            raise SandboxUnavailable(f"bubblewrap did not start within {_SETUP_S:g} s") from error
        finally:
            loop.remove_reader(self._status)
        return int(self._messages().get("child-pid", 0))

    def _messages(self) -> dict[str, int]:
        """Return what bwrap has said so far, merged."""
        merged: dict[str, int] = {}
        for line in bytes(self._heard).splitlines():
            with contextlib.suppress(ValueError):
                merged |= {key: value for key, value in json.loads(line).items() if isinstance(value, int)}
        return merged

    def usage(self) -> Usage:
        """Return what the tree uses now."""
        return process_tree.usage(self._members())

    def _members(self) -> list[int]:
        return process_tree.members(self._inner) if self._inner else []

    def breach(self, usage: Usage, *, ended: bool = False) -> str | None:
        """Name a limit that was reached, by the kernel's count where it keeps one, else by ours."""
        limits = self._start.limits
        if self._cgroup is not None and (hit := self._cgroup.breach()) is not None:
            return hit
        controllers = self._cgroup.controllers if self._cgroup is not None else frozenset[str]()
        if "pids" not in controllers and usage.threads > limits.processes + 1:
            return "processes"
        if usage.cpu_ms > limits.cpu_s * 1000:
            return "cpu"
        if "memory" not in controllers and usage.memory > limits.memory_mb << 20:
            return "memory" if process_tree.proportional_memory(self._members()) > limits.memory_mb << 20 else None
        if self._inner_fd >= 0:
            self._storage.look(f"/proc/{self._inner}/root")
        return "disk" if self._storage.exceeds(limits.disk_mb << 20, count_now=ended) else None

    def signal(self, number: int) -> None:
        """Signal the command's process group. SIGKILL ends the process namespace, and so everything in it."""
        if number != signal.SIGKILL:
            if self._inner:
                self._kill_group(self._inner, number)
            return
        if self._inner_fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._inner_fd, number)
        if self._outer:
            self._kill_group(self._outer, number)

    @staticmethod
    def _kill_group(group: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)

    async def gone(self) -> None:
        """Wait for the first process of the namespace. It ends after all others in it."""
        self._outer = 0  # reaped; its number may belong to somebody else from now on
        if self._inner_fd < 0:
            return
        await anyio.wait_readable(self._inner_fd)
        self._collect()

    def _collect(self) -> None:
        """Reap the ended process, if this server is the parent of orphans. That tells what the tree has used."""
        with contextlib.suppress(ChildProcessError):
            _, _, used = os.wait4(self._inner, os.WNOHANG)
            self._cpu_ms = (used.ru_utime + used.ru_stime) * 1000
            self._memory = used.ru_maxrss * 1024
        if self._orphans is not None:
            self._orphans.forget(self._inner)
        os.close(self._inner_fd)
        self._inner_fd = -1

    def verdict(self, returncode: int, complaint: str) -> tuple[int | None, str | None]:
        """Return how the command ended. Raises `SandboxUnavailable` if bwrap reports that it never began."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._status, 4096):
                self._heard.extend(data)
        code = self._messages().get("exit-code")
        if code is None and returncode >= 0:
            lines = [line for line in complaint.splitlines() if line.startswith("bwrap: ")]
            last = lines[-1] if lines else complaint[-300:]
            if last.startswith(_NO_PROGRAM):  # the sandbox stands, and shows no such program
                raise _not_startable(last.removeprefix(_NO_PROGRAM))
            raise SandboxUnavailable(f"the sandbox could not be set up: {last}")
        if code is None:
            return None, signal_name(-returncode)
        # As shells do, bwrap reports death by signal N as 128 + N.
        return (None, signal_name(code - 128)) if 128 < code < 193 else (code, None)

    def accounted(self, used: resource.struct_rusage) -> Usage:
        """Return the CPU time of everything that ran inside, and the size of the largest process.

        The peak of the started process is left out, because the kernel counts into it what this server held then.
        """
        return Usage(cpu_ms=max(self._cpu_ms, (used.ru_utime + used.ru_stime) * 1000), memory=self._memory)

    def close(self) -> None:
        """Release the descriptors and the control group, and remove what was not kept."""
        self._close_child_ends()
        self._storage.close()
        for fd in (self._status, self._block, self._inner_fd):
            if fd >= 0:
                os.close(fd)
        self._status = self._block = self._inner_fd = -1
        if self._cgroup is not None:
            self._cgroup.close()
        for directory in self._start.temporary:
            remove_tree(directory)

    def keep_changes(self, work: Work) -> LgError | None:
        """Put what the command wrote into the real root, as far as the policy allows. Only for `root = "rw"`."""
        if self._start.layout.upper is None or self._start.keep is None:
            return None
        kept = self._start.keep(f"{self._start.layout.upper}/new", work)
        self.changed_paths, self.change_set = kept.names, kept.changes
        return kept.problem

    def _close_child_ends(self) -> None:
        while self._child_ends:
            os.close(self._child_ends.pop())


def _not_startable(complaint: str) -> NotFound:
    """Return why a program could not be started in a sandbox that stood. `complaint` is its path and the reason."""
    path, _, why = complaint.rpartition(": ")
    interpreter = interpreter_of(path)
    if not interpreter:
        return NotFound(f"{visible(path)} could not be started: {why}", hint="check that it is built for this system")
    return NotFound(
        f"{visible(path)} could not be started: its first line names {visible(interpreter[:300])}, which commands"
        " cannot see",
        hint="if its environment was moved or copied, make it anew",
    )
