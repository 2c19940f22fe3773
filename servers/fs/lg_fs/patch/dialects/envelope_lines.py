"""The lines of a `*** Begin Patch` envelope in their proper form, however they were written.

Models write other verbs, other stars or none, leave blanks out, and put a fence or a diff into the envelope.
"""

from __future__ import annotations

import re

BEGIN = "*** Begin Patch"
END = "*** End Patch"
ADD_FILE, DELETE_FILE, UPDATE_FILE = "*** Add File: ", "*** Delete File: ", "*** Update File: "
MOVE_TO, END_OF_FILE = "*** Move to: ", "*** End of File"
FENCES = ("```", "~~~")
MORE = re.compile(r"\*\*\* ?\w|@@|\+|-(?!-\s*$)\S|--- |diff |<{5}|>{5}")
"""How lines begin that belong to a patch."""
_VERB = "add|create|new|update|modify|edit|patch|change|delete|remove"
_NEARLY = re.compile(
    rf"\*\*\*\s*(?:(?P<verb>{_VERB})(?:\s+file)?\s*:|(?P<loose>{_VERB})\s+file(?=\s)|(?P<file>file)\s*:|"
    r"(?P<move>(?:move|rename)(?:d)?\s+to)\s*:|(?P<mark>begin\s+patch|end\s+patch|end\s+of\s+file))"
    r"\s*(?P<rest>.*?)(?:\s*\*\*\*)?$",
    re.IGNORECASE,
)
_BEGIN = re.compile(r"(?P<before>[*\\#=<\[ -]{0,12})Begin Patch[*\\#=>\] -]{0,12}$", re.IGNORECASE)
_NAMES_FILE = re.compile(r"\*\*\*\s*\w+\s+file\b", re.IGNORECASE)
_AFTER_END = re.compile(r"[\"'`)\]}>;,.\s]{0,20}")
_MAX_HEADER = 5_000
_VERBS = {"add": ADD_FILE, "create": ADD_FILE, "new": ADD_FILE, "delete": DELETE_FILE, "remove": DELETE_FILE}
_MARKS = {"begin patch": BEGIN, "end patch": END, "end of file": END_OF_FILE}


def is_begin(line: str) -> bool:
    """Return whether a line begins an envelope."""
    return len(line) <= _MAX_HEADER and (_corrected(line) == BEGIN or _BEGIN.match(line) is not None)


def lacks_begin(lines: list[str]) -> bool:
    """Return whether only the first line of an envelope is missing."""
    first = _corrected(lines[0])
    begins = first.startswith((ADD_FILE, DELETE_FILE, UPDATE_FILE))
    return begins and any(_corrected(line) == END for line in lines if line.startswith("***"))


def envelope_lines(lines: list[str]) -> list[str]:
    """Return the lines with those of the envelope in their proper form."""
    begin = _BEGIN.match(lines[0])
    if begin is not None and begin["before"].strip() != "***":
        before = begin["before"]
        lines = [_with_stars(line, before) for line in lines]
    return [_corrected(line) if line.startswith("***") else line for line in lines]


def inner_lines(lines: list[str]) -> list[str] | None:
    """Return what is between the first and the last line of an envelope.

    `None` if its last line is missing, or if more of a patch follows it.
    """
    end = next((n for n in range(len(lines) - 1, 0, -1) if lines[n].rstrip() == END), 0)
    return lines[1:end] if end and not any(map(MORE.match, lines[end + 1 :])) else None


def unquoted(name: str) -> str:
    """Return a file name without the quotes or backticks around it."""
    name = name.strip()
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] and name[0] in "`\"'" else name


def _with_stars(line: str, before: str) -> str:
    """Return a line of the envelope with three stars in place of what else stands before it.

    Without stars, `delete: x` is a line of a file: only words such as `Delete File: x` or `Move to: x` are a header,
    and only where a line of a hunk does not begin.
    """
    if not line.startswith(before) or len(line) > _MAX_HEADER or line[len(before) :][:1].isspace():
        return line
    starred = f"*** {line[len(before) :]}"
    found = _NEARLY.match(starred)
    is_header = found is not None and (not found["verb"] or _NAMES_FILE.match(starred) is not None)
    return starred if is_header else line


def _corrected(line: str) -> str:
    """Return a line of the envelope in its proper form, any other line unchanged."""
    match = _NEARLY.match(line) if len(line) <= _MAX_HEADER else None
    if match is None or (match["mark"] and not _AFTER_END.fullmatch(match["rest"])):
        return line
    if match["mark"]:
        return _MARKS[" ".join(match["mark"].lower().split())]
    name = unquoted(match["rest"])
    verb = match["verb"] or match["loose"] or ""
    return (MOVE_TO if match["move"] else _VERBS.get(verb.lower(), UPDATE_FILE)) + name
