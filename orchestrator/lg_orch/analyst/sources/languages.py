"""Which extension is which language, and which files are code of a program."""

from __future__ import annotations

CODE: dict[str, str] = {
    ".py": "Python", ".pyi": "Python", ".pyx": "Cython",
    ".js": "JavaScript", ".mjs": "JavaScript", ".cjs": "JavaScript", ".jsx": "JavaScript",
    ".ts": "TypeScript", ".mts": "TypeScript", ".cts": "TypeScript", ".tsx": "TypeScript",
    ".vue": "Vue", ".svelte": "Svelte",
    ".rs": "Rust", ".go": "Go", ".java": "Java", ".kt": "Kotlin",
    ".scala": "Scala", ".groovy": "Groovy",
    ".c": "C", ".h": "C/C++ header", ".cc": "C++", ".cpp": "C++", ".cxx": "C++", ".hpp": "C++",
    ".hh": "C++", ".cs": "C#",
    ".rb": "Ruby", ".php": "PHP", ".swift": "Swift", ".m": "Objective-C", ".ex": "Elixir",
    ".exs": "Elixir", ".erl": "Erlang",
    ".hs": "Haskell", ".ml": "OCaml", ".clj": "Clojure", ".lua": "Lua", ".pl": "Perl", ".pm": "Perl", ".r": "R",
    ".jl": "Julia",
    ".dart": "Dart", ".zig": "Zig", ".nim": "Nim", ".sh": "Shell", ".bash": "Shell", ".zsh": "Shell", ".fish": "Shell",
    ".ps1": "PowerShell", ".sql": "SQL", ".proto": "Protocol Buffers", ".f90": "Fortran", ".asm": "Assembly",
    ".s": "Assembly",
}  # fmt: skip
"""Extensions of source code."""

OTHER: dict[str, str] = {
    ".md": "Markdown", ".markdown": "Markdown", ".rst": "reStructuredText", ".adoc": "AsciiDoc", ".txt": "plain text",
    ".json": "JSON", ".yml": "YAML", ".yaml": "YAML", ".toml": "TOML", ".xml": "XML", ".ini": "INI", ".cfg": "INI",
    ".html": "HTML", ".htm": "HTML", ".css": "CSS", ".scss": "CSS", ".sass": "CSS", ".less": "CSS", ".svg": "SVG",
    ".csv": "CSV", ".ipynb": "Jupyter notebook", ".tf": "Terraform", ".gradle": "Gradle", ".kts": "Kotlin script",
    ".lock": "lock file",
    ".j2": "template", ".jinja2": "template", ".tmpl": "template", ".cmake": "CMake",
}  # fmt: skip
"""Extensions of text that is not source code."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "python": (".py", ".pyi"),
    "js": (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".vue", ".svelte"),
    "rust": (".rs",),
    "go": (".go",),
    "jvm": (".java", ".kt", ".scala", ".groovy"),
}
"""Families whose imports and entry points the analyst understands."""


def extension(path: str) -> str:
    """Return the lower-cased extension with its dot, empty when there is none (also for `.gitignore`)."""
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def family_of(path: str) -> str | None:
    """Return the family of a path, or None."""
    ending = extension(path)
    return next((family for family, endings in FAMILIES.items() if ending in endings), None)


def normal_extension(name: str) -> str:
    """Return an extension as totals spell it, with or without a leading dot, in this module's spelling."""
    lowered = name.lower()
    return lowered if not lowered or lowered.startswith(".") else f".{lowered}"
