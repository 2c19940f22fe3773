"""The sandbox on macOS: `sandbox-exec` with a profile that denies by default. UNTESTED: it was never run on a Mac.

It is written from the profile language as Apple's own profiles and widely used sandboxes show it. Like every backend it
counts as a sandbox only where its probes are refused. It cannot do all that bubblewrap does:

* There is no copy-on-write view. A root is read-only for `overlay` as for `ro`, and `rw` is refused.
* There are no process, network or user namespaces. Other processes can be listed. Loopback is closed, because it would
  be the host's own. A process that leaves its group and replaces its environment is not found again.
* Memory and the number of processes are not limited. Time, CPU, open files and file size are, by rlimits per process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lg_exec.process.environment import SYSTEM_PATH, base_environment
from lg_exec.sandbox import scratch_directory
from lg_exec.sandbox.interface import CommandJob, ContainmentReport
from lg_exec.sandbox.unconfined import Unconfined
from lg_policy.errors import SandboxUnavailable
from lg_policy.sandbox.hidden_paths import NO_MASKS

if TYPE_CHECKING:
    from lg_exec.process.worker_thread import Work
    from lg_exec.sandbox.bubblewrap_backend import SandboxRoot
    from lg_policy.sandbox.hidden_paths import Masks

SANDBOX_EXEC = "/usr/bin/sandbox-exec"
_SYSTEM = (
    "/System", "/usr", "/bin", "/sbin", "/Library/Developer", "/Library/Frameworks", "/Library/Apple",
    "/private/etc/ssl", "/private/etc/localtime", "/private/var/db/timezone", "/private/var/db/dyld",
    "/private/var/select", "/opt/homebrew",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_BASE = """(version 1)
(deny default)
(allow process-fork)
(allow process-exec)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow sysctl-read)
(allow file-read-metadata)
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow pseudo-tty)
"""


class SeatbeltBackend:
    """Runs jobs under `sandbox-exec`. The probes decide whether it counts as a sandbox."""

    overlays = False
    filters = False

    def __init__(self, place: SandboxRoot) -> None:
        self._place = place
        self.probes: Mapping[str, str] = {}
        limits = dict.fromkeys(("memory", "processes"), "not limited on macOS")
        self.report = ContainmentReport(
            active=True,
            backend="sandbox-exec (untested)",
            enforced={**limits, "cpu": "rlimit per process", "root": "ro only: macOS has no overlays"},
        )

    def contain(self, job: CommandJob, work: Work | None = None) -> Unconfined:
        """Prepare one job. Raises `SandboxUnavailable` for a writable root, and `LimitExceeded`."""
        self._place.check()
        if job.root_mode == "rw":
            raise SandboxUnavailable('macOS has no overlays, so root = "rw" does not work', hint='use root = "ro"')
        root = self._place.root
        scratch_directory.ensure(self._place.scratch)
        private = os.path.realpath(tempfile.mkdtemp(prefix="call-", dir=self._place.scratch))
        skip = {place[len(root) + 1 :] for place in job.environments if place.startswith(f"{root}/")}
        text = profile(
            root=root,
            readable=(*_SYSTEM, *job.program.prefixes, *job.environments),
            private=private,
            masks=self._place.masks.find(skip, work) if job.masked else NO_MASKS,
            network=job.network,
        )
        path = ":".join(dict.fromkeys((os.path.dirname(job.program.path), *SYSTEM_PATH)))
        env = base_environment(home=private, tmp=private, path=path, network=job.network)
        return Unconfined(
            argv=(SANDBOX_EXEC, "-p", text, job.program.path, *job.args),
            env={**env, **job.program.env, **job.env, **self._place.mark},
            cwd=os.path.join(root, job.cwd),
            limits=job.limits,
            orphans=self._place.orphans,
            private=private,
        )


def profile(*, root: str, readable: Sequence[str], private: str, masks: Masks, network: bool) -> str:
    """Return the profile. Later rules win. Every path is quoted, so that no name can end its string."""
    return _BASE + "\n".join(_rules(root, readable, private, masks, network)) + "\n"


def _rules(root: str, readable: Sequence[str], private: str, masks: Masks, network: bool) -> Iterator[str]:
    for path in dict.fromkeys((*readable, root)):
        yield f"(allow file-read* (subpath {_quoted(path)}))"
    for path in _DEVICES:
        yield f"(allow file-read* file-write-data (literal {_quoted(path)}))"
    yield f"(allow file-read* file-write* (subpath {_quoted(private)}))"
    for name in masks.hidden_dirs:
        yield f"(deny file-read* file-write* (subpath {_quoted(f'{root}/{name}')}))"
    for name in masks.hidden_files:
        yield f"(deny file-read* file-write* (literal {_quoted(f'{root}/{name}')}))"
    if network:
        yield "(allow network*)"
        yield '(allow mach-lookup (global-name "com.apple.mDNSResponder"))'


def _quoted(path: str) -> str:
    """Return a string of the profile language. Raises `SandboxUnavailable` for a path that cannot be written in it."""
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        raise SandboxUnavailable(f"the path {path!r} holds control characters", hint="rename it")
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
