"""Removes what people, models and editors put around a patch, if the patch's meaning stays certain.

It removes a byte order mark, Windows or old Mac line breaks, a Markdown fence, a here-document, an indentation or
quotation mark before every line, sentences before the patch, one JSON or HTML encoding too many, and what does not show
in the lines of the format itself.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable

_HERE_DOCUMENT = re.compile(
    r"\s*(?:\$ *)?(?:apply_patch|applypatch|git apply|patch|cat)\b[^\n<]*<<-?\s*(['\"]?)(\w+)\1[^\n]*$"
)
_SHELL = re.compile(r"\s*(?:bash|sh|zsh) -l?c (['\"])(.*)$", re.DOTALL)
_QUOTED_CALL = re.compile(r"\s*(?:apply_patch|applypatch)\s*(['\"]?)\s*$")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_FENCES = ("```", "~~~")
_BETWEEN = re.compile(r"[:=\s]")
_FILE_NAME = re.compile(r"[\w./@-]*\w\.[A-Za-z]\w*")
_ENVELOPE = re.compile(r"\s*\*\*\*\s*Begin Patch", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[\d;]{0,20}[mK]")
_COLOURED = re.compile(r"^\x1b\[[\d;]{0,20}m[-+@ d]", re.MULTILINE)
_INLINE = re.compile(r"\S[^\n]{0,80}?(\*\*\* ?Begin Patch\s*)$", re.IGNORECASE)
_TAG = re.compile(r"<([A-Za-z][\w-]{0,40})>|<!\[CDATA\[")
_PREFIX = re.compile(r"[ \t]+|(?:> )+")
_ESCAPED = re.compile(r"(?:&lt;){5,9} ?(?:SEARCH|ORIGINAL|OLD|HEAD)\b")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_OF_THE_FORMAT = re.compile(
    r"\*\*\*\s*\w|---\s|\+\+\+\s|@@|<{5,9}\s?[A-Z]|={7}\s*$|>{5,9}\s?[A-Z]|diff\s--git", re.IGNORECASE
)
_NO_BREAK = re.compile(r"^(\*\*\*|---|\+\+\+|@@|<{5,9}|>{5,9}|diff)\u00a0+")
_MAX_HEADER = 5_000
_MAX_LAYERS = 5


def patch_lines(text: str, begins: Callable[[str], bool], has_blocks: Callable[[list[str]], bool]) -> list[str]:
    """Return the lines of the patch itself.

    `begins` tests whether a line begins a patch, `has_blocks` whether lines contain SEARCH/REPLACE blocks.
    """
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("\x1b[") or _COLOURED.search(text):
        text = _COLOURS.sub("", text)  # a diff that was copied from a terminal
    text = _decoded(text)
    if "<" not in text and _ESCAPED.search(text):
        text = html.unescape(text)
    lines = _split(text) if text.isascii() else [_visible(line) for line in _split(text)]
    for _ in range(_MAX_LAYERS):
        lines = _without_blank_ends(lines)
        if not lines or begins(lines[0]):
            lines = _first_line_apart(lines)
            break
        inner = _unwrapped(lines, begins, has_blocks)
        if inner is None:
            break
        lines = inner
    return lines


def _decoded(text: str) -> str:
    """Return the patch in a text that was quoted as JSON once more; any other text unchanged."""
    for _ in range(2):
        begin = text.lstrip()[:1]
        if begin in ("{", "[", '"'):
            inner = _patch_in(text)
            if inner is None:
                return text
            text = inner
        elif "\n" not in text and "\\n" in text:
            # One line with "\n" written out: the text of a JSON string without its quotes.
            inner = _patch_in(f'"{text}"')
            return text if inner is None else inner
    return text


def _patch_in(text: str) -> str | None:
    """Return the string in a JSON string, in an object with one string, or in a command `["apply_patch", TEXT]`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if isinstance(value, dict):
        value = next((value[key] for key in ("patch", "input", "diff") if key in value), None)
    if isinstance(value, list) and len(value) == 2 and value[0] in ("apply_patch", "applypatch"):
        value = value[1]
    if isinstance(value, list) and len(value) == 3 and value[0] in ("bash", "sh", "zsh") and value[1] in ("-c", "-lc"):
        value = value[2]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else None


def _split(text: str) -> list[str]:
    if "\n" not in text:
        return text.split("\r")  # as old Mac editors write; nothing else has "\r" alone
    lines = text.split("\n")
    if len(lines) > 1 and all(line.endswith("\r") for line in lines[:-1]):
        return [line.removesuffix("\r") for line in lines]
    return lines


def _visible(line: str) -> str:
    """Return a line of the patch format without what does not show around it, any other line unchanged."""
    if line.isascii() or len(line) > _MAX_HEADER:
        return line
    bare = line.strip(_INVISIBLE)
    return _NO_BREAK.sub(r"\1 ", bare) if _OF_THE_FORMAT.match(bare) else line


def _without_blank_ends(lines: list[str]) -> list[str]:
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    return lines[first:-1] if first < len(lines) and lines[-1] == "" else lines[first:]


