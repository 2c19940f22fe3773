"""Edits a client's file in its own format, and writes it so that a crash leaves the old file or the new one."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lg_gateway.clients.formats import json_edit, toml_text, yaml_edit
from lg_gateway.clients.formats.documents import JSON_BYTES, OTHER_BYTES, Document, parsed, why_not
from lg_gateway.clients.installing.entries import InstallRow
from lg_gateway.clients.recognition import at
from lg_policy.errors import ConfigError
from lg_policy.state import replace_file

_OURS = re.compile(r"(?:^|[/\\])lg-(?:gateway|fs|exec)(?:\.exe)?$")
_MARK = "\ufeff"


def read_file(path: Path, row: InstallRow) -> bytes | None:
    """Return a file's content, `None` where there is none. Raises `ConfigError` for one that is too long."""
    limit = JSON_BYTES if row.format == "json" else OTHER_BYTES
    try:
        with open(path, "rb", opener=_opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"cannot read {path}: it is not a regular file")
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if len(data) > limit:
        raise ConfigError(f"cannot read {path}: it has more than {limit} bytes")
    return data


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe that nobody writes to must not keep us waiting


class ClientText:
    """The text of a client's file, to be changed entry by entry. Raises `ConfigError` where it cannot be."""

    def __init__(self, path: Path, row: InstallRow, data: bytes | None) -> None:
        self._path = path
        self._row = row
        try:
            text = (data or b"").decode("utf-8")
            self._mark = _MARK if text.startswith(_MARK) else ""
            self._text = text.removeprefix(_MARK)
            if row.strict and self._text.strip():
                json.loads(self._text)
            _refuse_other_shapes(parsed(row.format, self._text) if self._text.strip() else {}, row)
        except (ValueError, TypeError, RecursionError) as error:
            unread = row.strict and isinstance(error, ValueError)
            hint = f"{row.title} cannot read it either" if unread else "add the entry by hand: see --print"
            raise ConfigError(f"cannot change {path}: {why_not(error)}", hint=hint) from error

    def document(self) -> Document:
        """Return what the text says."""
        return Document(path=self._path, format=self._row.format, content=self._content())

    def entries(self) -> Mapping[str, Any]:
        """Return the client's table of servers."""
        table = at(self._content(), self._row.table)
        return table if isinstance(table, Mapping) else {}

    def data(self) -> bytes:
        """Return the text as it is written."""
        return (self._mark + self._text).encode()

    def put(self, name: str, value: Any) -> None:
        """Set an entry."""
        if self.entries().get(name) == value:
            return
        self._edit(lambda text, table: _PUT[self._row.format](text, table, name, value))

    def drop(self, name: str) -> None:
        """Take an entry out."""
        self.drop_all((name,))

    def drop_all(self, names: Collection[str]) -> None:
        """Take several entries out. Each format reads the text once for that, however many there are."""
        there = [name for name in self.entries() if name in names]
        if there:
            self._edit(lambda text, table: _DROP[self._row.format](text, table, there))

    def _edit(self, change: Any) -> None:
        try:
            self._text = change(self._text, self._row.table)
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"cannot change {self._path}: {why_not(error)}", hint="add the entry by hand: see --print"
            ) from error

    def _content(self) -> Any:
        return parsed(self._row.format, self._text) or {}


def _refuse_other_shapes(content: Any, row: InstallRow) -> None:
    """Raise `TypeError` if the way to the table of servers leads through anything but objects."""
    for step, name in zip(("", *row.table), ("the file", *map(repr, row.table)), strict=True):
        around, content = content, content if not step else content.get(step)
        if content is None:
            if row.format == "json" and (not step or step in around):
                raise TypeError(f"{name} is null, where servers by name belong; take that out")
            return
        if not isinstance(content, Mapping):
            raise TypeError(f"{name} holds a {type(content).__name__}, where servers by name belong")


def _put_toml(text: str, table: tuple[str, ...], name: str, value: Any) -> str:
    return toml_text.with_tables(toml_text.without_tables(text, table, (name,)), table, {name: value})


_PUT: Mapping[str, Any] = {
    "json": json_edit.with_member,
    "toml": _put_toml,
    "yaml": lambda text, table, name, value: yaml_edit.with_entry(text, table[0], name, value),
}


def _drop_yaml(text: str, table: tuple[str, ...], names: Sequence[str]) -> str:
    for name in names:
        text = yaml_edit.without_entry(text, table[0], name)
    return text


_DROP: Mapping[str, Any] = {
    "json": json_edit.without_members,
    "toml": lambda text, table, names: toml_text.without_tables(text, table, tuple(names)),
    "yaml": _drop_yaml,
}


def is_ours(entry: Any) -> bool:
    """Return whether an entry starts a program of ours."""
    if not isinstance(entry, Mapping):
        return False
    command = entry.get("command", entry.get("cmd"))
    args = entry.get("args")
    words = command if isinstance(command, list) else [command, *(args if isinstance(args, list) else ())]
    return any(isinstance(word, str) and (_OURS.search(word) or word == "lg_gateway") for word in words[:4])


def write_file(path: Path, row: InstallRow, before: bytes | None, after: bytes | None) -> None:
    """Replace a file if nobody changed it since it was read. Its mode and its links stay. `None` removes it."""
    real = Path(os.path.realpath(path))
    if read_file(real, row) != before:
        raise ConfigError(f"{path} was changed by another program meanwhile", hint="run the command again")
    try:
        if after is None:
            real.unlink(missing_ok=True)
            return
        real.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(real.stat().st_mode) if before is not None else 0o600
        replace_file(real, after, mode)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
