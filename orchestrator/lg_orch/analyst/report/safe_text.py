"""Text from a repository, made safe to print: it may try to redraw a terminal, forge a heading or hide a link.

Two steps that every quotation goes through: `visible` spells out characters that a reader cannot see, then `prose` or
`code` takes away the meaning that Markdown would give to the rest. What this does not cover: text that simply lies in
plain words; the report names the file and line, so that a reader knows who is speaking.
"""

from __future__ import annotations

import re

from lg_policy import printing

_SPACES = re.compile(r"\s+")
_SPECIAL = re.compile(r"([\\`*_\[\]<>~#&!$])")
_LINE_START = re.compile(r"^(\d+)([.)])(?=\s)|^([-+=])")
_SCHEME = re.compile(r"(?i)\b(https?|ftp|mailto|javascript|data|file):")
_WWW = re.compile(r"(?i)\b(www)\.")
_INSIDE_WORD = re.compile(r"(?<=[^\W_])\\_(?=[^\W_])")


def visible(text: str) -> str:
    """Return one line of `text`, with what does not show as itself as `\\u{…}`."""
    return printing.visible(_SPACES.sub(" ", text).strip())


def shorten(text: str, limit: int) -> str:
    """Return `text` cut to `limit` characters, with an ellipsis when something was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def prose(text: str, limit: int = 600) -> str:
    """Return a sentence from a file, for running text: nothing in it is markup, a link or a line break."""
    line = shorten(visible(text), limit)
    line = _SPECIAL.sub(r"\\\1", line)
    line = _INSIDE_WORD.sub("_", line)  # an underscore between letters never starts emphasis
    line = _LINE_START.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", line)
    line = _SCHEME.sub(r"\1\\:", line)
    return _WWW.sub(r"\1\\.", line)


def code(text: str, limit: int = 160) -> str:
    """Return a name, path or source line from a file as a code span that it cannot leave."""
    line = shorten(visible(text), limit)
    if not line:
        return "`(empty)`"
    runs = [len(run) for run in re.findall(r"`+", line)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def cell(markdown: str) -> str:
    """Return safe Markdown as a table cell: a bar would end it, even inside a code span."""
    return markdown.replace("|", "\\|")
