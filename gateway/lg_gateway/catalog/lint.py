"""Finds definitions that give orders to the model instead of describing a tool. It warns and stops nothing.

These are heuristics for English text. They miss other wordings and languages, and flag some honest descriptions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from lg_policy.printing import visible

LONG = 4_000
_TWINS = str.maketrans("015", "ols")
_WORDINGS = {
    "tells the model to ignore something": r"\b(ignore|disregard|forget)\b.{0,40}\b(instruction|previous|above|rule)",
    "tells the model to hide something": r"\b(not|don't|never)\b.{0,30}\b(tell|mention|inform|reveal)\b.{0,30}\buser",
    "tells the model to send something elsewhere": r"\b(send|post|upload|forward|exfiltrate)\b.{0,80}\bhttps?://",
    "uses markup that poses as instructions": r"<\s*(important|system|instructions?|secret)\b",
    "asks to be called before or instead of others": r"\b(always|must)\b.{0,40}\b(call|use)\b.{0,40}\b(first|instead)",
    "mentions credentials or key files": r"\b(id_rsa|\.ssh|\.env|private key|api[ _-]?key|password)\b",
}


@cache
def _signs() -> list[tuple[str, re.Pattern[str]]]:
    return [(what, re.compile(wording, re.IGNORECASE)) for what, wording in _WORDINGS.items()]


def lint(definition: Mapping[str, Any]) -> list[str]:
    """Return what is suspicious about one definition, as a pin holds it."""
    texts = list(_texts(definition))
    found = [what for what, sign in _signs() if any(sign.search(text) for text in texts)]
    if any(visible(line) != line for text in texts for line in re.split(r"[\n\r\t]", text)):
        found.append("contains invisible or direction-changing characters")
    length = len(str(definition.get("description", "")))
    if length > LONG:
        found.append(f"has a description of {length} characters")
    if not str(definition.get("name", "")).isascii():
        found.append("has a name with letters beyond ASCII, which may look like others")
    return found


def lookalikes(tools: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return pairs of tools of different servers whose own names look the same, or are.

    `tools` are public name, server and the server's own name of each.
    """
    seen: dict[str, tuple[str, str]] = {}
    pairs = []
    for name, server, tool in tools:
        first, owner = seen.setdefault(_folded(tool), (name, server))
        if owner != server:
            pairs.append((first, name))
    return pairs


def _folded(name: str) -> str:
    """Reduce a name to what the eye can tell apart: no case, separators or accents; 0 is o, 1 and I are l, rn is m."""
    plain = unicodedata.normalize("NFKD", name.replace("I", "l")).casefold()
    return re.sub(r"[^a-z0-9]", "", plain).translate(_TWINS).replace("rn", "m").replace("vv", "w")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
