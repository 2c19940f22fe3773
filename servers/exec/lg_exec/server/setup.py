"""From flags to a working executor: settings, root, scratch directory, and the backend that works on this machine."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from lg_exec.process.environment import Programs
from lg_exec.process.orphans import Orphans
from lg_exec.process.root_identity import refuse_replaced
from lg_exec.process.worker_thread import Work
from lg_exec.sandbox.interface import Backend, NoBackend
from lg_exec.sandbox.lifeline import Lifeline
from lg_exec.sandbox.linked_worktree import LinkedWorktree
from lg_exec.server.executor import Executor
from lg_exec.write_back.carrier import Carrier, StateFiles
from lg_policy.config.loading import closed_to_changes, load_settings
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.sandbox.hidden_paths import MaskFinder
from lg_policy.state import open_state, refuse_around_settings, root_id, root_lock, state_home

if TYPE_CHECKING:
    from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend, SandboxRoot
    from lg_exec.sandbox.interface import RootDirectory
    from lg_exec.sandbox.seatbelt import SeatbeltBackend
    from lg_exec.windows.job_backend import Scratch
    from lg_policy.config.flags import CommonFlags
    from lg_policy.config.settings import FsSettings, Settings

log = logging.getLogger(__name__)

RECOVER_S = 10.0
"""Seconds that undoing interrupted changes may delay the start; after that, the next change tries again."""


@dataclass(kw_only=True)
class Assembly:
    """The parts of a running server. Closing it ends what commands have left, and removes the scratch directory."""

    root: RootDirectory
    settings: Settings
    executor: Executor
    programs: Programs
    sources: tuple[str, ...]
    lifeline: Lifeline | Scratch

    @property
    def why(self) -> str:
        """Say why no sandbox is active; empty if one is."""
        backend = self.executor.backend
        if backend.report.active:
            return ""
        return (
            '[exec] sandbox = "off"' if backend.report.backend == "off" else str(getattr(backend, "why", "none works"))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.root.close()
        self.lifeline.close()


def assemble(flags: CommonFlags, sandbox: str | None, *, default_root: Path) -> Assembly:
    """Build everything that a server needs, and probe the sandbox. Raises `ConfigError`."""
    overrides: dict[str, Any] = {"exec": {"sandbox": sandbox}} if sandbox else {}
    loaded = load_settings(
        profile=flags.profile, config=flags.config, effective=flags.effective_config, overrides=overrides
    )
    with ExitStack() as undo:
        root = _open_root(flags.root or default_root, allow_broad=flags.allow_broad_root)
        undo.callback(root.close)
        refuse_around_settings(root.path)
        loaded = closed_to_changes(loaded, root.path, (flags.config,))
        scratch = tempfile.mkdtemp(prefix="lg-exec-")
        lifeline = _lifeline(scratch)
        undo.callback(lifeline.close)
        orphans = Orphans()
        if lifeline.pid is not None:
            orphans.expect(lifeline.pid)
        programs = Programs(root.path, loaded.settings.exec.environment, environ=os.environ)
        backend = choose_backend(loaded.settings, root, scratch, orphans, lifeline.environment, flags.state_dir)
        assembly = Assembly(
            root=root,
            settings=loaded.settings,
            executor=Executor(root, loaded.settings, backend, programs),
            programs=programs,
            sources=loaded.sources,
            lifeline=lifeline,
        )
        undo.pop_all()
        return assembly


def _open_root(path: Path, *, allow_broad: bool) -> RootDirectory:
    if sys.platform == "win32":
        from lg_exec.windows.checked_root import CheckedRoot

        return CheckedRoot(path, allow_broad=allow_broad)
    return Root(path, allow_broad=allow_broad)


def _lifeline(scratch: str) -> Lifeline | Scratch:
    if sys.platform == "win32":
        from lg_exec.windows.job_backend import Scratch

        return Scratch(scratch)
    return Lifeline(scratch)


def kinds(sandbox: str, platform: str) -> tuple[str, ...]:
    """Return the backends that may be used on a platform, best first. Unconfined ones only if `sandbox` is "off"."""
    if sandbox == "off":
        return ("job",) if platform == "win32" else ("unconfined",)
    return {"linux": ("bubblewrap",), "darwin": ("seatbelt",)}.get(platform, ())


def choose_backend(
    settings: Settings,
    root: RootDirectory,
    scratch: str,
    orphans: Orphans | None,
    mark: Mapping[str, str],
    state_dir: Path | None = None,
) -> Backend:
    """Return a backend that works on this machine, never a weaker one than the settings ask for."""
    allowed = kinds(settings.exec.sandbox, sys.platform)
    if "job" in allowed:
        from lg_exec.windows.job_backend import JobBackend

        return JobBackend(str(root.path), scratch)
    if "unconfined" in allowed:
        from lg_exec.sandbox.unconfined import UnconfinedBackend

        return UnconfinedBackend(str(root.path), scratch, orphans, mark)
    if not allowed or not isinstance(root, Root):
        return NoBackend(f"there is no sandbox for {sys.platform}")
    from lg_exec.sandbox.probes import attempt, failures

    reasons = []
    place = make_place(settings, root, scratch, orphans, mark, state_dir)
    place.carrier.recover(_state_path(root.path, state_dir) / "exec" / root.id, Work(RECOVER_S, "recovery"))
    for backend in _candidates(place):
        backend.probes = anyio.run(attempt, backend, str(root.path))
        failed = failures(backend.probes)
        if not failed:
            return backend
        reasons.append(f"{backend.report.backend}: {'; '.join(failed)}")
        log.info("not used as a sandbox: %s", reasons[-1])
    return NoBackend("; ".join(reasons) if reasons else "bubblewrap is not installed")


def _candidates(place: SandboxRoot) -> Iterator[BubblewrapBackend | SeatbeltBackend]:
    """Return the sandboxes that may work on this system, best first."""
    if sys.platform == "darwin":
        from lg_exec.sandbox.seatbelt import SeatbeltBackend

        yield SeatbeltBackend(place)
    elif sys.platform == "linux":
        from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend, identities
        from lg_policy.sandbox.bubblewrap import binaries
        from lg_policy.sandbox.cgroups import find_hierarchy

        hierarchy = find_hierarchy()
        for binary, identity in product(binaries(), identities(place.root)):
            yield BubblewrapBackend(binary, place, hierarchy, identity)


def make_place(
    settings: Settings,
    root: Root,
    scratch: str,
    orphans: Orphans | None,
    mark: Mapping[str, str] | None = None,
    state_dir: Path | None = None,
) -> SandboxRoot:
    """Say where jobs run, which names are hidden from them, and which changes are kept."""
    from lg_exec.sandbox.bubblewrap_backend import SandboxRoot

    traces = f"/{settings.trace.output_dir}"
    path = str(root.path)
    hide = (*settings.policy.read_deny, traces)
    return SandboxRoot(
        root=path,
        scratch=scratch,
        masks=MaskFinder(path, hide=hide, protect=settings.policy.write_deny),
        carrier=Carrier(
            root,
            FileRules.from_settings(settings.policy, extra_deny=(traces,)),
            partial(_state_files, root.path, state_dir, settings.fs),
        ),
        worktree=LinkedWorktree(path, hide),
        check=partial(refuse_replaced, path, root.fd),
        orphans=orphans,
        mark=mark or {},
    )


def _state_path(root: Path, explicit: Path | None) -> Path:
    """Return the state directory, which is not made by looking into it."""
    return explicit.absolute() if explicit is not None else state_home() / root_id(root)


def _state_files(root: Path, explicit: Path | None, settings: FsSettings) -> StateFiles:
    """Return where a carrier keeps its record, and what it locks: the same files as `lg-fs`, in the same order."""
    from lg_policy.changes.journal import Journal

    state, own = open_state(root=root, explicit=explicit).path, root_id(root)
    common = root_lock(root)
    locks = [state / "fs" / own / "lock", *([common] if common is not None else [])]
    return StateFiles(directory=state / "exec" / own, locks=locks, journal=Journal(state / "fs" / own, settings))
