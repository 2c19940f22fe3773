"""Import statements: the one expression that finds them in every language present, and what each of them names."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.languages import family_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lg_orch.analyst.sources.evidence import Value

# RE2 syntax; whole matches are the values, so that one call serves all languages.
_MODULE = r"[A-Za-z_][\w.]*(?:[ \t]+as[ \t]+\w+)?"
_PATTERNS: dict[str, tuple[str, ...]] = {
    "python": (
        r"^[ \t]*from[ \t]+\.+[ \t]+import[ \t]+[\w, \t]*",
        r"^[ \t]*from[ \t]+[.\w]+[ \t]+import\b",
        rf"^[ \t]*import[ \t]+{_MODULE}(?:[ \t]*,[ \t]*{_MODULE})*",
    ),
    "js": (
        r"\bfrom[ \t]*[\"'][^\"'\n]+[\"']",
        r"\b(?:require|import)[ \t]*\([ \t]*[\"'][^\"'\n]+[\"']",
        r"^[ \t]*import[ \t]+[\"'][^\"'\n]+[\"']",
    ),
    "rust": (r"^[ \t]*(?:pub(?:\([^)\n]*\))?[ \t]+)?use[ \t]+[A-Za-z_][\w:]*(?:\{[^{}\n]*\})?",),
    "go": (r"^[ \t]*(?:import[ \t]+)?(?:[\w.]+[ \t]+)?\"[\w./~-]+\"[ \t]*\r?$",),
    "jvm": (r"^[ \t]*import[ \t]+(?:static[ \t]+)?[A-Za-z_][\w.]*",),
}
_TESTS: dict[str, tuple[str, ...]] = {
    "python": (r"^[ \t]*(?:async[ \t]+)?def[ \t]+test_",),
    "js": (r"^[ \t]*(?:it|test)(?:\.\w+)*[ \t]*\(",),
    "rust": (r"^[ \t]*#\[(?:\w+::)*(?:test|rstest)\b",),
    "go": (r"^func[ \t]+Test[A-Z_0-9]?",),
    "jvm": (r"^[ \t]*@(?:Test|ParameterizedTest)\b",),
}
_TEST_VALUE = re.compile(r"^(?:(?:async\s+)?def\s+test_|(?:it|test)(?:\.\w+)*\s*\($|#\[|func\s+Test|@)")
_STDLIB = sys.stdlib_module_names
_QUOTED = re.compile(r"[\"']([^\"']+)[\"']")


@dataclass(frozen=True, kw_only=True)
class Import:
    """One module or package that a statement names. `level` counts the leading dots of a relative Python import."""

    name: str
    level: int
    family: str
    value: Value


def expression(families: Iterable[str]) -> str:
    """Return the expression for imports and test functions of these families; empty for none that is known."""
    known = [family for family in families if family in _PATTERNS]
    parts = [pattern for family in known for pattern in (*_PATTERNS[family], *_TESTS[family])]
    return "|".join(f"(?:{part})" for part in parts)


def import_expression(family: str) -> tuple[str, ...]:
    """Return the expressions for imports of one family."""
    return _PATTERNS.get(family, ())


def is_test_marker(value: str) -> bool:
    """Tell whether a value of the search is the beginning of a test function and not an import."""
    return _TEST_VALUE.match(value.strip()) is not None


def parse(value: Value, family: str) -> list[Import]:
    """Return what the statement names; nothing when it is no import of this family."""
    text = value.value.strip()
    if family == "python":
        return _python(text, value)
    names: list[str] = []
    if family in ("js", "go"):
        found = _QUOTED.search(text)
        names = [found[1]] if found else []
    elif family == "rust" and re.search(r"\buse\s", text):
        names = _rust(text)
    elif family == "jvm" and text.startswith("import"):
        names = [text.split()[-1].rstrip(".")]
    return [Import(name=name, level=0, family=family, value=value) for name in names]


def _rust(text: str) -> list[str]:
    """`use a::{b, c::d}` names `a::b` and `a::c::d`; braces over several lines or in one another are not opened."""
    path, brace, inside = re.split(r"\buse\s+", text, maxsplit=1)[1].partition("{")
    if not brace:
        return [path.rstrip(":")]
    return [path + part.strip().split(" as ")[0] for part in inside.rstrip("} ").split(",") if part.strip()]


def _python(text: str, value: Value) -> list[Import]:
    relative = re.match(r"from\s+(\.+)([\w.]*)\s+import\s*(.*)$", text)
    if relative:
        level, module = len(relative[1]), relative[2]
        names = [part.split()[0] for part in relative[3].split(",") if part.split()] if not module else [module]
        return [Import(name=name, level=level, family="python", value=value) for name in names or [""]]
    absolute = re.match(r"from\s+([\w.]+)\s+import", text)
    if absolute:
        return [Import(name=absolute[1], level=0, family="python", value=value)]
    plain = re.match(r"import\s+(.+)$", text)
    modules = [part.split()[0] for part in plain[1].split(",") if part.split()] if plain else []
    return [Import(name=name, level=0, family="python", value=value) for name in modules]


def candidates(values: Iterable[Value], limit: int = 96) -> list[str]:
    """Return the globs for the files that the most frequent absolute imports could mean, at most `limit`.

    For repositories that are too big to list. Relative imports are left out: their words mean another file in each
    directory.
    """
    globs: dict[str, None] = {}
    for value in values:
        family = family_of(value.path)
        if family not in ("python", "jvm"):
            continue
        for item in parse(value, family):
            if item.level or not item.name or (family == "python" and item.name.partition(".")[0] in _STDLIB):
                continue
            stem = item.name.replace(".", "/")
            endings = (".py", "/__init__.py") if family == "python" else (".java", ".kt")
            globs.update(dict.fromkeys(f"**/{stem}{ending}" for ending in endings))
        if len(globs) >= limit:
            break
    return list(globs)[:limit]
