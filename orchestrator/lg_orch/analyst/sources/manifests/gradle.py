"""Gradle's build files, read line by line: what is written plainly is found, what a script computes is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.evidence import split_lines
from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest, TestCommand
from lg_orch.analyst.sources.manifests.toml_lines import Toml

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIGURATIONS = (
    "api|implementation|compileOnly|runtimeOnly|annotationProcessor|kapt|testImplementation|testRuntimeOnly"
    "|testCompileOnly|testAnnotationProcessor|classpath|compile|testCompile|developmentOnly"
)
_DEPENDENCY = re.compile(
    rf"""^\s*({_CONFIGURATIONS})\b[\s(]*(?:platform\s*\(\s*)?["']([^"':]+:[^"':]+)(?::([^"']+))?["']"""
)
_CATALOG = re.compile(rf"^\s*({_CONFIGURATIONS})\b[\s(]*(?:platform\s*\(\s*)?(libs(?:\.\w+)+)")
_PROJECT = re.compile(rf"""^\s*({_CONFIGURATIONS})\b[\s(]*project\s*\(\s*(?:path\s*[:=]\s*)?["']([^"']+)["']""")
_MAIN = re.compile(r"""^\s*(?:mainClass(?:Name)?)(?:\.set\s*\(|\s*=)\s*["']([^"']+)["']""")
_NAME = re.compile(r"""^\s*rootProject\.name\s*=\s*["']([^"']+)["']""")
_SIMPLE = re.compile(r"""^(version|description)\b[\s=]*["']([^"']+)["']""")
_JAVA = re.compile(r"(?:sourceCompatibility\s*=?\s*|JavaLanguageVersion\.of\(\s*|jvmToolchain\(\s*)[\"']?([\w.]+)")
_TEST_FRAMEWORK = re.compile(r"\b(useJUnitPlatform|useJUnit|useTestNG)\b")
_WORD = re.compile(
    rf"^\s*({_CONFIGURATIONS}|\w+(?:Implementation|Api|Only|Classpath|Processor)|ksp|shadow|provided)\b[\s(](.*)$"
)
_INSIDE = re.compile(
    rf"""^[^"'/]*(?:[{{;>]\s*(?:{_CONFIGURATIONS})\b[\s(]+[\w"'(]|^\s*["'](?:{_CONFIGURATIONS})["']\s*\()"""
    rf"""|^\s*add\s*\(\s*["'](?:{_CONFIGURATIONS})["']|^\s*(?:{_CONFIGURATIONS})\s*\(\s*$"""
)
"""A declaration in a form that is not read: inside of a statement, by a name in quotes, or on several lines."""
_FURTHER = re.compile(r"""["']\s*,\s*["'][^"':]+:[^"':]+""")
_APPLIED = re.compile(r"^\s*apply[\s(]*from\s*[:=](.*)$")
_INCLUDE = re.compile(r"""["'](:?[\w./:-]+)["']""")


def read(file: str, text: str) -> Manifest:
    """Return the dependencies, main class, version, Java version and test framework of a build file."""
    dependencies: list[Dependency] = []
    entries: list[EntryPoint] = []
    tests: list[TestCommand] = []
    simple: dict[str, FoundValue] = {}
    unread: list[FoundValue] = []
    for number, line in enumerate(split_lines(text), start=1):
        found = _dependency(line, file, number)
        if found is not None:
            dependencies.append(found)
            if _FURTHER.search(line):
                unread.append(FoundValue(text=_unread(line), file=file, line=number))
        elif (note := _not_read(line)) is not None:
            unread.append(FoundValue(text=note, file=file, line=number))
        elif main := _MAIN.match(line):
            entries.append(
                EntryPoint(kind="main class set in the build", name=main[1], target=main[1], file=file, line=number)
            )
        elif plain := _SIMPLE.match(line):
            simple.setdefault(plain[1], FoundValue(text=plain[2], file=file, line=number))
        elif java := _JAVA.search(line):
            simple.setdefault(
                "java", FoundValue(text=f"Java {java[1].removeprefix('JavaVersion.')}", file=file, line=number)
            )
        elif framework := _TEST_FRAMEWORK.search(line):
            tests.append(TestCommand(command="gradle test", why=f"{framework[1]} is set here", file=file, line=number))
    return Manifest(
        file=file,
        ecosystem="Java",
        version=simple.get("version"),
        description=simple.get("description"),
        requires=simple.get("java"),
        dependencies=tuple(dependencies),
        entries=tuple(entries),
        tests=tuple(tests[:1])
        or (TestCommand(command="gradle test", why="Gradle's own test task", file=file, line=1),),
        unread=tuple(unread),
    )


def _not_read(line: str) -> str | None:
    """What a line says of dependencies that only running the build would tell; `None` where it says nothing of them."""
    applied = _APPLIED.match(line)
    if applied is not None:
        return f"applies {applied[1].strip().rstrip(')').strip()[:80]}, which was not read"
    declared = _WORD.match(line)
    said = declared[2].strip() if declared is not None else ""
    declares = said and not said.startswith(("=", "{", ".", ")", "extendsFrom"))
    return _unread(line) if declares or _INSIDE.search(line) else None


def _unread(line: str) -> str:
    return f"`{' '.join(line.split())[:100]}` could not be read"


def _dependency(line: str, file: str, number: int) -> Dependency | None:
    for pattern in (_DEPENDENCY, _CATALOG, _PROJECT):
        found = pattern.match(line)
        if found is None:
            continue
        configuration = found[1]
        group = "build" if configuration == "classpath" else ("dev" if "test" in configuration.lower() else "runtime")
        version = (
            (found[3] or "") if pattern is _DEPENDENCY else ("version catalog" if pattern is _CATALOG else "this build")
        )
        return Dependency(name=found[2], range=version, group=group, file=file, line=number)
    return None


def read_settings(file: str, text: str) -> Manifest:
    """Return the build's name and its included projects."""
    name = None
    members: list[FoundValue] = []
    unread: list[FoundValue] = []
    including = False
    for number, line in enumerate(split_lines(text), start=1):
        named = _NAME.match(line)
        if named:
            name = FoundValue(text=named[1], file=file, line=number)
        begins = re.match(r"^\s*include\b(?!Build)", line) is not None
        including = including or begins
        if including:
            content = line.partition("//")[0]
            members += [
                FoundValue(text=item.strip(":").replace(":", "/"), file=file, line=number)
                for item in _INCLUDE.findall(content)
            ]
            if begins and not _INCLUDE.search(content) and not content.rstrip().endswith((",", "(")):
                unread.append(
                    FoundValue(text="`include` names projects that the script computes", file=file, line=number)
                )
            including = content.rstrip().endswith((",", "("))
        elif re.search(r"\binclude\s*[( ]", line.partition("//")[0]) and "includeBuild" not in line:
            unread.append(FoundValue(text="projects are included inside of a statement", file=file, line=number))
    return Manifest(file=file, ecosystem="Java", name=name, members=tuple(members), unread=tuple(unread))


def read_catalog(file: str, text: str) -> Manifest:
    """Return the libraries and versions of a version catalog."""
    toml = Toml(text)
    if toml.problem:
        return Manifest(file=file, ecosystem="Java", problems=(f"{file} {toml.problem}",))
    return Manifest(file=file, ecosystem="Java", dependencies=tuple(_catalog(toml, file)))


def _catalog(toml: Toml, file: str) -> Iterator[Dependency]:
    for alias, value in toml.table("libraries").items():
        name, version = "", ""
        if isinstance(value, str):
            group, artifact, version = [*value.split(":"), "", ""][:3]
            name = f"{group}:{artifact}"
        elif isinstance(value, dict):
            name = str(value.get("module") or f"{value.get('group')}:{value.get('name')}")
            version = _catalog_version(toml, value.get("version"))
        yield Dependency(name=name, range=version, group="catalog", file=file, line=toml.line("libraries", alias))


def _catalog_version(toml: Toml, value: object) -> str:
    if isinstance(value, dict):
        reference = value.get("ref")
        return toml.text("versions", reference) or "" if isinstance(reference, str) else ""
    return value if isinstance(value, str) else ""
