"""Where a name is defined: one expression for the definitions of many languages, and what kind each hit is."""

from __future__ import annotations

import re

_WORDS = (
    r"export|default|pub(?:\([^)\n]*\))?|public|private|protected|internal|static|abstract|final|sealed|async|unsafe|const"
    r"|inline|virtual|override|open|data|partial|declare|extern(?:[ \t]+\"\w+\")?"
)
_HEAD = rf"^[ \t]*(?:(?:{_WORDS})[ \t]+)*"
_METHOD = r"(?:(?:async|static|get|set|public|private|protected|readonly|\*)[ \t]+)*"
_MEMBER = (
    r"(?:(?:public|private|protected|static|final|abstract|synchronized|default|native)[ \t]+)+(?:<[^>\n]+>[ \t]+)?"
)
_KINDS = (
    "class|interface|struct|enum|trait|union|record|object|protocol|namespace|module|mod|impl|type|typedef|def|func|fn|fun"
    "|function\\*?|macro_rules!|sub"
)
_VALUES = "let|var|val|const|static"
_KIND = re.compile(rf"\b({_KINDS}|{_VALUES})\b")


def definition(name: str) -> str:
    """Return RE2 expression that matches a line defining `name`: by keyword, as a method, or by assignment."""
    word = re.escape(name)
    return "|".join(
        (
            rf"{_HEAD}(?:{_KINDS})[ \t]+(?:mut[ \t]+|\w+\.)?{word}\b",
            rf"{_HEAD}(?:{_VALUES})[ \t]+(?:mut[ \t]+)?{word}\b[ \t]*(?:[:=;,]|[^(\n]*$)",
            rf"^[ \t]*(?:[\w$]+\.)+{word}[ \t]*=[ \t]*(?:async[ \t]+)?(?:function\b|\(|\w+[ \t]*=>)",
            rf"^func[ \t]+\([^)\n]*\)[ \t]*{word}\b",
            rf"^{word}[ \t]*(?::[^=\n]+)?=(?:[^=]|$)",
            rf"^[ \t]*(?:[\w$]+\.)*(?:exports|prototype)\.{word}[ \t]*=",
            rf"^#define[ \t]+{word}\b",
            rf"^[ \t]+{_METHOD}{word}[ \t]*\([^;\n]*\)[ \t]*(?::[^;\n]+)?\{{[ \t]*\r?$",
            rf"^[ \t]*{_MEMBER}[\w<>\[\],.?& ]+[ \t]{word}[ \t]*[(=;]",
        )
    )


def kind_of(line: str, name: str) -> str:
    """Return what a defining line defines, in one word."""
    before = line.partition(name)[0]
    found = _KIND.findall(before)
    if found:
        words: dict[str, str] = {
            "def": "function",
            "fn": "function",
            "func": "function",
            "fun": "function",
            "mod": "module",
        }
        last = str(found[-1])
        return words.get(last, last)
    return "method" if re.search(re.escape(name) + r"\s*\(", line) else "value"


def is_definition(line: str, name: str) -> bool:
    """Tell whether a line defines the name, by the same expression."""
    return re.search(definition(name), line) is not None


def plain(name: str) -> tuple[str, str]:
    """Return the qualifier and last part of a name such as `Client.send`, `pkg::Type` or `a/b.py`."""
    parts = [part for part in re.split(r"::|[.#/]", name) if part]
    return (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else name)
