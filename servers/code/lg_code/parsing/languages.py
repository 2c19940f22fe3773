"""Which language a file is in, and which grammar reads it. Nothing is loaded before a file of the language is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any

TEXT = "text"
"""The language of files that no grammar here reads. They are read line by line."""
_SHEBANG = re.compile(
    rb"#![ \t]*\S*?/?(?:env[ \t]+(?:-S[ \t]+)?)?(bash|sh|zsh|dash|ksh|python|node|deno|ruby|php)[0-9.]*\b"
)
_MODELINE = re.compile(rb"-\*-.{0,100}?mode:[ \t]*([A-Za-z+#]{1,12})")
_HEAD = 300


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language with a grammar: the wheel that holds it, the function that returns it, the query that reads it."""

    name: str
    module: str
    function: str
    query: str
    suffixes: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Whole file names of this language that have no suffix."""


def _language(
    name: str, wheel: str, query: str, suffixes: str, *, function: str = "language", names: str = ""
) -> Language:
    return Language(
        name=name,
        module=f"tree_sitter_{wheel}",
        function=function,
        query=query,
        suffixes=tuple(suffixes.split()),
        names=tuple(names.split()),
    )


LANGUAGES = (
    _language("python", "python", "PYTHON", "py pyi pyw", names="SConstruct SConscript wscript"),
    _language("javascript", "javascript", "JAVASCRIPT", "js jsx mjs cjs", names="Jakefile"),
    _language("typescript", "typescript", "TYPESCRIPT", "ts mts cts", function="language_typescript"),
    _language("tsx", "typescript", "TSX", "tsx", function="language_tsx"),
    _language("rust", "rust", "RUST", "rs"),
    _language("go", "go", "GO", "go"),
    _language("java", "java", "JAVA", "java"),
    _language("c", "c", "C", "c"),
    _language("cpp", "cpp", "CPP", "cc cpp cxx c++ h hh hpp hxx h++ ipp inl tpp cu cuh"),
    _language("csharp", "c_sharp", "CSHARP", "cs csx"),
    _language("ruby", "ruby", "RUBY", "rb rake gemspec ru", names="Rakefile Gemfile Guardfile Vagrantfile"),
    _language("php", "php", "PHP", "php phtml php5 php7 inc", function="language_php"),
    _language("kotlin", "kotlin", "KOTLIN", "kt kts"),
    _language("swift", "swift", "SWIFT", "swift"),
    _language("bash", "bash", "BASH", "sh bash zsh ksh bats", names=".bashrc .bash_profile .profile .zshrc configure"),
)
BY_NAME = {language.name: language for language in LANGUAGES}
_BY_SUFFIX = {suffix: language.name for language in LANGUAGES for suffix in language.suffixes}
_BY_FILE = {name: language.name for language in LANGUAGES for name in language.names}
_PROGRAMS = {
    b"bash": "bash",
    b"sh": "bash",
    b"zsh": "bash",
    b"dash": "bash",
    b"ksh": "bash",
    b"python": "python",
    b"node": "javascript",
    b"deno": "typescript",
    b"ruby": "ruby",
    b"php": "php",
}
_MODES = {b"c++": "cpp", b"python": "python", b"ruby": "ruby", b"sh": "bash", b"c": "c"}


def language_of(path: str, head: bytes) -> str:
    """Return the language of a file by its name, and for names that say nothing by its first bytes; else `TEXT`."""
    name = path.rpartition("/")[2]
    if name in _BY_FILE:
        return _BY_FILE[name]
    stem, dot, suffix = name.rpartition(".")
    if dot and stem:
        return _BY_SUFFIX.get(suffix.lower(), TEXT)
    start = head[:_HEAD]
    shebang = _SHEBANG.match(start)
    if shebang is not None:
        return _PROGRAMS[shebang[1]]
    mode = _MODELINE.search(start)
    return _MODES.get(mode[1].lower(), TEXT) if mode is not None else TEXT


class GrammarMissing(Exception):
    """The grammar of a language cannot be loaded here. The message says why."""


class Grammar:
    """A loaded grammar with its query."""

    def __init__(self, language: Language) -> None:
        try:
            import tree_sitter

            from lg_code.parsing import queries

            loaded = tree_sitter.Language(getattr(import_module(language.module), language.function)())
            self.parser: Any = tree_sitter.Parser(loaded)
            self.query: Any = tree_sitter.Query(loaded, getattr(queries, language.query))
            self.cursor: Any = tree_sitter.QueryCursor
        except (ImportError, AttributeError, ValueError, OSError, tree_sitter_error()) as error:
            raise GrammarMissing(f"no grammar of {language.name} can be loaded here: {error}") from error


def tree_sitter_error() -> type[Exception]:
    """Return the error for a query that does not fit the grammar: a wheel of another version has other nodes."""
    try:
        import tree_sitter
    except ImportError:
        return ImportError
    error: type[Exception] = tree_sitter.QueryError
    return error
