"""`setup.py`, read as a syntax tree and never run: literal arguments of `setup(…)`, and names that hold a literal."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import Dependency, EntryPoint, FoundValue, Manifest
from lg_orch.analyst.sources.manifests.requirement import read_or_note

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_CHARACTERS = 200_000  # the syntax tree of a longer file costs more than it tells
_NO_CALL = "calls no `setup(…)` that could be found, so nothing of it was read"
_BUILDERS = ("setuptools", "distutils")
"""What a setup script imports, directly or by way of its own helpers, and names."""
_COMPUTED = ("name", "version")
_READING = ("print", "len", "sorted", "list", "tuple", "set", "str", "format", "join")
_CHANGING = ("append", "extend", "insert", "update", "remove", "pop", "setdefault", "clear")


@dataclass(kw_only=True)
class _Setup:
    """The arguments of `setup(…)`, the module's constants, and what could not be read."""

    file: str
    keywords: dict[str, ast.expr] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    notes: list[FoundValue] = field(default_factory=list)

    def value(self, node: ast.expr | None) -> ast.expr | None:
        """The node, or the literal that a name stands for."""
        return self.constants.get(node.id, node) if isinstance(node, ast.Name) else node

    def note(self, what: str, node: ast.AST) -> None:
        """Say that something could not be read."""
        self.notes.append(FoundValue(text=what, file=self.file, line=getattr(node, "lineno", 1)))


def read(file: str, text: str) -> Manifest | None:
    """Return the literal arguments of the first call to `setup`; what is computed is named and not guessed.

    Returns `None` for a module of a package that merely has this name.
    """
    setup = _Setup(file=file)
    problem = _parse(text, setup)
    if problem == _NO_CALL and "/" in file and not any(name in text for name in _BUILDERS):
        return None
    if problem:
        return Manifest(file=file, ecosystem="Python", problems=(f"{file} {problem}",))
    computed = [name for name in _COMPUTED if name in setup.keywords and _text(setup, name) is None]
    found, entries = tuple(_dependencies(setup)), tuple(_entries(setup))
    return Manifest(
        file=file,
        ecosystem="Python",
        name=_text(setup, "name"),
        version=_text(setup, "version"),
        description=_text(setup, "description"),
        licence=_text(setup, "license"),
        requires=_text(setup, "python_requires"),
        dependencies=found,
        entries=entries,
        problems=tuple(f"{file} computes `{name}`; it is not a literal" for name in computed),
        unread=tuple(setup.notes),
    )


def _parse(text: str, setup: _Setup) -> str:
    """Find the call and the constants; returns why nothing could be read."""
    if len(text) > _MAX_CHARACTERS:
        return f"is longer than {_MAX_CHARACTERS} characters and was not parsed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # somebody else's invalid escapes are not our warnings
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"is not valid Python for this interpreter ({type(error).__name__})"
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "setup"]
    if not calls:
        return _NO_CALL
    setup.constants = _constants(tree)
    setup.keywords = {item.arg: item.value for item in calls[0].keywords if item.arg}
    if len(calls) > 1:
        setup.note(f"`setup(…)` is called {len(calls)} times; only the first call was read", calls[1])
    for keyword in calls[0].keywords:
        if keyword.arg is None:
            setup.note(
                "setup(**…): arguments come from a value that is computed, dependencies may be among them",
                keyword.value,
            )
    return ""


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else str(getattr(node.func, "attr", ""))


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Module names that are given one value, once, and are never changed."""
    found: dict[str, ast.expr] = {}
    unsure: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            # The second time a name is stored anywhere, nobody knows which value counts.
            unsure |= {node.id} if node.id in found else set()
            found.setdefault(node.id, node)
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name):
            changed = node.attr in _CHANGING if isinstance(node, ast.Attribute) else isinstance(node.ctx, ast.Store)
            unsure |= {node.value.id} if changed else set()
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            unsure.add(node.target.id)
        else:
            unsure |= _handed_on(node)
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return {name: value for name, value in values.items() if name not in unsure}


def _handed_on(node: ast.AST) -> set[str]:
    """Names whose value something else may change: given to a function, given a second name, or imported again."""
    if isinstance(node, ast.Call) and _called(node) not in ("setup", *_READING):
        return {item.id for item in node.args if isinstance(item, ast.Name)}
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
        return {node.value.id}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {item.asname or item.name for item in node.names}
    return set()


def _text(setup: _Setup, name: str) -> FoundValue | None:
    node = setup.value(setup.keywords.get(name))
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        return FoundValue(text=node.value, file=setup.file, line=node.lineno)
    return None


def _strings(setup: _Setup, given: ast.expr | None, what: str) -> Iterator[tuple[str, int]]:
    """The texts of a list; a list that is computed as a whole or in part is noted."""
    node = setup.value(given)
    if node is None:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # setuptools takes lines of text as well.
        for number, line in enumerate(node.value.splitlines()):
            if line.strip() and not line.strip().startswith("#"):
                yield line.strip(), node.lineno + number
        return
    if not isinstance(node, ast.List | ast.Tuple | ast.Set):
        setup.note(f"`{what}` is computed, so it was not read", given or node)
        return
    for item in node.elts:
        inner = setup.value(item.value if isinstance(item, ast.Starred) else item)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value, inner.lineno
        elif isinstance(item, ast.Starred) and isinstance(inner, ast.List | ast.Tuple):
            yield from _strings(setup, inner, what)
        else:
            setup.note(f"a part of `{what}` is computed, so it was not read", item)


def _mapping(setup: _Setup, name: str) -> Iterator[tuple[str, ast.expr]]:
    given = setup.keywords.get(name)
    node = setup.value(given)
    if node is None:
        return
    if not isinstance(node, ast.Dict):
        if not isinstance(node, ast.Constant):
            setup.note(f"`{name}` is computed, so it was not read", given or node)
        return
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, value
        else:
            setup.note(f"a part of `{name}` is computed, so it was not read", key or value)


def _dependencies(setup: _Setup) -> Iterator[Dependency]:
    groups = [("runtime", "install_requires", setup.keywords.get("install_requires"))]
    groups += [(f"extra {name}", f"extras_require[{name!r}]", node) for name, node in _mapping(setup, "extras_require")]
    groups += [
        (group, key, setup.keywords.get(key))
        for group, key in (("build", "setup_requires"), ("tests", "tests_require"))
    ]
    for group, what, node in groups:
        for text, line in _strings(setup, node, what):
            yield from read_or_note(text, group=group, file=setup.file, line=line, notes=setup.notes)


def _entries(setup: _Setup) -> Iterator[EntryPoint]:
    for group, node in _mapping(setup, "entry_points"):
        kind = "console script" if group == "console_scripts" else f"plug-in ({group})"
        for text, line in _strings(setup, node, f"entry_points[{group!r}]"):
            name, _, target = text.partition("=")
            yield EntryPoint(kind=kind, name=name.strip(), target=target.strip(), file=setup.file, line=line)
