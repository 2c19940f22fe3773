"""Runs commands without a sandbox on Windows. A job object limits a command and ends all of it, but confines nothing.

Only the settings can ask for that, as for `unconfined` elsewhere, and every result says so. It was tried under Wine
only, which has jobs and ends them, but does not keep their limits.

Not covered: there is no limit on open files and on the size of a file. Windows has no SIGTERM, so a command that is
ended cannot clean up. If this server is killed, the private directory of a call is left.
"""

from __future__ import annotations

import contextlib
import ntpath
import os
import signal
import tempfile
from collections.abc import Collection, Mapping, Sequence

import anyio

from lg_exec.process.container import ChangeSet, Limits
from lg_exec.process.environment import base_environment
from lg_exec.process.worker_thread import Work
from lg_exec.process.written_bytes import Storage
from lg_exec.sandbox import scratch_directory
from lg_exec.sandbox.interface import NOT_LIMITED, CommandJob, ContainmentReport
from lg_exec.windows.job_object import JobObject, limits_of, resume
from lg_policy.changes.removal import remove_tree
from lg_policy.errors import SandboxUnavailable
from lg_policy.sandbox.process_tree import Usage

_NEEDED = (
    "SYSTEMROOT", "WINDIR", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS",
)  # fmt: skip
"""Variables of this server's environment that programs cannot start without, or that describe the machine."""
_ENFORCED = {
    "memory": "job object (committed memory)",
    "processes": "job object",
    "cpu": "job object (user time), sampled",
    "disk": "sampled",
    "open_files": NOT_LIMITED,
    "file_size": NOT_LIMITED,
}


class JobBackend:
    """Runs commands as they are, each in a job object, with a private home and temporary directory."""

    def __init__(self, root: str, scratch: str) -> None:
        self._root = root
        self._scratch = scratch
        self.probes: Mapping[str, str] = {}
        self.report = ContainmentReport(active=False, backend="off", enforced=_ENFORCED)

    def contain(self, job: CommandJob, _work: Work | None = None) -> Jobbed:
        """Prepare one job. Raises `SandboxUnavailable` and `OSError`."""
        scratch_directory.ensure(self._scratch)
        private = tempfile.mkdtemp(prefix="call-", dir=self._scratch)
        env = windows_environment(os.environ, program=job.program.path, private=private, network=job.network)
        return Jobbed(
            argv=(job.program.path, *job.args),
            env={**env, **job.program.env, **job.env},
            cwd=os.path.join(self._root, job.cwd),
            limits=job.limits,
            private=private,
        )


def windows_environment(own: Mapping[str, str], *, program: str, private: str, network: bool) -> dict[str, str]:
    """Return a command's environment. Of this server's `own` it has only what Windows programs need."""
    kept = {name: own[name] for name in _NEEDED if name in own}
    system = own.get("SYSTEMROOT", r"C:\Windows")
    path = ";".join((ntpath.dirname(program), rf"{system}\System32", system))
    places = dict.fromkeys(("TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA"), private)
    return {**base_environment(home=private, tmp=private, path=path, network=network), **kept, **places}


class Jobbed:
    """A command in a job object, with limits and nothing else."""

    user: int | None = None
    group: int | None = None
    pass_fds: tuple[int, ...] = ()
    changed_paths: tuple[str, ...] | None = None
    change_set: ChangeSet | None = None
    uncounted: Collection[str] = ()

    def __init__(self, *, argv: Sequence[str], env: Mapping[str, str], cwd: str, limits: Limits, private: str) -> None:
        self.argv = argv
        self.env = env
        self.cwd: str | None = cwd
        self._limits = limits
        self._private = private
        self._storage = Storage((), private)
        self._pid = 0
        self._job = JobObject(
            limits_of(memory_bytes=limits.memory_mb << 20, processes=limits.processes, cpu_s=limits.cpu_s)
        )

    async def adopt(self, pid: int) -> None:
        """Put the suspended process into the job, then let it run."""
        self._pid = pid
        try:
            self._job.assign(pid)
            resume(pid)
        except OSError as error:
            raise SandboxUnavailable(f"the command was not run: no job object could hold it: {error}") from error

    def usage(self) -> Usage:
        """Return what the job uses now, ended processes included. Its memory is the peak so far."""
        now = self._job.accounting()
        cpu_ms = (now.user_time + now.kernel_time) / 10_000
        return Usage(cpu_ms=cpu_ms, memory=self._job.peak_memory(), threads=now.active_processes)

    def breach(self, usage: Usage, *, ended: bool = False) -> str | None:
        """Name a limit that the job reports, or that its figures have reached."""
        told = self._job.breach()
        if told is not None:
            return told
        if usage.cpu_ms >= self._limits.cpu_s * 1000:
            return "cpu"
        if usage.threads > self._limits.processes:
            return "processes"
        return "disk" if self._storage.exceeds(self._limits.disk_mb << 20, count_now=ended) else None

    def signal(self, _number: int) -> None:
        """End everything, also the process itself if it is not in the job yet. There is no gentler way."""
        self._job.terminate()
        if not self._job.accounting().total_processes and self._pid:
            with contextlib.suppress(OSError):  # it has ended
                os.kill(self._pid, signal.SIGTERM)  # on Windows: TerminateProcess

    async def gone(self) -> None:
        """Wait until the job is empty."""
        while True:
            if not self._job.accounting().active_processes:
                return
            await anyio.sleep(0.002)

    def verdict(self, returncode: int, _complaint: str) -> tuple[int | None, str | None]:
        """Return the exit code. There are no signals."""
        return returncode, None

    def accounted(self, _used: object) -> Usage:
        """Return what the job has used."""
        return self.usage()

    def keep_changes(self, _work: Work) -> None:
        """Do nothing: the command has changed the root itself."""

    def close(self) -> None:
        """Close the job, which ends what is left of it, and remove the private directory."""
        self._job.close()
        remove_tree(self._private)


class Scratch:
    """Takes the place of `Lifeline`. Jobs end with this server by themselves; only the directory has to be removed."""

    pid: int | None = None
    environment: Mapping[str, str] = {}

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch

    def close(self) -> None:
        """Remove the scratch directory."""
        remove_tree(self._scratch)
