"""Reads the name of a file out of a line that is not quite one: `**File:** x`, "x", `Edit x:`, `src\\x`, `a/x`.

What the line says is taken as text here. Whether such a file is there is for the planner to see.
"""

from __future__ import annotations

import re

MAX_WORDS = 8
"""Words of a line that names a file, at most: more make a sentence about something else."""
_MAX_LENGTH = 1_000
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_HEADING = re.compile(r"(?:#{1,6}|//|-{2,3}|\+{3}|;{1,2}|%|\d{1,3}[.)]|[-*+\u2022]) +")
"""What stands before a name in a heading, in an item of a list, or in a comment of the file's language."""
_ENCLOSED = re.compile(
    r"(?:<!--|/\*+)\s*(?P<comment>.*?)\s*(?:-->|\*/)|<(?:file|edit|replace_in_file|diff)\b[^<>]{0,200}?"
    r"\b(?:path|name|file|filename)=(?P<quote>[\"'])(?P<value>[^\"'<>]{1,4096})(?P=quote)[^<>]{0,200}>"
    r"|<(?P<tag>path|file|file_?path|file_?name)>\s*(?P<text>[^<>]{1,4096}?)\s*</(?P=tag)>",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[[^\[\]]{1,1000}\]\((?P<target>[^()\s]{1,1000})\)")
_LABEL = re.compile(r"\W{0,3}(?:file[ _]?(?:path|name)?|path)(?:\*\*)? ?[:=](?!//)(?:\*\*)? *", re.IGNORECASE)
_ACTION = re.compile(r"\*{2,4} ?(?:update|edit|modify|change) file: *", re.IGNORECASE)
_SPANS = re.compile(r"`([^`]{1,1000})`|\"([^\"]{1,1000})\"")
_FILE = re.compile(r"[\w@.+~-]*(?:[/\\][\w@.+~-]+)*[/\\.][\w+-]+")
_LINE_NUMBER = re.compile(r"(?::\d{1,9}){1,2}$|#L\d{1,9}(?:-L?\d{1,9})?$")
_WORDS = re.compile(
    r"(?:a|add|and|apply|at|below|block|change[sd]?|code|create|edit|file|first|following|for|from|here|in|insert|is|"
    r"modify|new|next|now|of|on|path|patch|replace|second|the|then|this|to|update[sd]?|with)",
    re.IGNORECASE,
)
_VERBS = frozenset(
    ("add", "apply", "change", "create", "edit", "file", "insert", "modify", "path", "replace", "the", "update")
)
"""Words after which a name begins."""
_QUOTED = re.compile(r"[*: ]*(?:`[^`]+`|\"[^\"]+\")[*: ]*")
"""A line that is nothing but a name between marks, which may have blanks."""
_MARKS = "`\"'*<>()[]{}\u2018\u2019\u201c\u201d= "
_SEPARATORS = re.compile(r"\\+")
_OCTAL = re.compile(r"(?:\\[0-3][0-7]{2})+")


def heading_name(line: str) -> str:
    """Return the file name in the line above a block, without the marks and words that models put around it."""
    text, plain = _text_of(line)
    named = None if _QUOTED.fullmatch(text) or len(text) > _MAX_LENGTH else _named(text)
    return named if named is not None and " " in plain else plain


def longer_names(line: str) -> tuple[str, ...]:
    """Return the names with blanks that a line may hold from whose last word `heading_name` read one, longest first."""
    name, (_, plain) = heading_name(line), _text_of(line)
    if name == plain or not plain.endswith(f" {name}"):
        return ()
    words = plain.split(" ")
    return tuple(" ".join(words[at:]) for at in range(len(words) - 1) if words[at])


def may_be_part(line: str) -> bool:
    """Return whether the words before the name that was read from a line may as well be a part of that name."""
    longer = longer_names(line)
    return bool(longer) and longer[-1].partition(" ")[0].lower() not in _VERBS


def _text_of(line: str) -> tuple[str, str]:
    """Return what a heading says, and the same without a label and the marks around it."""
    text = line.strip().strip(_INVISIBLE).strip()
    if len(text) > _MAX_LENGTH:
        return text, text
    enclosed = _ENCLOSED.fullmatch(text)
    if enclosed is not None:
        text = enclosed["comment"] or enclosed["value"] or enclosed["text"] or ""
    text = _ACTION.sub("", _HEADING.sub("", text, count=1), count=1)
    label = _LABEL.match(text)
    return text, _without_marks(text[label.end() :] if label else text)


def is_name(text: str) -> bool:
    """Return whether a text is the name of a file rather than a sentence: one word, or words that end like one."""
    return bool(text) and (" " not in text or _FILE.fullmatch(text.rsplit(maxsplit=1)[-1]) is not None)


def may_be_sentence(line: str, name: str) -> bool:
    """Return whether a line from which a name was read as a whole may as well be a sentence that mentions a file."""
    words = name.split()
    return line.strip(" :") == name and (len(words) > MAX_WORDS or any(map(_WORDS.fullmatch, words[:-1])))


def readings(text: str, *, shows_lines: bool = True) -> list[str]:
    """Return what a name that is not there may mean: the text without its marks, and with the separators of POSIX.

    A line number behind it is left out only where the change shows its lines: else it may mean a part of the file.
    """
    if len(text) > _MAX_LENGTH:
        return []
    plain = heading_name(text)
    found = [plain, *([_LINE_NUMBER.sub("", plain)] if shows_lines else [])]
    found += [other for name in found for other in (_SEPARATORS.sub("/", name), _from_octal(name), f"/{name}")]
    return [name for name in dict.fromkeys(found) if name and name != text]


def readings_with_prefix(text: str) -> list[str]:
    """Return a name without the `a/` or `b/` of a diff before it, where something is left."""
    return [
        name.removeprefix(prefix).lstrip("/")
        for name in dict.fromkeys([text, *readings(text)])
        for prefix in ("a/", "b/")
        if name.startswith(prefix)
    ]


def words_of(text: str) -> list[str]:
    """Return the words of a short sentence that look like the names of files."""
    words = text.split(maxsplit=MAX_WORDS)
    if not 1 < len(words) <= MAX_WORDS or len(text) > _MAX_LENGTH:
        return []
    plain = (_LINE_NUMBER.sub("", word.strip(_MARKS + ":,;!?.").removesuffix("'s")) for word in words)
    return [_SEPARATORS.sub("/", name) for name in dict.fromkeys(plain) if _is_file(name)]


def _is_file(word: str) -> bool:
    return _FILE.fullmatch(_SEPARATORS.sub("/", word)) is not None


def _without_marks(text: str) -> str:
    """Remove quotes, brackets and emphasis, a link's text, and the colon at the end."""
    link = _LINK.fullmatch(text.strip("*` :"))
    if link is not None:
        return link["target"]
    text = text.strip().removesuffix(":").strip()
    for opening, closing in (("**", "**"), ("*", "*"), ("`", "`"), ('"', '"'), ("'", "'"), ("<", ">"), ("(", ")")):
        if len(text) > 2 * len(opening) and text.startswith(opening) and text.endswith(closing):
            text = text[len(opening) : -len(closing)].strip()
    for opening, closing in (("[", "]"), ("===", "==="), ("@@", "@@"), ("***", "***"), ("---", "---")):
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and _FILE.fullmatch(inner.strip()):
            text = inner.strip()
    return text.strip("*` ").removesuffix(":").rstrip("*` ")


def _named(text: str) -> str | None:
    """Return the only name in backticks or quotes, or the only one among words that speak of changing a file."""
    if len(text.split(maxsplit=MAX_WORDS)) > MAX_WORDS:
        return None
    spans = [name for found in _SPANS.finditer(text) if (name := found[1] or found[2]) and _is_file(name)]
    if spans:
        return spans[0] if len(set(spans)) == 1 else None
    words = [word.strip(_MARKS + ":,;!?") for word in text.split()]
    names = [word for word in words if _is_file(word)]
    others = [word for word in words if word not in names]
    return names[0] if len(names) == 1 and others and all(map(_WORDS.fullmatch, others)) else None


def _from_octal(name: str) -> str:
    """Return a name in which git wrote each byte beyond ASCII as three octal digits, but without the quotes."""
    if not name.isascii() or _OCTAL.search(name) is None:
        return name
    try:
        return _OCTAL.sub(lambda run: bytes(int(code, 8) for code in run[0].split("\\")[1:]).decode(), name)
    except UnicodeDecodeError:
        return name
