"""Recognises files that tell coding agents what to do, such as `AGENTS.md`: they affect every later run. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = (
    r"agents?(?:\.[\w-]+)?\.md", r"claude(?:\.[\w-]+)?\.md", r"gemini\.md", r"qwen\.md", r"warp\.md", r"skill\.md",
    r"copilot-instructions\.md", r"\w[\w-]*\.instructions\.md", r"\.cursorrules", r"\.windsurfrules", r"\.clinerules",
    r"\.roorules", r"\.goosehints", r"\.rules",
)  # fmt: skip
_DIRECTORIES = r"\.(?:claude|cursor|windsurf|clinerules|roo|kiro|continue|agents|gemini|codex)/"
_NAMED = re.compile(rf"(?<![\w.-])(?:(?:{'|'.join(_NAMES)})(?![\w-])|{_DIRECTORIES})", re.IGNORECASE)
_PATH = re.compile(rf"(?:^|/)(?:(?:{'|'.join(_NAMES)})$|{_DIRECTORIES})", re.IGNORECASE)


def guides_in(paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of some paths that name a guide, in any case of letters."""
    return tuple(path for path in paths if _PATH.search(path))


def guides_named(text: str) -> tuple[str, ...]:
    """Return the guides that a text names somewhere, for a call whose changed files are not known."""
    return tuple(dict.fromkeys(found[0] for found in _NAMED.finditer(text)))
