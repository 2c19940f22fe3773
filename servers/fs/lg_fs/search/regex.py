"""Compiles a caller's regular expression with RE2, which takes linear time for every expression and text."""

from __future__ import annotations

import re
import unicodedata
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


_RETURN = re.compile(rb"\\(?:r|x0[dD]|x\{0*[dD]\}|015|c[mM])|\r")
"""How an expression names a carriage return."""
_NOT_LITERAL = re.compile(r"[\[(]")
_WORD_EDGE = re.compile(r"\\[<>]")
_DELIMITED = re.compile(r"/(?:[^/\\]|\\.)+/[a-z]{0,6}")
_TEXT_ANCHOR = re.compile(r"\\[Az]|\(\?[a-zA-Z]*-")


def is_joinable(regex: str) -> bool:
    """Return whether an expression that has no match in several texts joined by line breaks has none in any of them.

    Not so for an expression about the very beginning or end of a text: `\\A`, `\\z`, and cleared flags, which could
    give `^` and `$` that meaning.
    """
    return _TEXT_ANCHOR.search(regex) is None


def names_returns(regex: Any) -> bool:
    """Return whether a compiled expression is about carriage returns. For any other, CRLF ends a line as LF does."""
    return _RETURN.search(regex.pattern) is not None


def unmatched_hint(regex: str) -> str:
    """Say what an expression without a match may have meant in another dialect; "" if nothing is known."""
    if _WORD_EDGE.search(regex):
        return r"\< and \> are plain characters here: the edge of a word is \b"
    if _DELIMITED.fullmatch(regex):
        return "the slashes around the expression were searched for too: leave them out, and flags become (?i)"
    return ""


def _in_both_forms(regex: str) -> str:
    """Return an expression that finds its text composed and decomposed, where it is simple enough for that."""
    if regex.isascii() or _NOT_LITERAL.search(regex):
        return regex
    forms = dict.fromkeys((regex, unicodedata.normalize("NFC", regex), unicodedata.normalize("NFD", regex)))
    return "|".join(f"(?:{form})" for form in forms) if len(forms) > 1 else regex


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
        return re2.compile(f"{flags}(?:{_in_both_forms(regex)})".encode(), options)
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
    return text.partition(": (?m")[0][:300]  # what follows is the expression with what we put around it


def _hint(regex: str) -> str:
    if any(pattern.search(regex) for pattern, _ in _UNSUPPORTED):
        return "leave it out, or search for a simpler expression with context_lines"
    return "use RE2 syntax; put a backslash before a literal ( ) [ ] { } . * + ? |"
