"""What is known about the repository before planning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.base import Strict

if TYPE_CHECKING:
    pass


class DirectoryEntry(Strict):
    """One directory entry."""

    path: str
    type: str
    size: int | None = None


class ExtensionTotal(Strict):
    """Files of one extension; `""` is none. `directory` is set in the per-directory rows only."""

    extension: str
    files: int
    bytes: int
    lines: int
    directory: str | None = None


class RepoTotals(Strict):
    """`fs__list_files(totals=true)` as it came."""

    files: int
    bytes: int
    lines: int
    directories: int
    binary_files: int = 0
    skipped: int = 0
    hidden: int = 0
    """Entries that the file rules hide."""
    extensions: tuple[ExtensionTotal, ...] = ()
    rows: tuple[ExtensionTotal, ...] = ()
    """Per directory and extension, rolled up into ancestors at `depth`."""
    depth: int | None = None
    partial: str | None = None
    """Why the numbers are incomplete, or null."""
    digest: str | None = None
    """SHA-256 over the names and contents of the files that the tools see, as `lg_fs.tree.tree_digest` defines it."""
    digest_missing: str | None = None
    """Why there is none."""


class Command(Strict):
    """One command of the command server."""

    name: str
    description: str = ""
    approval: bool = False
    """A human is asked each time."""
    reason: str = ""
    """Why it cannot be run here; empty when it can."""
    args_allow: tuple[str, ...] = ()
    """The arguments that its template allows; empty when nobody asked."""
    timeout_s: float = 0.0
    """Seconds after which it is ended; 0 when nobody asked."""
    environment: str = ""
    """The project's environment that it comes from, and what names it."""
    root: str = ""
    """How it sees the root: `overlay`, `ro` or `rw`; empty when nobody asked."""


class Package(Strict):
    """A directory with manifests of its own, and how it is tested."""

    path: str
    """Relative to the root; "" is the root itself."""
    manifests: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """`python`, `pytest` (it is asked for), `cargo`, `cargo-workspace`, `go`, `npm`, `npm:RUNNER` (its test script
    is that runner alone), `make:test`, `make:check`."""


class RepoContext(Strict):
    """What the context builder found out before any planning; costs no calls of the plan."""

    root_name: str
    root_id: str = ""
    revision: str | None = None
    """The commit checked out, when it could be read."""
    totals: RepoTotals | None = None
    top_level: tuple[DirectoryEntry, ...] = ()
    top_level_truncated: bool = False
    problems: tuple[str, ...] = ()
    """What could not be found out, in words for the report."""
    paths: tuple[str, ...] = ()
    """Every file of a small repository; empty for a large one."""
    commands: tuple[Command, ...] = ()
    """What the command server knows, also what it cannot run here; empty when nobody asked."""
    scripts: tuple[str, ...] = ()
    """Names of package.json's scripts that do something, and of the Makefile's targets as `make:NAME`."""
    runtimes: tuple[str, ...] = ()
    """Languages and the versions that the manifests ask for."""
    packages: tuple[Package, ...] = ()
    """Packages below the root, and the root, as far as their manifests say how they are tested; sorted by path."""
    code_map: str = ""
    """The most important symbols by file, where a server knows the code; empty otherwise."""
    guide: str = ""
    """The repository's own advice (`AGENTS.md`), only if the user accepted this very text."""
