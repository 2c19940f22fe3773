"""Writes a call's arguments to files for a person's editor, and reads them back.

`arguments.json` holds them; a text of several lines is a file of its own, `<name>.txt`, since nobody edits a patch
inside a JSON string.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lg_policy.errors import InvalidArguments
from lg_policy.state import make_private, replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ARGUMENTS = "arguments.json"
_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")


def write_draft(directory: Path, arguments: Mapping[str, Any]) -> list[Path]:
    """Write the files, instead of those of an earlier draft, and return them."""
    make_private(directory)
    for old in (*directory.glob("*.txt"), *directory.glob("*.json")):
        old.unlink()
    apart = {
        name: value
        for name, value in arguments.items()
        if isinstance(value, str) and "\n" in value and _NAME.fullmatch(name)
    }
    rest = {name: value for name, value in arguments.items() if name not in apart}
    written: list[Path] = []
    for name, text in apart.items():
        path = directory / f"{name}.txt"
        replace_file(path, text.encode("utf-8", "surrogatepass"))
        written.append(path)
    if rest or not written:
        path = directory / ARGUMENTS
        replace_file(path, json.dumps(rest, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        written.append(path)
    return written


def read_draft(directory: Path) -> dict[str, Any]:
    """Return the arguments that the files hold now. Raises `InvalidArguments` for what cannot be read."""
    path = directory / ARGUMENTS
    found = read_arguments(path) if path.exists() else {}
    for text in sorted(directory.glob("*.txt")):
        found[text.stem] = read_text(text)
    return found


def read_arguments(path: Path) -> dict[str, Any]:
    """Return the JSON object of one file. Raises `InvalidArguments`."""
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise InvalidArguments(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArguments(f"{path} does not hold a JSON object", hint='for example {"path": "a.py"}')
    return value


def read_text(path: Path) -> str:
    """Return a file that a person wrote. Raises `InvalidArguments`."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArguments(f"{path} cannot be read: {error}") from error
