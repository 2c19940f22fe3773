"""What the parts of the analyst hand to each other: a value and the place it was read at."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class FoundValue:
    """A value, and the line (1-based) of the file it stands in."""

    text: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """One declared dependency; `range` is empty when the manifest names none."""

    name: str
    range: str
    group: str
    """`runtime`, `build`, `dev`, or the extra's or group's own name as the manifest spells it."""
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class EntryPoint:
    """One way into the program: `kind` in words, its name, and what it starts."""

    kind: str
    name: str
    target: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class TestCommand:
    """How tests are run, as a file of the repository says or as the build tool always does."""

    __test__ = False  # not a test class, although pytest would think so by its name

    command: str
    why: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What one manifest says. Everything that it does not say is None or empty."""

    file: str
    ecosystem: str
    name: FoundValue | None = None
    version: FoundValue | None = None
    description: FoundValue | None = None
    licence: FoundValue | None = None
    requires: FoundValue | None = None
    """The language or runtime version asked for, in the manifest's words."""
    dependencies: tuple[Dependency, ...] = ()
    entries: tuple[EntryPoint, ...] = ()
    tests: tuple[TestCommand, ...] = ()
    members: tuple[FoundValue, ...] = ()
    """Patterns or directories of a workspace, relative to the manifest."""
    packages: tuple[FoundValue, ...] = ()
    """Directories or modules that the manifest itself calls its packages, relative to the manifest."""
    version_files: tuple[str, ...] = ()
    """Where the version may stand when the manifest only refers to it, relative to the root; the first that exists."""
    problems: tuple[str, ...] = ()
    unread: tuple[FoundValue, ...] = ()
    """What it says of dependencies, members or scripts, and what only running it or reading another file would tell."""
    includes: tuple[FoundValue, ...] = ()
    """Further files of dependencies that it names, relative to the root."""
    properties: dict[str, str] = field(default_factory=dict)
    """Named values that other manifests may refer to (Maven properties)."""

    @property
    def directory(self) -> str:
        """The directory the manifest describes, relative to the root; empty for the root."""
        return self.file.rpartition("/")[0]
