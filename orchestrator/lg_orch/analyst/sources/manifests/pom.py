"""Maven's `pom.xml`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest, TestCommand
from lg_orch.analyst.sources.manifests.xml_lines import Element, XmlRefusedError, parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROPERTY = re.compile(r"\$\{([^}]+)\}")
_REQUIRES = ("maven.compiler.release", "maven.compiler.source", "java.version", "maven.compiler.target")


def read(file: str, text: str) -> Manifest:
    """Return the coordinates, modules and dependencies.

    `${…}` is replaced where this file defines it, else left as it stands.
    """
    try:
        root = parse_xml(text)
    except XmlRefusedError as error:
        return Manifest(file=file, ecosystem="Java", problems=(f"{file} {error}",))
    if root.name != "project":
        return Manifest(file=file, ecosystem="Java", problems=(f"{file} is not a Maven project (<{root.name}>)",))
    properties = {item.name: item.text.strip() for item in _children(root, "properties")}
    version = root.child("version") or root.child("parent", "version")
    if version is not None:
        properties.setdefault("project.version", version.text.strip())
    parent = root.child("parent", "version")
    if parent is not None:
        properties.setdefault("project.parent.version", parent.text.strip())
    requires = next((item for name in _REQUIRES for item in _children(root, "properties") if item.name == name), None)
    return Manifest(
        file=file,
        ecosystem="Java",
        name=_found(root.child("artifactId"), file, properties),
        version=_found(version, file, properties),
        description=_found(root.child("description") or root.child("name"), file, properties),
        licence=_found(root.child("licenses", "license", "name"), file, properties),
        requires=_found(requires, file, properties, prefix="Java "),
        dependencies=tuple(_dependencies(root, file, properties)),
        entries=tuple(
            EntryPoint(
                kind="main class set in the build",
                name=item.text.strip(),
                target=item.text.strip(),
                file=file,
                line=item.line,
            )
            for item in _deep(root, "mainClass")
        ),
        tests=(TestCommand(command="mvn test", why="Maven's own test phase", file=file, line=root.line),),
        members=tuple(
            FoundValue(text=item.text.strip(), file=file, line=item.line) for item in root.all("modules", "module")
        ),
        properties=properties,
        unread=tuple(_unread(root, file)),
    )


def _unread(root: Element, file: str) -> Iterator[FoundValue]:
    """What stands in other files, or holds only sometimes."""
    parent = root.child("parent")
    if parent is not None:
        parts = {child.name: child.text.strip() for child in parent.children}
        name = f"{parts.get('groupId', '?')}:{parts.get('artifactId', '?')}"
        yield FoundValue(text=f"inherits from {name}; what that declares was not added", file=file, line=parent.line)
    for profile in root.all("profiles", "profile"):
        if profile.child("dependencies") is not None or profile.child("modules") is not None:
            identity = profile.child("id")
            shown = identity.text.strip() if identity is not None else "without a name"
            text = f"the profile {shown} declares more, which was not read"
            yield FoundValue(text=text, file=file, line=profile.line)


def _children(root: Element, name: str) -> list[Element]:
    element = root.child(name)
    return element.children if element is not None else []


def _deep(element: Element, name: str) -> Iterator[Element]:
    for child in element.children:
        if child.name == name:
            yield child
        yield from _deep(child, name)


def _expand(text: str, properties: dict[str, str]) -> str:
    # Once and not again: a property that refers to itself must not loop.
    return _PROPERTY.sub(lambda found: properties.get(found[1], found[0]), " ".join(text.split()))


def _found(element: Element | None, file: str, properties: dict[str, str], prefix: str = "") -> FoundValue | None:
    if element is None or not element.text.strip():
        return None
    return FoundValue(text=prefix + _expand(element.text, properties), file=file, line=element.line)


def _dependencies(root: Element, file: str, properties: dict[str, str]) -> Iterator[Dependency]:
    for path, managed in ((("dependencies",), False), (("dependencyManagement", "dependencies"), True)):
        for item in root.all(*path, "dependency"):
            parts = {child.name: _expand(child.text, properties) for child in item.children}
            scope = parts.get("scope", "compile")
            group = "managed" if managed else {"test": "dev", "compile": "runtime"}.get(scope, scope)
            name = f"{parts.get('groupId', '?')}:{parts.get('artifactId', '?')}"
            yield Dependency(name=name, range=parts.get("version", ""), group=group, file=file, line=item.line)
