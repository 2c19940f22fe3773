"""`pyproject.toml`: the standard tables, and what Poetry, pytest and tox add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest, TestCommand
from lg_orch.analyst.sources.manifests.requirement import attribute_files, beside, read_or_note
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
    notes: list[FoundValue] = []
    moving = isinstance(dynamic, list) and "version" in dynamic and not toml.text("project", "version")
    found = tuple(_dependencies(toml, file, notes))
    return Manifest(
        file=file,
        ecosystem="Python",
        name=_found(toml, file, *base, "name"),
        version=_found(toml, file, *base, "version"),
        description=_found(toml, file, *base, "description"),
        licence=_licence(toml, file, base),
        requires=_found(toml, file, "project", "requires-python")
        or _found(toml, file, "tool", "poetry", "dependencies", "python"),
        dependencies=found,
        entries=tuple(_entries(toml, file)),
        tests=tuple(_tests(toml, file)),
        members=tuple(_strings(toml, file, "tool", "uv", "workspace", "members")),
        packages=tuple(_packages(toml, file)),
        version_files=_version_files(toml, file) if moving else (),
        includes=tuple(_dynamic_files(toml, file)),
        unread=(*_dynamic(toml, file, dynamic), *notes),
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


MAX_ENTRIES = 2_000
"""Entries of one list that are read."""
_DYNAMIC = ("dependencies", "optional-dependencies", "scripts", "entry-points", "requires-python")
_LISTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Where tools keep lists of requirements, beside the standard's own places.
    ("runtime", ("tool", "flit", "metadata", "requires")), ("group dev", ("tool", "uv", "dev-dependencies")),
)  # fmt: skip
_TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("extra", ("project", "optional-dependencies")), ("group", ("dependency-groups",)),
    ("extra", ("tool", "flit", "metadata", "requires-extra")), ("group", ("tool", "pdm", "dev-dependencies")),
)  # fmt: skip


def _dynamic(toml: Toml, file: str, dynamic: object) -> Iterator[FoundValue]:
    """What the build tool finds out when it runs."""
    for name in _DYNAMIC:
        if not isinstance(dynamic, list) or name not in dynamic:
            continue
        files = [path for path, _ in _files_of(toml, name)]
        where = f" `[tool.setuptools.dynamic]` takes it from {', '.join(files)}" if files else ""
        line = toml.line("project", "dynamic", item=name)
        yield FoundValue(text=f"`{name}` is dynamic: the build computes it.{where}", file=file, line=line)


def _dynamic_files(toml: Toml, file: str) -> Iterator[FoundValue]:
    for name in ("dependencies", "optional-dependencies"):
        for path, line in _files_of(toml, name):
            yield FoundValue(text=beside(file, path), file=file, line=line)


def _files_of(toml: Toml, name: str) -> Iterator[tuple[str, int]]:
    base = ("tool", "setuptools", "dynamic", name)
    tables = [base] if name == "dependencies" else [(*base, extra) for extra in toml.table(*base)]
    for path in tables:
        value = toml.get(*path, "file")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item, toml.line(*path)


def _dependencies(toml: Toml, file: str, notes: list[FoundValue]) -> Iterator[Dependency]:
    yield from _list(toml, file, "runtime", "project", "dependencies", notes=notes)
    for group, path in _LISTS:
        yield from _list(toml, file, group, *path, notes=notes)
    for kind, path in _TABLES:
        for name in toml.table(*path):
            yield from _list(toml, file, f"{kind} {name}", *path, name, notes=notes)
    for name in toml.table("tool", "hatch", "envs"):
        yield from _list(toml, file, f"environment {name}", "tool", "hatch", "envs", name, "dependencies", notes=notes)
    yield from _list(toml, file, "build", "build-system", "requires", notes=notes)
    yield from _poetry(toml, file, "runtime", "tool", "poetry", "dependencies")
    yield from _poetry(toml, file, "group dev", "tool", "poetry", "dev-dependencies")
    for group in toml.table("tool", "poetry", "group"):
        yield from _poetry(toml, file, f"group {group}", "tool", "poetry", "group", group, "dependencies")


def _list(toml: Toml, file: str, group: str, *path: str, notes: list[FoundValue]) -> Iterator[Dependency]:
    value = toml.get(*path)
    line = toml.line(*path) if value is not None else 1
    if value is not None and not isinstance(value, list):
        notes.append(FoundValue(text=f"`{'.'.join(path)}` is no list, so it was not read", file=file, line=line))
    items = value if isinstance(value, list) else []
    if len(items) > MAX_ENTRIES:
        text = f"{group} has {len(items)} entries; the first {MAX_ENTRIES} were read"
        notes.append(FoundValue(text=text, file=file, line=line))
    for item in items[:MAX_ENTRIES]:
        included = item.get("include-group") if isinstance(item, dict) else None
        if isinstance(included, str) and included in toml.table(*path[:-1]):
            continue  # it is listed under its own name
        if isinstance(included, str):
            notes.append(
                FoundValue(text=f"{group} includes the group {included}, which is not there", file=file, line=line)
            )
        elif isinstance(item, str):
            place = toml.line(*path, item=item)
            yield from read_or_note(item, group=group, file=file, line=place, notes=notes)
        else:
            notes.append(FoundValue(text=f"an entry of {group} is no text, so it was not read", file=file, line=line))


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
    if isinstance(value, list):
        # Poetry: one range for each of several conditions.
        return " or ".join(filter(None, map(range_of, value)))
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
