"""What stands around the names and the hunks of a unified diff: prefixes, dates, revisions, and the text of a mail."""

from __future__ import annotations

import re

NULL = "/dev/null"
_PREFIXES = (
    ("a/", "b/"), ("b/", "a/"), ("i/", "w/"), ("c/", "i/"), ("c/", "w/"), ("o/", "w/"), ("w/", "i/"), ("1/", "2/"),
    ("old/", "new/"), ("orig/", "new/"), ("original/", "modified/"), ("before/", "after/"),
)  # fmt: skip
"""What git (also with `diff.mnemonicPrefix`) and people put before the two names."""
_NULLS = ("dev/null", "a/dev/null", "b/dev/null", "NUL", "a/NUL", "b/NUL")
_BACKUPS = (".orig", ".old", ".bak")
_STAMP = re.compile(
    r"\s+(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d\S*(?: [+-]\d{4})?"
    r"|\((?:revision \d+|working copy|nonexistent|original|modified|old|new|before|after|updated|current)\))$"
)
_VERSION = re.compile(r"\d+\.\d[\w.() -]{0,60}")
_MAX_NAME = 5_000
_PIPE = re.compile(r"/dev/(?:fd/\d{1,9}|std(?:in|out|err)|tty)|/proc/(?:self|\d{1,9})/fd/\d{1,9}|-")


def without_stamp(text: str) -> str:
    """A name without the date or revision behind it and the quotes or backticks around it."""
    name = text.rstrip()
    if len(name) <= _MAX_NAME:
        name = _STAMP.sub("", name).rstrip()
    name = name[1:-1] if len(name) > 2 and name[0] == name[-1] and name[0] in "`'" else name
    return NULL if name in _NULLS else name


def is_pipe(name: str) -> bool:
    """Whether a name stands for a pipe of the shell that made the diff, not for a file."""
    return len(name) < 50 and _PIPE.fullmatch(name) is not None


def without_prefixes(old: str, new: str) -> tuple[str, str]:
    """Both names without their prefixes, where each side has its own and what is left fits together."""
    if old.startswith("a\\") and new.startswith("b\\"):
        old, new = old.replace("\\", "/"), new.replace("\\", "/")
    for before, after in _PREFIXES:
        names = old.removeprefix(before), new.removeprefix(after)
        both = (old == NULL or old.startswith(before)) and (new == NULL or new.startswith(after))
        if both and (before == "a/" or names[0] == names[1]):
            return _relative(names[0]), _relative(names[1])
    if old.startswith("a/") and old[2:] == new:
        return new, new
    if new.startswith("b/") and new[2:] == old:
        return old, old
    return (new, new) if any(old == new + ending for ending in _BACKUPS) else (old, new)


def _relative(name: str) -> str:
    return name if name == NULL else name.lstrip("/")


def ends_mail(lines: list[str], at: int) -> bool:
    """Whether the signature of a mail begins here, as `git format-patch` ends a patch: `-- ` and git's version."""
    return (
        lines[at] in ("-- ", "--")
        and at + 1 < len(lines)
        and _VERSION.fullmatch(lines[at + 1]) is not None
        and (at + 2 >= len(lines) or not lines[at + 2] or lines[at + 2].startswith("From "))
    )


def next_header(lines: list[str], at: int) -> int:
    """The place of the next header of a file from there on; the number of lines if there is none."""
    while at < len(lines) and not begins_file(lines, at):
        at += 1
    return at


def begins_file(lines: list[str], at: int) -> bool:
    """Whether the diff of a file begins here, for certain."""
    if lines[at].startswith("diff --git "):
        return True
    after = lines[at + 1 : at + 3]
    return (
        lines[at].startswith("--- ") and len(after) == 2 and after[0].startswith("+++ ") and after[1].startswith("@@")
    )
