"""Readers of manifests: text in, a `Manifest` with lines out; broken input is a stated problem, never an error."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.manifests import (
    cargo,
    gomod,
    gradle,
    make,
    node,
    pom,
    pyproject,
    python_other,
    setup_py,
    workspace_yaml,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_orch.analyst.sources.evidence import FileText
    from lg_orch.analyst.sources.facts import Manifest

_READERS: dict[str, Callable[[str, str], Manifest | None]] = {
    "pyproject.toml": pyproject.read,
    "setup.cfg": python_other.read_setup_cfg,
    "setup.py": setup_py.read,
    "tox.ini": python_other.read_tox,
    "pytest.ini": python_other.read_tox,
    "noxfile.py": python_other.read_nox,
    "package.json": node.read,
    "pnpm-workspace.yaml": workspace_yaml.read,
    "cargo.toml": cargo.read,
    "go.mod": gomod.read,
    "go.work": gomod.read_work,
    "pom.xml": pom.read,
    "build.gradle": gradle.read,
    "build.gradle.kts": gradle.read,
    "settings.gradle": gradle.read_settings,
    "settings.gradle.kts": gradle.read_settings,
    "libs.versions.toml": gradle.read_catalog,
    "makefile": make.read_make,
    "justfile": make.read_make,
}

GLOBS: tuple[str, ...] = (*_READERS, "requirements*.txt", "**/requirements/*.txt")
"""What to list in order to find every manifest, at any depth."""

FOREIGN: tuple[str, ...] = (
    "*.gemspec", "Gemfile", "mix.exs", "Package.swift", "*.sln", "*.csproj", "*.fsproj", "*.vbproj", "packages.config",
    "composer.json", "pubspec.yaml", "Pipfile", "environment.yml", "conanfile.txt", "conanfile.py", "vcpkg.json",
    "CMakeLists.txt", "meson.build", "build.sbt", "project.clj", "deps.edn", "rebar.config", "*.cabal",
    "build.zig.zon", "deno.json", "deno.jsonc", "Podfile", "MODULE.bazel",
)  # fmt: skip
"""Manifests of other ecosystems. Those at the root are listed, so that a report can say that they were not read."""


def is_foreign(path: str) -> bool:
    """Whether it is a manifest for which there is no reader."""
    return any(fnmatchcase(path.rpartition("/")[2], glob) for glob in FOREIGN)


def reader_of(path: str) -> Callable[[str, str], Manifest | None] | None:
    """Return the reader for this file name, or None when it is not a manifest."""
    name = path.rpartition("/")[2].lower()
    if name.endswith(".txt") and (
        name.startswith("requirements") or path.lower().rpartition("/")[0].rpartition("/")[2] == "requirements"
    ):
        return python_other.read_requirements
    return _READERS.get(name)


def read_manifest(file: FileText, *, included: bool = False) -> Manifest | None:
    """Return the manifest in this file, or None when its name is not a manifest's or it only has such a name.

    `included`: another file calls it a file of requirements, whatever its name is.
    """
    reader = reader_of(file.path) or (python_other.read_requirements if included else None)
    return reader(file.path, file.text) if reader is not None else None
