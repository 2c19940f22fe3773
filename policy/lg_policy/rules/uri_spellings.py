"""The ways to write one URI that a server may take for the same resource. Pure, linear in the URI.

A rule names a resource by a text, and its server may read more texts as that resource: with another case of the scheme,
with `%65` for `e`, with `/./` in the path. A rule that forbids or asks holds for every spelling; a rule that allows
must cover them all. A URI that leads upwards (`..`), or that never stops being encoded, is covered by no allowance.

Not covered: what a server's own table of names makes of a URI.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

URI_CHARACTERS = 4_000
"""Of a URI that the gateway passes on."""
_DECODINGS = 4
"""Layers of percent-encoding that are taken off."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SLASHES = re.compile(r"/{2,}")
_NOT_SHOWN = re.compile(r"[\\\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Spellings:
    """The forms of one URI. `forms` begins with the URI as it was given, `addresses` has each as rules name it."""

    forms: tuple[str, ...]
    addresses: tuple[str, ...]
    plain: bool
    """Whether nothing in the URI leads elsewhere than it says. If not, no rule allows it."""


def spellings(uri: str, address: Callable[[str], str]) -> Spellings:
    """Return the forms of a URI: as given, decoded, without dots, without query and fragment.

    `address` returns the name that rules use for a URI.
    """
    decoded, settled = _decoded(uri)
    scheme, rest = _cut(decoded)
    whole = scheme + _tidied(scheme, rest)
    short = scheme + _tidied(scheme, re.split(r"[?#]", rest, maxsplit=1)[0])
    forms = tuple(dict.fromkeys((uri, decoded, whole, short)))
    segments = re.split(r"[/\\:?#]", decoded)
    plain = settled and ".." not in segments and _NOT_SHOWN.search(decoded) is None
    return Spellings(forms=forms, addresses=tuple(map(address, forms)), plain=plain)


def folded(text: str) -> str:
    """Return a text without the differences between letters that some servers ignore."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _decoded(uri: str) -> tuple[str, bool]:
    """Take off percent-encoding; return whether all of it could be taken off."""
    for _ in range(_DECODINGS):
        plain = unquote(uri, errors="surrogateescape") if "%" in uri else uri
        if plain == uri:
            return uri, True
        uri = plain
    return uri, False


def _cut(uri: str) -> tuple[str, str]:
    found = _SCHEME.match(uri)
    return ("", uri) if found is None else (found.group().lower(), uri[found.end() :])


def _tidied(scheme: str, rest: str) -> str:
    """Return what follows the scheme with the authority in small letters, and without what a path can do without."""
    rest = rest.replace("\\", "/")
    if scheme == "file:":
        path = rest[2:] if rest.startswith("//") else rest
        if path[:9].lower() == "localhost":
            path = path[9:]
        return "//" + _path(path)
    if not rest.startswith("//"):
        return _path(rest)
    authority, slash, path = rest[2:].partition("/")
    return f"//{authority.lower()}{_path(slash + path)}"


def _path(path: str) -> str:
    """Return a path without empty and `.` segments; `..` takes the segment before it away."""
    kept: list[str] = []
    parts = _SLASHES.sub("/", path).split("/")
    for part in parts:
        if part == ".." and kept and kept[-1] not in ("", ".."):
            kept.pop()
        elif part != "." and not (part == ".." and kept == [""]):
            kept.append(part)
    return "/".join(kept)
