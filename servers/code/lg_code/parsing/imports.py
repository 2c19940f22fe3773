"""The modules that a statement names which imports something, as they are written."""

from __future__ import annotations

import re

_MAX_STATEMENT = 20_000
_MAX_EACH = 60
_QUOTED = re.compile(r"""["'<]([^"'<>\n]{1,300})["'>]""")
_PYTHON_FROM = re.compile(r"from\s+(\.*\s*[\w.]*)\s*import\s+(.*)", re.DOTALL)
_PATH = re.compile(r"[\w$]+(?:(?:\.|::|\\)[\w$]+)*")
_WORDS = re.compile(
    r"^(?:import|use|using|pub|static|global|from|type|typeof|extern|crate|function|const|@\w+|namespace|as|mod)\b\s*"
)
_COMMENT = re.compile(r"#[^\n]*")


def modules_of(statement: str, language: str) -> list[str]:
    """Return the modules or files of one statement."""
    statement = statement[:_MAX_STATEMENT]
    if language == "python":
        return _python(statement)
    quoted = _QUOTED.findall(statement)
    if quoted:
        return list(dict.fromkeys(quoted))[:_MAX_EACH]
    while (shorter := _WORDS.sub("", statement, count=1)) != statement:
        statement = shorter
    found = _PATH.search(statement)
    return [found[0][:300]] if found else []


def _python(statement: str) -> list[str]:
    statement = _COMMENT.sub("", statement)
    found = _PYTHON_FROM.match(statement)
    if found is None:
        parts = statement.removeprefix("import").split(",")
        return [words[0][:300] for part in parts[:_MAX_EACH] if (words := part.split())]
    module = "".join(found[1].split())
    separator = "" if module.endswith(".") or not module else "."
    names = [part.strip(" ()\n\t\r\\").split(" ")[0] for part in found[2].split(",")[:_MAX_EACH]]
    return [module[:300], *(f"{module}{separator}{name}"[:300] for name in names if name.isidentifier())]
