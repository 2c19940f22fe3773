"""Python's older files: `setup.cfg`, `requirements*.txt`, `tox.ini`, `pytest.ini`, `noxfile.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.evidence import split_lines
from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest, TestCommand
from lg_orch.analyst.sources.manifests.requirement import attribute_files, beside, read_or_note

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTION = re.compile(r"^\[([^\]]+)\]")
_OPTION = re.compile(r"^([\w.-]+)\s*[:=]\s*(.*)$")
_INCLUDED = re.compile(r"(-r|--requirement|-c|--constraint)[ =]*([^\s#]+)")
_PLACE = re.compile(
    r"(?:(?:-e|--editable)[ =]+)?((?:[a-z]+\+)?[a-z]+://\S+|\.{0,2}/\S*|\.{1,2})(?=\s|$)|(?:-e|--editable)[ =]+(\S+)"
)
_EGG = re.compile(r"[#&]egg=([\w.-]+)")
_NOX = re.compile(r"^def\s+(\w+)\s*\(")


@dataclass(frozen=True, kw_only=True)
class _Line:
    section: str
    key: str
    text: str
    number: int


def _ini(text: str) -> Iterator[_Line]:
    """Every value line of an INI file with the section and key it belongs to; comments and empty lines left out."""
    section = key = ""
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        header = _SECTION.match(line)
        option = _OPTION.match(line)
        if header:
            section, key = header[1].strip(), ""
        elif option:
            key = option[1]
            if option[2].strip():
                yield _Line(section=section, key=key, text=option[2].strip(), number=number)
        elif key and line[0].isspace():
            yield _Line(section=section, key=key, text=line.strip(), number=number)


def read_setup_cfg(file: str, text: str) -> Manifest:
    """Return the metadata, requirements, scripts and the pytest section of `setup.cfg`."""
    single: dict[str, FoundValue] = {}
    dependencies: list[Dependency] = []
    notes: list[FoundValue] = []
    includes: list[FoundValue] = []
    entries: list[EntryPoint] = []
    tests: list[TestCommand] = []
    for item in _ini(text):
        if item.section == "metadata":
            single.setdefault(item.key, FoundValue(text=item.text, file=file, line=item.number))
        elif item.section == "options" and item.key == "install_requires":
            dependencies += _cfg_requirement(item, "runtime", file, notes, includes)
        elif item.section == "options" and item.key == "python_requires":
            single.setdefault("python_requires", FoundValue(text=item.text, file=file, line=item.number))
        elif item.section == "options.extras_require":
            dependencies += _cfg_requirement(item, f"extra {item.key}", file, notes, includes)
        elif item.section == "options.entry_points":
            name, _, target = item.text.partition("=")
            kind = "console script" if item.key == "console_scripts" else f"plug-in ({item.key})"
            entries.append(EntryPoint(kind=kind, name=name.strip(), target=target.strip(), file=file, line=item.number))
        elif item.section == "tool:pytest" and not tests:
            tests.append(TestCommand(command="pytest", why="pytest is configured here", file=file, line=item.number))
    version = single.get("version")
    elsewhere = version is not None and version.text.startswith(("attr:", "file:"))
    return Manifest(
        file=file,
        ecosystem="Python",
        name=single.get("name"),
        version=None if elsewhere else version,
        version_files=_version_files(file, version.text) if version is not None and elsewhere else (),
        description=single.get("description"),
        licence=single.get("license"),
        requires=single.get("python_requires"),
        dependencies=tuple(dependencies),
        entries=tuple(entries),
        tests=tuple(tests),
        unread=tuple(notes),
        includes=tuple(includes),
    )


def _cfg_requirement(
    item: _Line, group: str, file: str, notes: list[FoundValue], includes: list[FoundValue]
) -> Iterator[Dependency]:
    """One line of requirements; `file:` names files of them."""
    if item.text.startswith("file:"):
        names = [name.strip() for name in item.text.removeprefix("file:").split(",") if name.strip()]
        includes += [FoundValue(text=beside(file, name), file=file, line=item.number) for name in names]
        return
    yield from read_or_note(item.text, group=group, file=file, line=item.number, notes=notes)


def _version_files(file: str, text: str) -> tuple[str, ...]:
    kind, _, value = text.partition(":")
    return (beside(file, value.strip()),) if kind == "file" else attribute_files(file, value.strip())


def read_requirements(file: str, text: str) -> Manifest:
    """Return each requirement of a file of requirements, and the files that it includes."""
    group = file.rpartition("/")[2].removesuffix(".txt")
    group = group if group.startswith("requirements") else f"requirements {group}"
    found: list[Dependency] = []
    notes: list[FoundValue] = []
    includes: list[FoundValue] = []
    for number, raw in enumerate(split_lines(text), start=1):
        line = raw.split(" --hash")[0].rstrip("\\ ").strip()
        option = _INCLUDED.match(line)
        place = _PLACE.match(line)
        if not line or line.startswith(("#", "--hash")):
            continue
        if option is not None:
            includes.append(FoundValue(text=beside(file, option[2]), file=file, line=number))
            if option[1] in ("-c", "--constraint"):
                notes.append(
                    FoundValue(text=f"{option[2]} limits the versions (`{option[1]}`)", file=file, line=number)
                )
        elif place is not None:
            name = _EGG.search(line)
            where = place[1] or place[2]
            shown, range_ = (name[1], where) if name is not None else (where, "from there")
            found.append(Dependency(name=shown, range=range_, group=group, file=file, line=number))
        elif not line.startswith("-"):
            found += read_or_note(line, group=group, file=file, line=number, notes=notes)
    return Manifest(
        file=file, ecosystem="Python", dependencies=tuple(found), unread=tuple(notes), includes=tuple(includes)
    )


def read_tox(file: str, text: str) -> Manifest:
    """Return the test commands of `tox.ini`, and pytest's section in it or in `pytest.ini`."""
    tests: list[TestCommand] = []
    sections = [
        (number, found[1]) for number, line in enumerate(split_lines(text), 1) if (found := _SECTION.match(line))
    ]
    for number, section in sections:
        if section == "pytest":
            tests.append(TestCommand(command="pytest", why="pytest is configured here", file=file, line=number))
        elif section.startswith(("testenv", "env.", "env_run_base")):
            command = "tox" if section in ("testenv", "env_run_base") else f"tox -e {re.split(r'[:.]', section)[-1]}"
            tests.append(TestCommand(command=command, why=f"tox environment [{section}]", file=file, line=number))
    return Manifest(file=file, ecosystem="Python", tests=tuple(tests))


def read_nox(file: str, text: str) -> Manifest:
    """Return one command for each nox session whose name speaks of tests."""
    tests: list[TestCommand] = []
    decorated = False
    for number, line in enumerate(split_lines(text), start=1):
        found = _NOX.match(line)
        if found and decorated and "test" in found[1]:
            tests.append(TestCommand(command=f"nox -s {found[1]}", why="a nox session", file=file, line=number))
        decorated = line.startswith("@nox.session") or (decorated and not found)
    return Manifest(file=file, ecosystem="Python", tests=tuple(tests))
