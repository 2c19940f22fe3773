"""Spellings of a path that mean the same file: a `file://` address, and names that differ only in Unicode form.

macOS stores names decomposed and puts narrow spaces into them; models and people write them composed and with plain
spaces. `lg-fs` opens the one entry that is equal in that sense, and whoever judges paths as text must see that name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from urllib.parse import unquote, urlsplit

_SCHEME = "file://"
_SPACES = dict.fromkeys([0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")


def without_scheme(path: str) -> str | None:
    """Return the path in a `file://` address of this machine, other text unchanged, `None` for another machine's."""
    if path[: len(_SCHEME)].lower() != _SCHEME:
        return path
    try:
        parts = urlsplit(path)
    except ValueError:
        return None
    if parts.netloc.lower() not in ("", "localhost") or parts.query or parts.fragment:
        return None
    return unquote(parts.path, errors="surrogateescape")


def common_form(name: str) -> str:
    """Return the form shared by names that differ only in Unicode form or in the kind of their spaces."""
    return name if name.isascii() else unicodedata.normalize("NFC", name).translate(_SPACES)


def may_be_respelled(rel: str) -> bool:
    """Return whether there can be another name that is equal to one of this path in Unicode form."""
    return " " in rel or not rel.isascii()


def spelled_on_disk(rel: str, names_in: Callable[[str], Iterable[str] | None]) -> str:
    """Return the path with each name as its directory has it, where exactly one entry is equal in Unicode form.

    `names_in` lists a directory below the root, or returns `None` for what is none. A name that is there as it is
    stays; so does the rest of a path that leads nowhere.
    """
    parts = rel.split("/")
    for depth, part in enumerate(parts):
        if not may_be_respelled(part):
            continue
        names = names_in("/".join(parts[:depth]))
        if names is None:
            break
        wanted = common_form(part)
        equal = {name for name in names if name == part or common_form(name) == wanted}
        if part not in equal and len(equal) == 1:
            parts[depth] = equal.pop()
    return "/".join(parts)
