"""The ways to write one URI that a server may take for the same resource. Pure, linear in the URI.

A rule names a resource by a text, and its server may read more texts as that resource: with another case of the scheme,
with `%65` for `e`, with `/./` in the path. A rule that forbids or asks holds for every spelling; a rule that allows
must cover them all. A URI that leads upwards (`..`), or that never stops being encoded, is covered by no allowance.

Not covered: what a server's own table of names makes of a URI.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

URI_CHARACTERS = 4_000
"""Of a URI that the gateway passes on."""
_DECODINGS = 4
"""Layers of percent-encoding that are taken off."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SLASHES = re.compile(r"/{2,}")
_NOT_SHOWN = re.compile(r"[\\\x00-\x1f\x7f]")
_TAIL = re.compile(r"[?#]")
_PORTS = {"http:": ":80", "https:": ":443", "ws:": ":80", "wss:": ":443", "ftp:": ":21"}
"""The schemes that have a host after any number of slashes, and the ports that mean the same as none."""
_NUMBERS = re.compile(r"[0-9a-fx.]{1,50}")
_HOST_CHARACTERS = 253
_KEPT = ("ui://", "skill://")


@dataclass(frozen=True, kw_only=True)
class Spellings:
    """The forms of one URI. `forms` begins with the URI as it was given, `addresses` has each as rules name it."""

    forms: tuple[str, ...]
    addresses: tuple[str, ...]
    suspected: tuple[str, ...]
    """Further forms, that only some servers take for the same. They count for what forbids or asks."""
    suspected_addresses: tuple[str, ...]
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
    cuts = dict.fromkeys((uri, _TAIL.split(uri, 1)[0], _TAIL.split(decoded, 1)[0], decoded.partition("\0")[0]))
    suspected = tuple(dict.fromkeys(form for cut in cuts for form in comparable(cut) if form not in forms))
    return Spellings(
        forms=forms,
        addresses=tuple(map(address, forms)),
        suspected=suspected,
        suspected_addresses=tuple(map(address, suspected)),
        plain=plain,
    )


def comparable(uri: str) -> Iterator[str]:
    """Yield the forms in which a URI is compared with another: query and fragment count, what servers ignore does not.

    Servers ignore the host of a file, the user's name and the usual port of an address, and slashes at the end.
    """
    for text in dict.fromkeys((uri.strip(), _without_dots(uri.strip()))):
        scheme, rest = _cut(_decoded(text)[0])
        if scheme in _PORTS:
            rest = "//" + rest.lstrip("/\\")
        whole = scheme + _tidied(scheme, rest)
        yield whole
        yield _bare(whole)


def named(pattern: str) -> Iterator[str]:
    """Yield a rule's name for resources, and the same with its URI in the forms that URIs are compared in."""
    yield pattern
    server, plus, uri = ("", "", pattern) if pattern.startswith(_KEPT) else pattern.partition("+")
    if not plus:
        server, uri = "", pattern
    for form in comparable(uri):
        yield server + plus + form


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


def _without_dots(uri: str) -> str:
    """Return a URI whose dots lead where the URL standard says: before it is decoded, and through empty segments."""
    scheme, rest = _cut(uri)
    path = _TAIL.split(rest, 1)[0]
    parts = path.replace("\\", "/").split("/")
    fixed = 3 if parts[:2] == ["", ""] else 1
    kept = parts[:fixed]
    for part in parts[fixed:]:
        dots = part.lower().replace("%2e", ".")
        if dots == "..":
            del kept[max(fixed, len(kept) - 1) :]
        elif dots != ".":
            kept.append(part)
    return scheme + "/".join(kept) + rest[len(path) :]


def _bare(uri: str) -> str:
    """Return a tidied URI without the parts that servers ignore."""
    scheme, rest = _cut(uri)
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        host = "" if scheme == "file:" else _host(authority.rpartition("@")[2].removesuffix(_PORTS.get(scheme, ":")))
        rest = f"//{host}{slash}{path}"
    return scheme + (rest.rstrip("/") or rest)


def _host(host: str) -> str:
    """Return a host in one of the ways to write it: IPv4 with four numbers, letters of all alphabets as such."""
    host = host.removesuffix(":").rstrip(".")
    try:
        if _NUMBERS.fullmatch(host) is not None:
            return socket.inet_ntoa(socket.inet_aton(host))
        if "xn--" in host and len(host) <= _HOST_CHARACTERS:
            return host.encode("ascii").decode("idna")
    except (OSError, ValueError):
        pass  # a name that only looks like one of these
    return host


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
