"""Runs commands without a sandbox. Only the settings can ask for that, and every result says so.

Commands are limited but not contained: they can read and change whatever this server's user can, and reach the network.

Not covered: a process that leaves its process group and replaces its environment is not found again.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence

import anyio

from lg_exec.process.container import ChangeSet, Limits
from lg_exec.process.environment import SYSTEM_PATH, base_environment
from lg_exec.process.orphans import MARKER, Orphans
from lg_exec.process.worker_thread import Work
from lg_exec.process.written_bytes import Storage
from lg_exec.sandbox import scratch_directory
from lg_exec.sandbox.interface import CommandJob, ContainmentReport
from lg_policy.changes.removal import remove_tree
from lg_policy.sandbox import process_tree
from lg_policy.sandbox.process_tree import Usage

_DOUBTFUL_ROUNDS = 50  # a process that has no environment for so long has emptied it

# The shell sets the limits and becomes the command. Unlike `preexec_fn` that is safe with threads, and works on macOS.
_SHELL = 'ulimit -Sc 0; ulimit -Sn "$1"; ulimit -Hn "$1"; ulimit -Sf "$2"; ulimit -St "$3"; shift 3; exec "$@"'


def rlimits(limits: Limits) -> dict[int, tuple[int, int]]:
    """Return the limits per process, soft and hard, as far as this system knows them."""
    cpu = max(1, int(limits.cpu_s))
    wanted = {
        resource.RLIMIT_CPU: (cpu, cpu + 5),
        resource.RLIMIT_FSIZE: (limits.file_mb << 20, limits.file_mb << 20),
        resource.RLIMIT_NOFILE: (limits.open_files, limits.open_files),
        resource.RLIMIT_CORE: (0, 0),
    }
    capped = {}
    for kind, (soft, hard) in wanted.items():
        highest = resource.getrlimit(kind)[1]
        ceiling = hard if highest == resource.RLIM_INFINITY else min(hard, highest)
        capped[kind] = (min(soft, ceiling), ceiling)
    return capped


class UnconfinedBackend:
    """Runs jobs as they are. Each gets a private home and temporary directory, which is removed afterwards."""

    def __init__(self, root: str, scratch: str, orphans: Orphans | None, mark: Mapping[str, str] | None = None) -> None:
        self._mark = dict(mark or {})
        self._root = root
        self._scratch = scratch
        self._orphans = orphans
        self.probes: Mapping[str, str] = {}
        self.report = ContainmentReport(
            active=False, backend="off", enforced={"memory": "sampled", "processes": "sampled"}
        )

    def contain(self, job: CommandJob, _work: Work | None = None) -> Unconfined:
        """Prepare one job. Raises `SandboxUnavailable` and `OSError`."""
        scratch_directory.ensure(self._scratch)
        private = tempfile.mkdtemp(prefix="call-", dir=self._scratch)
        path = ":".join(dict.fromkeys((os.path.dirname(job.program.path), *SYSTEM_PATH)))
        env = base_environment(home=private, tmp=private, path=path, network=job.network)
        return Unconfined(
            argv=(job.program.path, *job.args),
            env={**env, **job.program.env, **job.env, **self._mark},
            cwd=os.path.join(self._root, job.cwd),
            limits=job.limits,
            orphans=self._orphans,
            private=private,
        )


class Unconfined:
    """A command in a process group of its own, with limits and nothing else."""

    user: int | None = None
    group: int | None = None
    pass_fds: tuple[int, ...] = ()
    changed_paths: tuple[str, ...] | None = None
    change_set: ChangeSet | None = None
    uncounted = ("open_files", "file_size")

    def __init__(
        self,
        *,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        limits: Limits,
        orphans: Orphans | None,
        private: str,
    ) -> None:
        self._private = private
        self._storage = Storage((), private)
        self._limits = limits
        self._orphans = orphans
        self._marker = f"{MARKER}={secrets.token_hex(8)}"
        capped = rlimits(limits)
        numbers = (
            capped[resource.RLIMIT_NOFILE][0],
            capped[resource.RLIMIT_FSIZE][0] // 512,
            capped[resource.RLIMIT_CPU][0],
        )
        self.argv = ("/bin/sh", "-c", _SHELL, "sh", *(str(number) for number in numbers), *argv)
        key, _, value = self._marker.partition("=")
        self.env = {**env, key: value}
        self.cwd: str | None = cwd
        self._pid = 0

    async def adopt(self, pid: int) -> None:
        """Remember the process. The shell in front of the command sets the limits."""
        self._pid = pid
        if self._orphans is not None:
            self._orphans.expect(pid)

    def usage(self) -> Usage:
        """Return what the tree uses now. Processes that have left it are missed until the end."""
        return process_tree.usage(process_tree.members(self._pid))

    def breach(self, usage: Usage, *, ended: bool = False) -> str | None:
        """Name a limit that was reached."""
        if usage.threads > self._limits.processes:
            return "processes"
        if usage.cpu_ms > self._limits.cpu_s * 1000:
            return "cpu"
        over = usage.memory > self._limits.memory_mb << 20
        if over and process_tree.proportional_memory(process_tree.members(self._pid)) > self._limits.memory_mb << 20:
            return "memory"
        return "disk" if self._storage.exceeds(self._limits.disk_mb << 20, count_now=ended) else None

    def signal(self, number: int) -> None:
        """Signal the process group. SIGKILL also reaches what has left it and became a child of this server."""
        # macOS answers EPERM for a group of which only zombies are left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)
        if number == signal.SIGKILL and self._orphans is not None:
            self._orphans.kill(self._marker)

    async def gone(self) -> None:
        """End and reap the orphans of this call, and return when none is left."""
        if self._orphans is None:
            return
        self._orphans.forget(self._pid)
        quiet = doubtful = 0
        while quiet < 2:  # one that is handed over at this moment is seen the second time
            self._orphans.reap()
            found = self._orphans.kill(self._marker)
            doubtful += found is None
            settled = found is False or (found is None and doubtful > _DOUBTFUL_ROUNDS)
            quiet = quiet + 1 if settled else 0
            await anyio.sleep(0.002)

    def verdict(self, returncode: int, _complaint: str) -> tuple[int | None, str | None]:
        """Return the exit code or the signal of the command."""
        return (returncode, None) if returncode >= 0 else (None, signal_name(-returncode))

    def accounted(self, used: resource.struct_rusage) -> Usage:
        """Return what the process used, with those that it waited for.

        A peak below this server's own says nothing, because the kernel counts what the server held at the start.
        """
        known = used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) if known else 0
        return Usage(cpu_ms=(used.ru_utime + used.ru_stime) * 1000, memory=peak)

    def keep_changes(self, _work: Work) -> None:
        """Do nothing: the command has changed the root itself."""

    def close(self) -> None:
        """Remove what was written to the private directory."""
        remove_tree(self._private)


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9, and `signal 40` for a signal without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
