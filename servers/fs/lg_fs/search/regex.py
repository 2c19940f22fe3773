"""Compiles a caller's regular expression with RE2, which takes linear time for every expression and text."""

from __future__ import annotations

import re
from typing import Any

from lg_policy.errors import InvalidArguments

MAX_REGEX = 4_000
_MAX_MEMORY = 8 << 20  # bounds the size of the compiled program too, and so the cost of a byte of text
_UNSUPPORTED = (
    (re.compile(r"(?<!\\)\(\?<?[=!]"), "look-around such as (?=…) or (?<!…)"),
    (re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]"), r"back-references such as \1"),
    (re.compile(r"(?<!\\)\(\?P="), "back-references such as (?P=name)"),
    (re.compile(r"(?<!\\)\(\?>"), "atomic groups (?>…)"),
    (re.compile(r"(?<!\\)[*+?}]\+"), "possessive quantifiers such as a++"),
    (re.compile(r"(?<!\\)\(\?\("), "conditional groups (?(1)…)"),
)


_TEXT_ANCHOR = re.compile(r"\\[Az]|\(\?[a-zA-Z]*-")


def is_joinable(regex: str) -> bool:
    """Return whether an expression that has no match in several texts joined by line breaks has none in any of them.

    Not so for an expression about the very beginning or end of a text: `\\A`, `\\z`, and cleared flags, which could
    give `^` and `$` that meaning.
    """
    return _TEXT_ANCHOR.search(regex) is None


def compile_regex(regex: str, *, case_sensitive: bool, multiline: bool) -> Any:
    """Compile for searching whole files as bytes; `^` and `$` match at each line.

    Without `multiline` a match never spans lines. Raises `InvalidArguments` that says what the engine cannot do.
    """
    import re2

    if not regex or len(regex) > MAX_REGEX:
        raise InvalidArguments(f"regex must be 1 to {MAX_REGEX} characters long")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    options.case_sensitive = case_sensitive
    options.never_nl = not multiline
    flags = "(?ms)" if multiline else "(?m)"
    try:
        # The group keeps an alternation of the caller's inside the flags.
        return re2.compile(f"{flags}(?:{regex})".encode(), options)
    except re2.error as error:
        raise InvalidArguments(f"regex: {_explain(regex, error)}", hint=_hint(regex)) from error
    except UnicodeEncodeError as error:
        raise InvalidArguments("regex contains a lone surrogate", hint="send valid Unicode") from error


def _explain(regex: str, error: Exception) -> str:
    for pattern, words in _UNSUPPORTED:
        if pattern.search(regex):
            return f"the search engine (RE2) has no {words}"
    detail = error.args[0] if error.args else ""
    text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
    return text[:300]


def _hint(regex: str) -> str:
    if any(pattern.search(regex) for pattern, _ in _UNSUPPORTED):
        return "leave it out, or search for a simpler expression with context_lines"
    return "use RE2 syntax; put a backslash before a literal ( ) [ ] { } . * + ? |"
