"""From flags to a working executor: settings, root, scratch space, the backend that this machine supports."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lg_exec.environment import Programs
from lg_exec.executor import Executor
from lg_exec.orphans import Orphans
from lg_exec.sandbox import Backend, NoBackend
from lg_exec.unconfined import UnconfinedBackend
from lg_policy.loading import load_settings
from lg_policy.paths import Root

if TYPE_CHECKING:
    from lg_policy.config import Settings
    from lg_policy.flags import CommonFlags


@dataclass(kw_only=True)
class Assembly:
    """The parts of a running server. Closing it removes the scratch directory."""

    root: Root
    settings: Settings
    executor: Executor
    programs: Programs
    sources: tuple[str, ...]
    scratch: str

    @property
    def why(self) -> str:
        """Why no sandbox is active; empty if one is."""
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
        shutil.rmtree(self.scratch, ignore_errors=True)


def assemble(flags: CommonFlags, sandbox: str | None, *, default_root: Path) -> Assembly:
    """Build everything a server needs. Raises `ConfigError`."""
    overrides: dict[str, Any] = {"exec": {"sandbox": sandbox}} if sandbox else {}
    loaded = load_settings(
        profile=flags.profile, config=flags.config, effective=flags.effective_config, overrides=overrides
    )
    root = Root(flags.root or default_root, allow_broad=flags.allow_broad_root)
    scratch = tempfile.mkdtemp(prefix="lg-exec-")
    programs = Programs(root.path, loaded.settings.exec.environment)
    backend = choose_backend(loaded.settings, root, scratch, programs)
    return Assembly(
        root=root,
        settings=loaded.settings,
        executor=Executor(root, loaded.settings, backend, programs),
        programs=programs,
        sources=loaded.sources,
        scratch=scratch,
    )


def choose_backend(settings: Settings, root: Root, scratch: str, programs: Programs) -> Backend:
    """Return the backend that the settings ask for; never a weaker one than they do."""
    del programs
    if settings.exec.sandbox == "off":
        return UnconfinedBackend(str(root.path), scratch, Orphans())
    return NoBackend("no sandbox backend is built in yet")
