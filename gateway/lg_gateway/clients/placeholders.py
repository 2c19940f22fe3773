"""Writes the placeholders of each client in the gateway's syntax (see `values`), or says which is not understood.

The same text means different things to different clients: `$HOME` is a text in a file of Claude's and a value in a
file of Gemini CLI's. So each client has its own set of syntaxes. What looks like a placeholder and is none that its
client knows costs the entry: a server must never get `${…}` as a text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lg_gateway.clients.entry import UnusableEntry
from lg_gateway.clients.values import PLACEHOLDER

_SYNTAX = re.compile(
    r"\$\{\{(?P<hub>[^{}]*)\}\}|\$\{(?P<body>[^${}]*)\}|\{(?P<brace>env|file):(?P<what>[^{}]*)\}"
    r"|\$(?P<plain>[A-Za-z_][A-Za-z0-9_]*)"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMED = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(:-[^${}]*)?")
_HUB = re.compile(r"\s*(?:secrets|inputs)\.([A-Za-z0-9_./-]+)\s*")
SHOWN = 60
"""Characters of a placeholder that a message quotes."""


@dataclass(frozen=True, kw_only=True)
class Syntaxes:
    """What a client expands beyond `${NAME}`, `${NAME:-default}` and `${env:NAME}`, which are read in every file."""

    braces: bool = False
    """`{env:NAME}` and `{file:PATH}`."""
    plain: tuple[str, ...] = ()
    """The keys in which `$NAME` is a placeholder."""
    empty_in: tuple[str, ...] = ()
    """The keys in which a variable that is not set is empty."""
    secrets: bool = False
    """`${{ secrets.NAME }}`."""
    files: bool = False
    """`${file:PATH}`."""


class OwnText(str):
    """A text that is in the gateway's syntax already. A file cannot make one: it would reach others' secrets."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Translation:
    """Translates the texts of one entry."""

    syntaxes: Syntaxes
    secret: Callable[[str], str | None]
    """Gives the name under which the value for an id is kept, `None` for an id that the file does not ask for."""
    folder: str
    """The folder of the file, which relative paths of `file:` start from."""

    def text(self, key: str, text: str) -> str:
        """Return a text of the entry's key `key` in the gateway's syntax. Raises `UnusableEntry`."""
        if isinstance(text, OwnText):
            return str(text)
        made = _SYNTAX.sub(lambda found: self._one(key, found), text)
        if "${" in PLACEHOLDER.sub("", made):
            raise _not_understood(key, made[made.index("${") :])
        return made

    def _one(self, key: str, found: re.Match[str]) -> str:
        if found["hub"] is not None:
            match = _HUB.fullmatch(found["hub"])
            name = self.secret(match[1]) if match is not None and self.syntaxes.secrets else None
            if name is None:
                raise _not_understood(key, found[0])
            return f"${{secret:{name}}}"
        if found["brace"]:
            return self._brace(key, found)
        if found["plain"]:
            return self._variable(key, found["plain"], "") if key in self.syntaxes.plain else found[0]
        return self._body(key, found["body"], found[0])

    def _brace(self, key: str, found: re.Match[str]) -> str:
        if not self.syntaxes.braces:
            return found[0]
        if found["brace"] == "file":
            return self._file(found["what"])
        if not _NAME.fullmatch(found["what"]):
            raise _not_understood(key, found[0])
        return f"${{{found['what']}:-}}"

    def _body(self, key: str, body: str, whole: str) -> str:
        if body in _WORDS:
            return _WORDS[body]
        named = _NAMED.fullmatch(body)
        if named is not None:
            if named[1] in _FOLDERS:
                return "${workspaceFolder}"
            return self._variable(key, named[1], named[2] or "")
        kind, _, what = body.partition(":")
        if kind == "file" and what and self.syntaxes.files:
            return self._file(what)
        name = self.secret(what) if kind == "input" else None
        if name is None:
            raise _not_understood(key, whole)
        return f"${{secret:{name}}}"

    def _variable(self, key: str, name: str, default: str) -> str:
        return f"${{{name}{default or (':-' if key in self.syntaxes.empty_in else '')}}}"

    def _file(self, path: str) -> str:
        return f"${{file:{os.path.normpath(os.path.join(self.folder, os.path.expanduser(path)))}}}"


_WORDS: Mapping[str, str] = {
    "workspaceFolder": "${workspaceFolder}",
    "workspaceRoot": "${workspaceFolder}",
    "userHome": "${USERPROFILE}" if os.name == "nt" else "${HOME}",
    "pathSeparator": os.sep,
    "/": os.sep,
}
_FOLDERS = frozenset(("CLAUDE_PROJECT_DIR",))
"""Variables by which a client names the project to its servers."""


def _not_understood(key: str, placeholder: str) -> UnusableEntry:
    shown = placeholder if len(placeholder) <= SHOWN else f"{placeholder[:SHOWN]}…"
    return UnusableEntry(
        f"{key} has the placeholder {shown!r}, which is not understood",
        hint="write the value, or ${NAME} for a variable",
    )
