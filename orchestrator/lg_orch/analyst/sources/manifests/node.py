"""`package.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest, TestCommand
from lg_orch.analyst.sources.manifests.json_lines import Json

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPS = {
    "dependencies": "runtime",
    "peerDependencies": "peer",
    "optionalDependencies": "optional",
    "devDependencies": "dev",
}
_PLACEHOLDER = 'echo "Error: no test specified"'


def read(file: str, text: str) -> Manifest:
    """Return name, version, scripts, `bin`, `main`, engines, workspaces and the four groups of dependencies."""
    package = Json(text)
    if package.problem:
        return Manifest(file=file, ecosystem="Node.js", problems=(f"{file} {package.problem}",))
    return Manifest(
        file=file,
        ecosystem="Node.js",
        name=_found(package, file, "name"),
        version=_found(package, file, "version"),
        description=_found(package, file, "description"),
        licence=_found(package, file, "license") or _found(package, file, "license", "type"),
        requires=_found(package, file, "engines", "node"),
        dependencies=tuple(
            Dependency(
                name=name,
                range=value if isinstance(value, str) else "",
                group=group,
                file=file,
                line=package.line(key, name),
            )
            for key, group in _GROUPS.items()
            for name, value in package.table(key).items()
        ),
        entries=tuple(_entries(package, file)),
        tests=tuple(_tests(package, file)),
        members=tuple(_members(package, file)),
        unread=tuple(_unread(package, file)),
    )


def _unread(package: Json, file: str) -> Iterator[FoundValue]:
    for key in (*_GROUPS, "scripts", "workspaces"):
        value = package.get(key)
        kinds = (dict, list) if key == "workspaces" else (dict,)
        if value is not None and not isinstance(value, kinds):
            yield FoundValue(text=f"`{key}` has another form than npm reads", file=file, line=package.line(key))
        for name, text in value.items() if key in _GROUPS and isinstance(value, dict) else ():
            if not isinstance(text, str):
                line = package.line(key, name)
                yield FoundValue(text=f"the range of {name!r} in `{key}` is no text", file=file, line=line)


def _found(package: Json, file: str, *path: str) -> FoundValue | None:
    value = package.text(*path)
    return FoundValue(text=value, file=file, line=package.line(*path)) if value else None


def _entries(package: Json, file: str) -> Iterator[EntryPoint]:
    command = package.text("bin")
    if command:
        name = (package.text("name") or "").rpartition("/")[2]
        yield EntryPoint(kind="bin", name=name or command, target=command, file=file, line=package.line("bin"))
    for name, target in package.table("bin").items():
        yield EntryPoint(kind="bin", name=name, target=str(target), file=file, line=package.line("bin", name))
    for key in ("main", "module", "browser"):
        target = package.text(key)
        if target:
            yield EntryPoint(kind=f"package entry ({key})", name=key, target=target, file=file, line=package.line(key))
    exports = package.get("exports")
    if isinstance(exports, str):
        yield EntryPoint(
            kind="package entry (exports)", name=".", target=exports, file=file, line=package.line("exports")
        )
    elif isinstance(exports, dict) and exports:
        names = ", ".join(list(exports)[:6])
        yield EntryPoint(kind="package entry (exports)", name=names, target="", file=file, line=package.line("exports"))
    start = package.text("scripts", "start")
    if start:
        yield EntryPoint(kind="npm start", name="start", target=start, file=file, line=package.line("scripts", "start"))


def _tests(package: Json, file: str) -> Iterator[TestCommand]:
    scripts = package.table("scripts")
    for name, command in scripts.items():
        if not isinstance(command, str) or command.startswith(_PLACEHOLDER):
            continue
        if name == "test" or name.startswith(("test:", "test-")):
            run = "npm test" if name == "test" else f"npm run {name}"
            yield TestCommand(command=run, why=f"runs {command}", file=file, line=package.line("scripts", name))


def _members(package: Json, file: str) -> Iterator[FoundValue]:
    for path in (("workspaces",), ("workspaces", "packages")):
        value = package.get(*path)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, str):
                yield FoundValue(text=item, file=file, line=package.line(*path, str(index)))
