"""`setup.py`, read as a syntax tree and never run: only literal arguments of `setup(…)` count."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest
from lg_orch.analyst.sources.manifests.requirement import requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_CHARACTERS = 200_000  # the syntax tree of a longer file costs more than it tells


def read(file: str, text: str) -> Manifest:
    """Return the literal arguments of the first call to `setup`; a computed one is named as a problem, not guessed."""
    keywords, problem = _keywords(text)
    if problem:
        return Manifest(file=file, ecosystem="Python", problems=(f"{file} {problem}",))
    computed = [
        name
        for name in ("name", "version", "install_requires", "entry_points")
        if name in keywords and not _literal(keywords[name])
    ]
    return Manifest(
        file=file,
        ecosystem="Python",
        name=_found(keywords, "name", file),
        version=_found(keywords, "version", file),
        description=_found(keywords, "description", file),
        licence=_found(keywords, "license", file),
        requires=_found(keywords, "python_requires", file),
        dependencies=tuple(_dependencies(keywords, file)),
        entries=tuple(_entries(keywords, file)),
        problems=tuple(f"{file} computes `{name}`; it is not a literal" for name in computed),
    )


def _keywords(text: str) -> tuple[dict[str, ast.expr], str]:
    if len(text) > _MAX_CHARACTERS:
        return {}, f"is longer than {_MAX_CHARACTERS} characters and was not parsed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # somebody else's invalid escapes are not our warnings
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {}, f"is not valid Python for this interpreter ({type(error).__name__})"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name == "setup":
                return {item.arg: item.value for item in node.keywords if item.arg}, ""
    return {}, ""


def _literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _found(keywords: dict[str, ast.expr], name: str, file: str) -> FoundValue | None:
    node = keywords.get(name)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        return FoundValue(text=node.value, file=file, line=node.lineno)
    return None


def _strings(node: ast.expr | None) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.List | ast.Tuple):
        for item in node.elts:
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                yield item.value, item.lineno


def _mapping(node: ast.expr | None) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value


def _dependencies(keywords: dict[str, ast.expr], file: str) -> Iterator[Dependency]:
    groups = [("runtime", keywords.get("install_requires"))]
    groups += [(f"extra {name}", node) for name, node in _mapping(keywords.get("extras_require"))]
    for group, node in groups:
        for text, line in _strings(node):
            parsed = requirement(text, group=group, file=file, line=line)
            if parsed is not None:
                yield parsed


def _entries(keywords: dict[str, ast.expr], file: str) -> Iterator[EntryPoint]:
    for group, node in _mapping(keywords.get("entry_points")):
        kind = "console script" if group == "console_scripts" else f"plug-in ({group})"
        for text, line in _strings(node):
            name, _, target = text.partition("=")
            yield EntryPoint(kind=kind, name=name.strip(), target=target.strip(), file=file, line=line)
