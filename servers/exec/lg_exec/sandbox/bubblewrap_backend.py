"""The bubblewrap backend: chooses the program and the limits, and turns a job into a sandboxed command."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lg_exec.process.environment import SYSTEM_PATH, base_environment
from lg_exec.process.worker_thread import Work
from lg_exec.sandbox import mask_layer, scratch_directory
from lg_exec.sandbox.bubblewrap_command import Sandboxed, Start
from lg_exec.sandbox.interface import CommandJob, ContainmentReport
from lg_exec.sandbox.layout import HOME, TMP, Layout
from lg_exec.sandbox.lifeline import GROUPS
from lg_exec.sandbox.python_bytecode import PythonBytecode, shared_folder, with_prefix
from lg_policy.changes.removal import remove_tree
from lg_policy.errors import SandboxUnavailable
from lg_policy.sandbox import seccomp
from lg_policy.sandbox.bubblewrap import NEWER, Binary
from lg_policy.sandbox.cgroups import Group, Hierarchy
from lg_policy.sandbox.hidden_paths import NO_MASKS
from lg_policy.sandbox.system_view import accounts_complete, write_accounts

if TYPE_CHECKING:
    from lg_exec.process.orphans import Orphans
    from lg_exec.sandbox.linked_worktree import LinkedWorktree
    from lg_exec.write_back.carrier import Carrier, Kept
    from lg_policy.sandbox.hidden_paths import MaskFinder

_CACHES = {
    "RUFF_CACHE_DIR": f"{TMP}/.cache/ruff",
    "MYPY_CACHE_DIR": f"{TMP}/.cache/mypy",
    "CARGO_TARGET_DIR": f"{TMP}/.cache/target",
}
"""Where programs put their caches, because the root is read-only."""
_BYTECODE = f"{TMP}/.cache/pycache"
"""Where Python looks for bytecode instead of beside its sources."""
_SYSTEM = ("/usr", "/usr/local")
"""Where the system keeps its own Python."""


@dataclass(frozen=True, kw_only=True)
class RunAsUser:
    """A user and group to run commands as."""

    user: int
    group: int


@dataclass(frozen=True, kw_only=True)
class SandboxRoot:
    """Where the jobs of one server run: the root, a scratch directory, what hides names and what keeps changes."""

    root: str
    scratch: str
    masks: MaskFinder
    carrier: Carrier
    worktree: LinkedWorktree
    check: Callable[[], None]
    """Raises `Conflict` if the path of the root leads to another directory than at the start."""
    orphans: Orphans | None
    mark: Mapping[str, str] = field(default_factory=dict)


class BubblewrapBackend:
    """Runs jobs in bubblewrap. The probes decide whether it counts as a sandbox."""

    def __init__(
        self, binary: Binary, place: SandboxRoot, hierarchy: Hierarchy | None, identity: RunAsUser | None = None
    ) -> None:
        self._binary = binary
        self._place = place
        self._hierarchy = hierarchy
        self._filter = seccomp.build()
        self._user = identity.user if identity is not None else None
        self._group = identity.group if identity is not None else None
        self._accounts = os.path.join(place.scratch, "accounts")
        self._lock = threading.Lock()
        # Another user cannot look into the cache of this one.
        shared = shared_folder(place.root) if identity is None else None
        self._bytecode = PythonBytecode(shared or os.path.join(place.scratch, "bytecode"))
        self._furnish()
        self.probes: Mapping[str, str] = {}
        self.report = ContainmentReport(active=True, backend=binary.label, enforced=self._enforced())

    def _furnish(self) -> None:
        """Write the files that each sandbox needs. Raises `SandboxUnavailable` and `OSError`."""
        scratch, hierarchy = self._place.scratch, self._hierarchy
        with self._lock:
            if not scratch_directory.ensure(scratch) and accounts_complete(self._accounts):
                return
            write_accounts(self._accounts, HOME)
            with open(os.path.join(scratch, GROUPS), "w", encoding="utf-8") as file:
                file.writelines(f"{prefix}\n" for prefix in set(hierarchy.prefixes.values() if hierarchy else ()))
            if self._user is not None:  # the server is root and the root somebody else's: commands run as that user
                os.chmod(scratch, 0o711)  # noqa: S103  # it must find its files there

    @property
    def filters(self) -> bool:
        """Return whether there is a system call filter for this machine."""
        return self._filter is not None

    @property
    def overlays(self) -> bool:
        """Return whether a root can be shown as a throw-away overlay."""
        return self._binary.overlays

    def _enforced(self) -> Mapping[str, str]:
        named = {key: self._hierarchy.name(key) if self._hierarchy else None for key in ("memory", "pids")}
        return {
            "memory": named["memory"] or "sampled",
            "processes": named["pids"] or ("rlimit and sampled" if self._counts_processes() else "sampled"),
            "cpu": "rlimit per process, sampled for the tree",
            "syscalls": "seccomp" if self._filter is not None else "no filter for this architecture",
            "root": "overlay, ro, rw" if self._binary.overlays else "ro only: this bubblewrap has no overlays",
        }

    def _counts_processes(self) -> bool:
        """Return whether RLIMIT_NPROC binds: not for a real root, and not per user namespace before Linux 5.14."""
        release = os.uname().release.split(".")
        recent = (int(release[0]), int("".join(filter(str.isdigit, release[1])) or 0)) >= (5, 14)
        return recent and (os.geteuid() if self._user is None else self._user) != 0

    def contain(self, job: CommandJob, work: Work | None = None) -> Sandboxed:
        """Prepare one job.

        Raises `LimitExceeded` when the root is too large, `Conflict` when it was replaced, `SandboxUnavailable`,
        `CallTimeout`, and `OSError`.
        """
        work = work or Work()
        self._place.check()
        self._furnish()
        if not self.overlays and job.root_mode != "ro":
            if job.root_mode == "rw":
                raise SandboxUnavailable(
                    f'{self._binary.label} has no overlays, so root = "rw" does not work', hint=NEWER
                )
            job = replace(job, root_mode="ro")  # that is stricter, and results say so
        made: list[str] = []
        try:
            start = self._start(job, work, made)
            group = Group(self._hierarchy, job.limits) if self._hierarchy is not None else None
            return Sandboxed(start, group, self._place.orphans)
        except BaseException:
            for directory in made:
                remove_tree(directory)
            raise

    def _start(self, job: CommandJob, work: Work, made: list[str]) -> Start:
        """Gather what the sandbox is built from; directories that were made for it go into `made`."""
        upper = None
        if job.root_mode == "rw":
            upper = self._upper()
            made.append(upper)
        layout = self._layout(job, upper, work)
        if layout.mask_layer is not None:
            made.append(layout.mask_layer)
        return Start(
            bwrap=self._binary.path,
            layout=layout,
            command=with_prefix(job.program.path, job.args, _BYTECODE),
            env=self._env(job),
            network=job.network,
            seccomp=self._filter,
            limits=job.limits,
            limit_processes=self._counts_processes(),
            user=self._user,
            group=self._group,
            mark=self._place.mark,
            check=self._place.check,
            keep=self._keep(layout, work) if upper is not None else None,
            temporary=tuple(made),
        )

    def _keep(self, layout: Layout, work: Work) -> Callable[[str, Work], Kept]:
        """Remember what is below the root now; what the result is given later is compared with that."""
        carrier = self._place.carrier
        unchangeable = {*layout.bound, *layout.masks.hidden_dirs, *layout.masks.hidden_files}
        before = carrier.begin(unchangeable if layout.mask_layer is None else {*layout.bound}, work)
        return lambda upper, later: carrier.apply(upper, before, later)

    def _layout(self, job: CommandJob, upper: str | None, work: Work) -> Layout:
        root = self._place.root
        skip = {place[len(root) + 1 :] for place in job.environments if place.startswith(f"{root}/")}
        masks = self._place.masks.find(skip, work) if job.masked else NO_MASKS
        layer = None
        if mask_layer.needed(masks):
            if not self.overlays:
                raise SandboxUnavailable(
                    f"{self._binary.label} has no overlays, so it cannot hide the "
                    f"{len(masks.hidden_files) + len(masks.hidden_dirs)} names that match read_deny",
                    hint=NEWER,
                )
            layer = mask_layer.build(masks, root, self._place.scratch, work)
        return Layout(
            root=root,
            mode=job.root_mode,
            cwd=job.cwd,
            prefixes=[prefix for prefix in job.program.prefixes if not _overlap(prefix, root)],
            environments=job.environments,
            masks=masks,
            accounts=self._accounts,
            tmp_bytes=job.limits.disk_mb << 20,
            network=job.network,
            upper=upper,
            mask_layer=layer,
            common=self._place.worktree.common(work) if job.masked else None,
            more=self._shown_bytecode(job, work) if job.masked else (),
        )

    def _shown_bytecode(self, job: CommandJob, work: Work) -> tuple[str, ...]:
        return self._bytecode.arguments(_BYTECODE, (*_SYSTEM, *job.program.prefixes, *job.environments), work)

    def _env(self, job: CommandJob) -> dict[str, str]:
        tools = [f"{prefix}/bin" for prefix in job.program.prefixes if os.path.isdir(f"{prefix}/bin")]
        places = [f"{own}/.bin" if own.endswith("node_modules") else f"{own}/bin" for own in job.environments]
        path = ":".join(dict.fromkeys([*places, os.path.dirname(job.program.path), *tools, *SYSTEM_PATH]))
        env = base_environment(home=HOME, tmp=TMP, path=path, network=job.network)
        venv = [own for own in job.environments if os.path.isfile(f"{own}/pyvenv.cfg")]
        if venv:
            env |= {"VIRTUAL_ENV": venv[0], "UV_PROJECT_ENVIRONMENT": venv[0]}
        env["PYTHONPYCACHEPREFIX"] = _BYTECODE
        return {**env, **(_CACHES if job.root_mode == "ro" else {}), **job.program.env, **job.env}

    def _upper(self) -> str:
        upper = tempfile.mkdtemp(prefix="upper-", dir=self._place.scratch)
        for name in ("new", "work"):
            os.mkdir(f"{upper}/{name}", 0o755)
            if self._user is not None and self._group is not None:
                os.chown(f"{upper}/{name}", self._user, self._group)
        if self._user is not None:
            os.chmod(upper, 0o711)  # noqa: S103  # likewise
        return upper


def identities(root: str) -> Iterator[RunAsUser | None]:
    """Yield the users that commands may run as, the best first. If this server is root, that is the root's owner.

    Then it is this user. The owner may be unable to reach the interpreter, or to get limits: the probes find out.
    """
    owner = os.stat(root)
    if os.geteuid() == 0 and owner.st_uid != 0:
        yield RunAsUser(user=owner.st_uid, group=owner.st_gid)
    yield None


def _overlap(prefix: str, root: str) -> bool:
    """Return whether the prefix lies inside the root (visible already) or around it (would undo the masks)."""
    return f"{prefix}/".startswith(f"{root}/") or f"{root}/".startswith(f"{prefix}/")
