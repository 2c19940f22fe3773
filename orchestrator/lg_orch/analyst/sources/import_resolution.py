"""From what an import statement names to the file or directory of this repository that it means.

A statement is resolved only when there is exactly one thing it can mean; the rest is counted, not guessed.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.languages import FAMILIES, extension, family_of
from lg_orch.analyst.sources.roles import role

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lg_orch.analyst.sources.facts import Manifest
    from lg_orch.analyst.sources.imports import Import

_INDEX_NAMES = {"python": "__init__", "js": "index", "rust": "mod"}


@dataclass(kw_only=True)
class ModuleUse:
    """How often a module is imported, and the first place."""

    count: int = 0
    file: str = ""
    line: int = 1


@dataclass(kw_only=True)
class Tally:
    """Imports of this repository's own modules, by path; `unclear` are statements that several files could answer."""

    uses: dict[str, ModuleUse] = field(default_factory=lambda: defaultdict(ModuleUse))
    unclear: int = 0
    unclear_example: str = ""


class Resolver:
    """Knows the code files of the repository and the names its manifests give to directories."""

    def __init__(self, files: Iterable[str], manifests: Sequence[Manifest], *, complete: bool = True) -> None:
        self._complete = complete
        self._files = [path for path in files if role(path) != "vendored"]
        self._known = set(self._files)
        self._by_key: dict[tuple[str, str], list[str]] = defaultdict(list)
        """(family, last name of the module) to files: `a/b.py` and `a/b/__init__.py` are both `b`."""
        for path in self._files:
            family = family_of(path)
            if family is not None:
                self._by_key[family, _parts(path, family)[-1]].append(path)
        self._crates = {name.replace("-", "_"): where for name, where in _named(manifests, "Rust").items()}
        self._npm = _named(manifests, "Node.js")
        self._modules = _named(manifests, "Go")
        self._go_directories = {posixpath.dirname(path) for path in self._files if extension(path) == ".go"}

    def tally(self, imports: Iterable[Import]) -> Tally:
        """Count imports by the one path they can mean."""
        result = Tally()
        for item in imports:
            targets = self.targets(item)
            if len(targets) == 1:
                use = result.uses[targets[0]]
                use.count += item.value.count
                if not use.file:
                    use.file, use.line = item.value.path, item.value.line
            elif targets:
                result.unclear += item.value.count
                result.unclear_example = result.unclear_example or item.value.value.strip()
        return result

    def targets(self, item: Import) -> list[str]:
        """Return every path of this repository that the statement could mean; empty when it means something outside."""
        if item.family == "python":
            return self._python(item)
        if item.family == "js":
            return self._js(item)
        if item.family == "rust":
            return self._rust(item)
        if item.family == "go":
            return self._go(item.name)
        return self._jvm(item.name.split("."))

    def _python(self, item: Import) -> list[str]:
        parts = [part for part in item.name.split(".") if part]
        if item.level == 0:
            return _prefer_code(self._absolute_python(parts))
        base = item.value.path
        for _ in range(item.level):
            base = posixpath.dirname(base)
        exact = self._below(base, parts, "python") or self._below(base, [], "python")
        return self._sure(item, exact, parts)

    def _sure(self, item: Import, exact: list[str], parts: Sequence[str]) -> list[str]:
        """A relative import from several files is sure only if it names a module whose name occurs once.

        `exact` is what the first of these files means by it. Two results stand for "not sure".
        """
        if item.value.files == 1 or not exact:
            return exact
        name = _parts(exact[0], item.family)[-1]
        alone = self._complete and name in parts and len(self._by_key[item.family, name]) == 1
        return exact if alone else [*exact, "elsewhere"]

    def _absolute_python(self, parts: list[str]) -> list[str]:
        found = []
        for top in self._by_key["python", parts[0]]:
            directory, name = posixpath.split(top)
            package = posixpath.dirname(directory) if name.startswith("__init__.") else directory
            if f"{package}/__init__.py".lstrip("/") in self._known:
                continue  # inside a package: it has a longer absolute name
            for length in range(len(parts), 0, -1):
                hit = self._below(package, parts[:length], "python")
                if hit:
                    found += hit
                    break
        return found

    def _below(self, base: str, parts: list[str], family: str) -> list[str]:
        """The module file or package index at `base/parts`, as a list of none or one."""
        stem = posixpath.join(base, *parts)
        index = posixpath.join(stem, _INDEX_NAMES[family])
        for name in (stem, index):
            for ending in FAMILIES[family]:
                if f"{name}{ending}" in self._known:
                    return [f"{name}{ending}"]
        return []

    def _js(self, item: Import) -> list[str]:
        if not item.name.startswith("."):
            directory = self._npm.get(item.name)
            inside = directory is not None and f"{item.value.path}/".startswith(f"{directory}/".lstrip("/"))
            # A package seldom imports itself; where its name stands in its own files it is mostly in a comment.
            return [directory or "."] if directory is not None and not inside else []
        exact = self._js_file(posixpath.dirname(item.value.path), item.name)
        return self._sure(item, exact, [part.partition(".")[0] for part in item.name.split("/") if part])

    def _js_file(self, base: str, name: str) -> list[str]:
        path = posixpath.normpath(posixpath.join(base, name))
        if path in self._known:
            return [path]
        stem, ending = posixpath.splitext(path)
        if ending in (".js", ".mjs", ".cjs", ".jsx"):  # TypeScript sources are imported under their built names
            found = self._below("", [stem], "js")
            if found:
                return found
        return self._below("", [path], "js")

    def _rust(self, item: Import) -> list[str]:
        parts = [part for part in item.name.split("::") if part]
        if parts[0] in ("self", "super", "std", "core", "alloc"):
            return []
        if parts[0] == "crate":
            return self._rust_own(item, parts[1:])
        directory = self._crates.get(parts[0])
        if directory is None or self._crate_of(item.value.path) == directory:
            return []
        return self._rust_file(directory, parts[1:]) or [directory or "."]

    def _rust_own(self, item: Import, parts: list[str]) -> list[str]:
        """A module of the file's own crate; each file in `tests/` or `examples/` is the root of a crate of its own."""
        path = item.value.path
        if role(path) == "code":
            exact = self._rust_file(self._crate_of(path), parts)
        else:
            exact = self._below(posixpath.dirname(path), parts[:1], "rust")
        return self._sure(item, exact, parts)

    def _crate_of(self, path: str) -> str:
        inside = [crate for crate in self._crates.values() if not crate or path.startswith(f"{crate}/")]
        return max(inside, key=len, default="")

    def _rust_file(self, crate: str, parts: list[str]) -> list[str]:
        for length in range(len(parts), 0, -1):
            for source in ("src", ""):
                hit = self._below(posixpath.join(crate, source), parts[:length], "rust")
                if hit:
                    return hit
        return []

    def _go(self, name: str) -> list[str]:
        for module, directory in self._modules.items():
            if name == module or name.startswith(f"{module}/"):
                path = posixpath.normpath(posixpath.join(directory, name[len(module) + 1 :]))
                path = "" if path == "." else path
                return [path or "."] if path in self._go_directories else []
        return []

    def _jvm(self, parts: list[str]) -> list[str]:
        for length in range(len(parts), 1, -1):  # static imports name members of a class
            tail = "/" + "/".join(parts[:length])
            same = self._by_key["jvm", parts[length - 1]]
            hits = [path for path in same if _at_source_root(f"/{path}".rpartition(".")[0], tail)]
            if hits:
                return _prefer_code(hits)
        return []


def _named(manifests: Sequence[Manifest], ecosystem: str) -> dict[str, str]:
    """Name to directory of every manifest of an ecosystem that gives a name."""
    return {
        item.name.text: item.directory for item in manifests if item.name is not None and item.ecosystem == ecosystem
    }


def _parts(path: str, family: str) -> list[str]:
    """Directory names and module name of a file; an index file counts as its directory."""
    parts = path.rpartition(".")[0].split("/")
    if parts[-1] == _INDEX_NAMES.get(family) and len(parts) > 1:
        parts.pop()
    return parts


def _at_source_root(stem: str, tail: str) -> bool:
    """Whether the package path begins where packages begin: `kotlin.jvm` is not `src/main/kotlin/jvm.kt`."""
    root = stem.removesuffix(tail).rpartition("/")[2]
    return stem.endswith(tail) and root in ("", "java", "kotlin", "scala", "groovy", "src")


def _prefer_code(paths: list[str]) -> list[str]:
    """Product code before tests, examples and documentation, which often repeat its names."""
    code = [path for path in paths if role(path) == "code"]
    return code or paths
