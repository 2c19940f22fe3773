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
    """Name, version, scripts, `bin`, `main`, engines, workspaces and the four groups of dependencies."""
    json = Json(text)
    if json.problem:
        return Manifest(file=file, ecosystem="Node.js", problems=(f"{file} {json.problem}",))
    return Manifest(
        file=file,
        ecosystem="Node.js",
        name=_found(json, file, "name"),
        version=_found(json, file, "version"),
        description=_found(json, file, "description"),
        licence=_found(json, file, "license") or _found(json, file, "license", "type"),
        requires=_found(json, file, "engines", "node"),
        dependencies=tuple(
            Dependency(name=name, range=str(value), group=group, file=file, line=json.line(key, name))
            for key, group in _GROUPS.items()
            for name, value in json.table(key).items()
        ),
        entries=tuple(_entries(json, file)),
        tests=tuple(_tests(json, file)),
        members=tuple(_members(json, file)),
    )


def _found(json: Json, file: str, *path: str) -> FoundValue | None:
    value = json.text(*path)
    return FoundValue(text=value, file=file, line=json.line(*path)) if value else None


def _entries(json: Json, file: str) -> Iterator[EntryPoint]:
    command = json.text("bin")
    if command:
        name = (json.text("name") or "").rpartition("/")[2]
        yield EntryPoint(kind="bin", name=name or command, target=command, file=file, line=json.line("bin"))
    for name, target in json.table("bin").items():
        yield EntryPoint(kind="bin", name=name, target=str(target), file=file, line=json.line("bin", name))
    for key in ("main", "module", "browser"):
        target = json.text(key)
        if target:
            yield EntryPoint(kind=f"package entry ({key})", name=key, target=target, file=file, line=json.line(key))
    exports = json.get("exports")
    if isinstance(exports, str):
        yield EntryPoint(kind="package entry (exports)", name=".", target=exports, file=file, line=json.line("exports"))
    elif isinstance(exports, dict) and exports:
        names = ", ".join(list(exports)[:6])
        yield EntryPoint(kind="package entry (exports)", name=names, target="", file=file, line=json.line("exports"))
    start = json.text("scripts", "start")
    if start:
        yield EntryPoint(kind="npm start", name="start", target=start, file=file, line=json.line("scripts", "start"))


def _tests(json: Json, file: str) -> Iterator[TestCommand]:
    scripts = json.table("scripts")
    for name, command in scripts.items():
        if not isinstance(command, str) or command.startswith(_PLACEHOLDER):
            continue
        if name == "test" or name.startswith(("test:", "test-")):
            run = "npm test" if name == "test" else f"npm run {name}"
            yield TestCommand(command=run, why=f"runs {command}", file=file, line=json.line("scripts", name))


def _members(json: Json, file: str) -> Iterator[FoundValue]:
    for path in (("workspaces",), ("workspaces", "packages")):
        value = json.get(*path)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, str):
                yield FoundValue(text=item, file=file, line=json.line(*path, str(index)))