def _unwrapped(
    lines: list[str], begins: Callable[[str], bool], has_blocks: Callable[[list[str]], bool]
) -> list[str] | None:
    """Remove one layer around the lines; return `None` if no known layer is left."""
    if fence_name(lines[0]) and has_blocks(lines):
        return None
    found = _from_here_document(lines) or _from_tags(lines)
    if found is None and _FENCE.match(lines[0]):
        found = _from_fence(lines, 0)
        if found is None and sum(1 for line in lines if _FENCE.match(line)) == 1:
            found = lines[1:]  # it is not closed
    if found is None:
        found = _without_prefix(lines)
        if found is not None and not begins(found[0]) and (has_blocks(lines) or not has_blocks(found)):
            found = None
    inline = _INLINE.match(lines[0]) if found is None else None
    if inline is not None:
        return [inline[1], *lines[1:]]
    # What stands before a block is its file's name.
    return found if found is not None or has_blocks(lines) else _after_sentences(lines, begins)


def fence_name(line: str) -> str | None:
    """Return the file that a line such as "```python:src/a.py" names, if it is a fence and names one."""
    if len(line) > _MAX_HEADER or _FENCE.match(line) is None:
        return None
    info = line.strip().lstrip("`~").strip()
    word = _BETWEEN.split(info)[-1].strip("\"'{}")
    return word if (word != info or "/" in word) and _FILE_NAME.fullmatch(word) else None


def _from_here_document(lines: list[str]) -> list[str] | None:
    shell = _SHELL.match(lines[0])
    if shell is not None and len(lines) > 1:
        lines = [shell[2], *lines[1:]]
    match = _HERE_DOCUMENT.match(lines[0])
    if match is not None:
        tag = re.compile(rf"\s*{match[2]}\s*['\")]*\s*")
        end = next((n for n in range(len(lines) - 1, 0, -1) if lines[n].strip()), 0)
        return lines[1:end] if tag.fullmatch(lines[end]) else lines[1:]
    call = _QUOTED_CALL.match(lines[0])
    if call is None or len(lines) < 2:
        return None
    if not call[1]:
        return lines[1:]
    end = next((n for n in range(len(lines) - 1, 0, -1) if lines[n].strip()), 0)
    return [*lines[1:end], lines[end].rstrip().removesuffix(call[1])]


def _from_tags(lines: list[str]) -> list[str] | None:
    """What is between `<patch>` and `</patch>`, or in a CDATA section, where each stands alone on its line."""
    opened = _TAG.fullmatch(lines[0].strip())
    end = next((n for n in range(len(lines) - 1, 0, -1) if lines[n].strip()), 0)
    if opened is None:
        return None
    closing = "]]>" if opened[1] is None else f"</{opened[1]}>"
    return lines[1:end] if lines[end].strip() == closing else None


def _from_fence(lines: list[str], begin: int) -> list[str] | None:
    """Return what is in the fence that begins there, if it closes and only sentences follow it."""
    fence = _FENCE.match(lines[begin])
    if fence is None:
        return None
    closing = [n for n in range(begin + 1, len(lines)) if lines[n].strip() == fence[1]]
    if not closing:
        return None
    end = closing[-1]
    return lines[begin + 1 : end] if not any(_FENCE.match(line) for line in lines[end + 1 :]) else None


def _without_prefix(lines: list[str]) -> list[str] | None:
    """Remove what begins all lines alike: an indentation, or a quotation mark."""
    match = _PREFIX.match(lines[0])
    if match is None:
        return None
    prefix = match[0]
    bare = prefix.rstrip()
    if any(line.strip() and not line.startswith(prefix) and line != bare for line in lines):
        return None
    return [line.removeprefix(prefix) if line.startswith(prefix) else "" for line in lines]


def _first_line_apart(lines: list[str]) -> list[str]:
    """Remove an indentation of all lines of an envelope but its first, as in an indented string of a program."""
    if len(lines) < 3 or not _ENVELOPE.match(lines[0]) or not lines[1].startswith((" ", "\t")):
        return lines
    rest = _without_prefix(lines[1:]) if _OF_THE_FORMAT.match(lines[1].lstrip()) else None
    return lines if rest is None else [lines[0], *rest]


def _from_fences(lines: list[str], begins: Callable[[str], bool]) -> list[str] | None:
    """Return what is in several fences, if each holds a whole patch; in a patch itself no line begins with a fence."""
    fences = [n for n, line in enumerate(lines) if line.startswith(_FENCES)]
    if len(fences) % 2:
        return None
    parts = [lines[first + 1 : last] for first, last in zip(fences[::2], fences[1::2], strict=True)]
    return [line for part in parts for line in part] if all(part and begins(part[0]) for part in parts) else None


def _after_sentences(lines: list[str], begins: Callable[[str], bool]) -> list[str] | None:
    """Return the patch after sentences about it: from its only fence, or from the only line that begins an envelope."""
    envelopes = [n for n, line in enumerate(lines) if _ENVELOPE.match(line)]
    fences = [n for n, line in enumerate(lines) if _FENCE.match(line)]
    if len(fences) == 2 and (not envelopes or fences[0] < envelopes[0]):
        inner = _from_fence(lines, fences[0])
        return None if inner and inner[0].startswith("@@") else inner  # its file is named above the fence
    if len(fences) > 2 and (joined := _from_fences(lines, begins)) is not None:
        return joined
    return lines[envelopes[0] :] if len(envelopes) == 1 and envelopes[0] > 0 else None
