"""`Cargo.toml`: packages and workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest, TestCommand
from lg_orch.analyst.sources.manifests.pyproject import range_of
from lg_orch.analyst.sources.manifests.toml_lines import Toml

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPS = {
    "dependencies": "runtime", "dev-dependencies": "dev", "build-dependencies": "build", "dev_dependencies": "dev",
    "build_dependencies": "build",
}  # fmt: skip


def read(file: str, text: str) -> Manifest:
    """Return what the file says; a value that a member inherits is given as `from the workspace`."""
    toml = Toml(text)
    if toml.problem:
        return Manifest(file=file, ecosystem="Rust", problems=(f"{file} {toml.problem}",))
    return Manifest(
        file=file,
        ecosystem="Rust",
        name=_found(toml, file, "package", "name"),
        version=_found(toml, file, "package", "version") or _found(toml, file, "workspace", "package", "version"),
        description=_found(toml, file, "package", "description"),
        licence=_found(toml, file, "package", "license") or _found(toml, file, "workspace", "package", "license"),
        requires=_found(toml, file, "package", "rust-version")
        or _found(toml, file, "workspace", "package", "rust-version")
        or _found(toml, file, "package", "edition"),
        dependencies=tuple(_dependencies(toml, file)),
        entries=tuple(_entries(toml, file)),
        tests=tuple(_tests(toml, file)),
        members=tuple(_members(toml, file)),
        unread=tuple(_unread(toml, file)),
    )


def _unread(toml: Toml, file: str) -> Iterator[FoundValue]:
    """Tables that change what is used, and values of another form."""
    for key in ("patch", "replace"):
        for name in toml.table(key):
            line = toml.line(key, name)
            yield FoundValue(text=f"`[{key}]` puts other sources in place ({name})", file=file, line=line)
    for path in (*((key,) for key in _GROUPS), ("workspace", "dependencies")):
        value = toml.get(*path)
        if value is not None and not isinstance(value, dict):
            name = ".".join(path)
            yield FoundValue(text=f"`{name}` is no table, so it was not read", file=file, line=toml.line(*path))
    members = toml.get("workspace", "members")
    if members is not None and not isinstance(members, list):
        line = toml.line("workspace", "members")
        yield FoundValue(text="`members` is no list, so it was not read", file=file, line=line)


def _found(toml: Toml, file: str, *path: str) -> FoundValue | None:
    value = toml.get(*path)
    if isinstance(value, dict) and value.get("workspace") is True:
        inherited = _found(toml, file, "workspace", "package", path[-1])
        return inherited or FoundValue(text="from the workspace", file=file, line=toml.line(*path))
    if path[-1] == "edition" and isinstance(value, str) and value[:1].isdigit():
        value = f"edition {value}"
    return FoundValue(text=value, file=file, line=toml.line(*path)) if isinstance(value, str) and value else None


def _dependencies(toml: Toml, file: str) -> Iterator[Dependency]:
    for key, group in _GROUPS.items():
        yield from _group(toml, file, group, key)
        for target in toml.table("target"):
            yield from _group(toml, file, f"{group}, target {target}", "target", target, key)
    yield from _group(toml, file, "workspace", "workspace", "dependencies")


def _group(toml: Toml, file: str, group: str, *path: str) -> Iterator[Dependency]:
    for name, value in toml.table(*path).items():
        optional = isinstance(value, dict) and value.get("optional") is True
        kind = group.replace("runtime", "optional", 1) if optional else group
        yield Dependency(name=name, range=range_of(value), group=kind, file=file, line=toml.line(*path, name))


def _entries(toml: Toml, file: str) -> Iterator[EntryPoint]:
    bins = toml.get("bin")
    for item in bins if isinstance(bins, list) else ():
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            target = item.get("path") if isinstance(item.get("path"), str) else ""
            yield EntryPoint(
                kind="bin", name=item["name"], target=target or "", file=file, line=toml.line("bin", item=item["name"])
            )
    if toml.table("lib"):
        target = toml.text("lib", "path") or ""
        name = toml.text("lib", "name") or toml.text("package", "name") or "lib"
        yield EntryPoint(kind="library", name=name, target=target, file=file, line=toml.line("lib"))


def _tests(toml: Toml, file: str) -> Iterator[TestCommand]:
    for table, command in (("workspace", "cargo test --workspace"), ("package", "cargo test")):
        if toml.table(table):
            why = "Cargo's own test command for a " + table
            yield TestCommand(command=command, why=why, file=file, line=toml.line(table))
            return


def _members(toml: Toml, file: str) -> Iterator[FoundValue]:
    value = toml.get("workspace", "members")
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            yield FoundValue(text=item, file=file, line=toml.line("workspace", "members", item=item))
