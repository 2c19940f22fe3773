"""`pyproject.toml`: the standard tables, and what Poetry, pytest and tox add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest, TestCommand
from lg_orch.analyst.sources.manifests.requirement import attribute_files, beside, requirement
from lg_orch.analyst.sources.manifests.toml_lines import Toml

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(file: str, text: str) -> Manifest:
    """Return what the file says; without a `[project]` table, what `[tool.poetry]` says."""
    toml = Toml(text)
    if toml.problem:
        return Manifest(file=file, ecosystem="Python", problems=(f"{file} {toml.problem}",))
    base = ("project",) if toml.table("project") else ("tool", "poetry")
    dynamic = toml.get("project", "dynamic")
    moving = isinstance(dynamic, list) and "version" in dynamic and not toml.text("project", "version")
    return Manifest(
        file=file,
        ecosystem="Python",
        name=_found(toml, file, *base, "name"),
        version=_found(toml, file, *base, "version"),
        description=_found(toml, file, *base, "description"),
        licence=_licence(toml, file, base),
        requires=_found(toml, file, "project", "requires-python")
        or _found(toml, file, "tool", "poetry", "dependencies", "python"),
        dependencies=tuple(_dependencies(toml, file)),
        entries=tuple(_entries(toml, file)),
        tests=tuple(_tests(toml, file)),
        members=tuple(_strings(toml, file, "tool", "uv", "workspace", "members")),
        packages=tuple(_packages(toml, file)),
        version_files=_version_files(toml, file) if moving else (),
        problems=(f"{file} declares the version as dynamic",) if moving and not _version_files(toml, file) else (),
    )


def _found(toml: Toml, file: str, *path: str) -> FoundValue | None:
    value = toml.text(*path)
    return FoundValue(text=value, file=file, line=toml.line(*path)) if value else None


def _version_files(toml: Toml, file: str) -> tuple[str, ...]:
    """Files that the build tool reads the version from; empty when it is computed."""
    path = toml.text("tool", "hatch", "version", "path") or toml.text(
        "tool", "setuptools", "dynamic", "version", "file"
    )
    attribute = toml.text("tool", "setuptools", "dynamic", "version", "attr")
    if path:
        return (beside(file, path),)
    if attribute:
        return attribute_files(file, attribute)
    if "flit" in str(toml.get("build-system", "build-backend")):
        module = toml.text("tool", "flit", "module", "name") or toml.text("project", "name") or ""
        return attribute_files(file, f"{module}.__version__")
    return ()


def _licence(toml: Toml, file: str, base: tuple[str, ...]) -> FoundValue | None:
    plain = _found(toml, file, *base, "license")
    if plain is not None:
        return plain
    for key in ("text", "file"):
        value = toml.text(*base, "license", key)
        if value:
            text = value if key == "text" else f"see {value}"
            return FoundValue(text=text.split("\n")[0], file=file, line=toml.line(*base, "license"))
    classifiers = toml.get(*base, "classifiers")
    for item in classifiers if isinstance(classifiers, list) else ():
        if isinstance(item, str) and item.startswith("License ::"):
            return FoundValue(
                text=item.rpartition("::")[2].strip(), file=file, line=toml.line(*base, "classifiers", item=item)
            )
    return None


def _dependencies(toml: Toml, file: str) -> Iterator[Dependency]:
    yield from _list(toml, file, "runtime", "project", "dependencies")
    for extra in toml.table("project", "optional-dependencies"):
        yield from _list(toml, file, f"extra {extra}", "project", "optional-dependencies", extra)
    for group in toml.table("dependency-groups"):
        yield from _list(toml, file, f"group {group}", "dependency-groups", group)
    yield from _list(toml, file, "build", "build-system", "requires")
    yield from _poetry(toml, file, "runtime", "tool", "poetry", "dependencies")
    yield from _poetry(toml, file, "group dev", "tool", "poetry", "dev-dependencies")
    for group in toml.table("tool", "poetry", "group"):
        yield from _poetry(toml, file, f"group {group}", "tool", "poetry", "group", group, "dependencies")


def _list(toml: Toml, file: str, group: str, *path: str) -> Iterator[Dependency]:
    for found in _strings(toml, file, *path):
        parsed = requirement(found.text, group=group, file=file, line=found.line)
        if parsed is not None:
            yield parsed


def _poetry(toml: Toml, file: str, group: str, *path: str) -> Iterator[Dependency]:
    for name, value in toml.table(*path).items():
        if name != "python":
            yield Dependency(name=name, range=range_of(value), group=group, file=file, line=toml.line(*path, name))


def range_of(value: Any) -> str:
    """Return the range in a dependency's value: the value itself, or its `version`, or where else it comes from."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        version = value.get("version")
        if isinstance(version, str):
            return version
        for key in ("workspace", "path", "git", "url", "branch"):
            if value.get(key):
                return key if value[key] is True else f"{key} {value[key]}"
    return ""


def _strings(toml: Toml, file: str, *path: str) -> Iterator[FoundValue]:
    value = toml.get(*path)
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            yield FoundValue(text=item, file=file, line=toml.line(*path, item=item))


def _entries(toml: Toml, file: str) -> Iterator[EntryPoint]:
    for path, kind in (
        (("project", "scripts"), "console script"),
        (("tool", "poetry", "scripts"), "console script"),
        (("project", "gui-scripts"), "GUI script"),
    ):
        for name, target in toml.table(*path).items():
            if isinstance(target, str):
                yield EntryPoint(kind=kind, name=name, target=target, file=file, line=toml.line(*path, name))
    for group, table in toml.table("project", "entry-points").items():
        for name, target in table.items() if isinstance(table, dict) else ():
            line = toml.line("project", "entry-points", group, name)
            yield EntryPoint(kind=f"plug-in ({group})", name=name, target=str(target), file=file, line=line)


def _tests(toml: Toml, file: str) -> Iterator[TestCommand]:
    for path in (("tool", "pytest", "ini_options"), ("tool", "pytest")):
        if toml.table(*path):
            yield TestCommand(command="pytest", why="pytest is configured here", file=file, line=toml.line(*path))
            break
    for path in (("tool", "tox"), ("tool", "tox", "legacy_tox_ini")):
        if toml.get(*path):
            yield TestCommand(command="tox", why="tox is configured here", file=file, line=toml.line(*path))
            break
    for name in toml.table("tool", "hatch", "envs", "test", "scripts"):
        line = toml.line("tool", "hatch", "envs", "test", "scripts", name)
        yield TestCommand(
            command=f"hatch run test:{name}", why="a script of the hatch environment `test`", file=file, line=line
        )


def _packages(toml: Toml, file: str) -> Iterator[FoundValue]:
    yield from _strings(toml, file, "tool", "hatch", "build", "targets", "wheel", "packages")
    yield from _strings(toml, file, "tool", "setuptools", "packages")
    yield from _strings(toml, file, "tool", "setuptools", "py-modules")
    module = _found(toml, file, "tool", "flit", "module", "name")
    if module is not None:
        yield module
