"""What `run` works with: the limits, the container of a command, and how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lg_policy.limits import HeadTail
from lg_policy.sandbox.process_tree import Usage

if TYPE_CHECKING:
    import resource
    from pathlib import Path

    from lg_exec.process.worker_thread import Work
    from lg_policy.changes.records import FileRecord
    from lg_policy.errors import LgError

OnOutput = Callable[[str], Awaitable[None]]
"""Called with new output while the command runs, and with a sign of life when there is none for a while."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one call, in seconds, mebibytes and counts. `disk_mb` is for storage that is thrown away."""

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
    """How a command ended. Either `exit_code` or `signal` is set. `limit_hit` names the limit that was reached."""

    exit_code: int | None
    signal: str | None
    stdout: HeadTail
    stderr: HeadTail
    wall_ms: int
    cpu_ms: int
    peak_memory_mb: float
    limit_hit: str | None
    not_kept: LgError | None = None
    """Why the changes of a command with `root = "rw"` were not kept."""


@dataclass(frozen=True, kw_only=True)
class ChangeSet:
    """What the journal of change sets has of a command's changes. Either `change_id` or `why_not` is set."""

    change_id: str | None = None
    files: tuple[FileRecord, ...] = ()
    why_not: str = ""
    """Why these changes cannot be taken back."""
    entry: Path | None = None
    """Its directory in the journal, until it is finished."""


class Container(Protocol):
    """How one command is started, limited, signalled and found. Used once, then closed."""

    @property
    def argv(self) -> Sequence[str]:
        """Return the program to start and its arguments."""

    @property
    def env(self) -> Mapping[str, str]:
        """Return its whole environment."""

    @property
    def cwd(self) -> str | None:
        """Return its working directory; `None` for this server's own."""

    @property
    def pass_fds(self) -> Sequence[int]:
        """Return descriptors that it inherits."""

    @property
    def user(self) -> int | None:
        """Return the user, and the group of the same number, to run as; `None` to stay."""

    @property
    def group(self) -> int | None:
        """Return the group to run as."""

    @property
    def uncounted(self) -> Collection[str]:
        """Return limits that are known to be reached only from the command's own error message."""

    @property
    def changed_paths(self) -> tuple[str, ...] | None:
        """Return what changed below the root, after the end, if the command could change it."""

    @property
    def change_set(self) -> ChangeSet | None:
        """Return what the journal has of these changes; `None` if nothing was changed."""

    async def adopt(self, pid: int) -> None:
        """Take over the process that was just started: apply the limits, then let the command begin.

        Raises `SandboxUnavailable` when the sandbox could not be set up.
        """

    def usage(self) -> Usage:
        """Return what the tree uses now."""

    def breach(self, usage: Usage, *, ended: bool = False) -> str | None:
        """Return the name of a limit that the tree has reached, except time. May be slow: call it in a thread."""

    def signal(self, number: int) -> None:
        """Send a signal to the tree; SIGKILL reaches every process of it."""

    async def gone(self) -> None:
        """Return when no process of the tree is left. The started process was reaped; this reaps others that are ours.

        Called after SIGKILL was sent. It does not return if a process cannot be ended.
        """

    def verdict(self, returncode: int, complaint: str) -> tuple[int | None, str | None]:
        """Return the command's exit code or signal name, from return code and stderr of the process that was started.

        Raises `SandboxUnavailable` when the command never began.
        """

    def accounted(self, used: resource.struct_rusage) -> Usage:
        """Return what the tree has used in total and at its peak. `used` is what the started process reported."""

    def keep_changes(self, work: Work) -> LgError | None:
        """Keep the changes of a command that has ended within its limits, if its template says so.

        Called in a thread. Returns why nothing was kept. Raises only `StoppedError`.
        """

    def close(self) -> None:
        """Release descriptors and groups, and remove what the command wrote. Called in a thread."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds between SIGTERM and SIGKILL, and between two progress messages: at least, and at most."""

    grace_s: float
    progress_s: float
    silence_s: float = 15
