"""Recognises files that tell coding agents what to do, such as `AGENTS.md`: they affect every later run. Pure.

So are the settings by which agents and editors start servers, run commands or stop asking.

Not covered: a guide may link to or import a file of another name. A change of that file by its own name is not seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = (
    r"agents?(?:\.[\w-]+)?\.(?:md|markdown)", r"claude(?:\.[\w-]+)?\.md", r"(?:gemini|qwen|warp|skill)\.md",
    r"(?:codex|crush(?:\.local)?|iflow|amazonq|replit)\.md",
    r"copilot-instructions\.md", r"\w[\w.-]*\.(?:instructions|prompt|chatmode|agent)\.md",
    r"\.(?:cursor|windsurf|cline|roo|kilocode|air)rules(?:\.md)?", r"airules\.md", r"\.(?:roo|kilocode)modes",
    r"\.goosehints", r"\.rules", r"\.augment-guidelines", r"\.aider\.conf\.ya?ml", r"\.?mcp\.json",
    r"opencode\.jsonc?", r"\.?crush\.json", r"\.vscode/(?:settings|tasks)\.json", r"\.lg\.toml",
)  # fmt: skip
_DIRECTORIES = (
    r"\.(?:agents?|aider|amazonq|augment|claude|clinerules|codex|continue|crush|cursor|devin|factory|gemini|idx|iflow"
    r"|junie|kilocode|kiro|openhands|opencode|qwen|roo|ruler|tabnine|trae|windsurf|zed"
    r"|github[/\\](?:agents|chatmodes|instructions|prompts|skills))"
)
# Windows drops dots and blanks at the end of a name, and a directory may have the name of a guide.
_NAMED = re.compile(
    rf"(?<![\w.-])(?:(?:{'|'.join(_NAMES)})(?![\w-])|{_DIRECTORIES}(?:[/\\]|(?![\w.-])))", re.IGNORECASE
)
_PATH = re.compile(
    rf"(?:^|[/\\])(?:(?:{'|'.join(_NAMES)})[. ]*(?:$|[/\\:])|{_DIRECTORIES}[. ]*(?:$|[/\\]))", re.IGNORECASE
)
_ESCAPE = re.compile(r"\\+(?:u00([2-7][0-9a-fA-F])|(0[4-7][0-7]|1[0-7]{2}))")
_HEADER_WORDS = 8
"""Words of a line of a patch that names a file, at most."""
_MARKS = re.compile(r"[\s`\"'*:#<>()\[\],={}]+")


def guides_in(paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of some paths that name a guide, in any case of letters."""
    return tuple(path for path in paths if _PATH.search(path))


def guides_named(text: str) -> tuple[str, ...]:
    """Return the guides that a text names somewhere, for a call whose changed files are not known.

    A name counts also where its letters are written as git or JSON escapes them, which the file server reads.
    """
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16) if found[1] else int(found[2], 8)), text)
    texts = (text, plain) if plain != text else (text,)
    return tuple(dict.fromkeys(found[0] for each in texts for found in _NAMED.finditer(each)))


def guides_addressed(values: object) -> tuple[str, ...]:
    """Return the guides to which the arguments of a patch are addressed, by the names that they use themselves.

    A guide may be a link: then the file that changes has another name. Text that merely mentions a guide is longer
    than a line that names a file, mostly.
    """
    if isinstance(values, str):
        lines = (line.split(maxsplit=_HEADER_WORDS) for line in values.splitlines())
        words = (part for line in lines if len(line) <= _HEADER_WORDS for word in line for part in _MARKS.split(word))
        return tuple(dict.fromkeys(re.sub(r"^[ab]/", "", name) for name in guides_in(words)))
    if isinstance(values, dict):
        values = list(values.values())
    found = [name for value in values for name in guides_addressed(value)] if isinstance(values, list) else []
    return tuple(dict.fromkeys(found))
