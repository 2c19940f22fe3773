"""JSON with line numbers: the standard library's parser for the values, one pass for where they stand."""

from __future__ import annotations

import json
import re

from lg_orch.analyst.sources.manifests.values import Values

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:\n]|[^\s"{}\[\],:]+')

Path = tuple[str, ...]


class Json(Values):
    """A parsed document whose top is an object. `problem` says why it could not be parsed; `data` is empty then."""

    def __init__(self, text: str) -> None:
        super().__init__()
        text = text.removeprefix("\ufeff")
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.problem = f"is not valid JSON ({str(error) or type(error).__name__})"
            parsed = {}
        if isinstance(parsed, dict):
            self.data = parsed
        else:
            self.problem = "is not a JSON object"
        self._lines = {} if self.problem else _key_lines(text)

    def line(self, *path: str) -> int:
        """Return the line of the key at this path, else of the nearest enclosing key, else 1.

        Array items count as `0`, `1`, …
        """
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1


def _key_lines(text: str) -> dict[Path, int]:
    """Path to line for every object key and array item, at most eight levels deep; the text is valid JSON."""
    found: dict[Path, int] = {}
    stack: list[tuple[str, str]] = []  # (kind, current key or index)
    line = 1
    key, expect_key = "", False
    for piece in _TOKEN.findall(text):
        if piece == "\n":
            line += 1
        elif piece in ("{", "["):
            stack.append((piece, "0" if piece == "[" else ""))
            expect_key = piece == "{"
            _note(found, stack, line, is_array=piece == "[")
        elif piece in ("}", "]"):
            stack.pop()
            expect_key = False
        elif piece == ",":
            expect_key = stack[-1][0] == "{"
            if not expect_key:
                stack[-1] = ("[", str(int(stack[-1][1]) + 1))
                _note(found, stack, line, is_array=True)
        elif piece != ":" and expect_key:
            key = json.loads(piece)
            stack[-1] = ("{", key)
            expect_key = False
            _note(found, stack, line, is_array=False)
        elif piece != ":" and stack and stack[-1][0] == "[":
            _note(found, stack, line, is_array=True, replace=True)
    return found


def _note(
    found: dict[Path, int], stack: list[tuple[str, str]], line: int, *, is_array: bool, replace: bool = False
) -> None:
    if len(stack) > 8 or not (stack[-1][1] or is_array):
        return
    path = tuple(part for _, part in stack)
    if replace:
        found[path] = line
    else:
        found.setdefault(path, line)
