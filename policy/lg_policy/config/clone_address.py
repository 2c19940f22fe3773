"""Addresses that a repository may be cloned from: read strictly, and compared with the prefixes that settings allow.

What this module does not read the same way as git does must not pass. So only a small set of characters is allowed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

MAX_ADDRESS = 1_000
PORTS = {"https": 443, "ssh": 22}
_FORM = re.compile(r"(https|ssh|file)://(?:([^/@]*)@)?([^/@]*)(/[A-Za-z0-9._~+=,@%/-]*)")
_HOST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}))(?::([0-9]{1,5}))?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SEGMENT = re.compile(r"[^\x00-\x20/\\\x7f-\x9f]+")


@dataclass(frozen=True, kw_only=True)
class CloneAddress:
    """One address. Of a file it is the real path that counts."""

    scheme: str
    user: str
    host: str
    port: int
    segments: tuple[str, ...]
    text: str
    """What git is given."""

    @property
    def name(self) -> str:
        """The last part of its path, as a directory may be named."""
        last = self.segments[-1].removesuffix(".git") if self.segments else ""
        return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".-") or "repository"

    def allows(self, other: CloneAddress) -> bool:
        """Tell whether an address is this one or below it."""
        same = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        users = not self.user or self.user == other.user
        return same and users and other.segments[: len(self.segments)] == self.segments


def is_address(text: str) -> bool:
    """Tell whether a repository is named by an address rather than by a path."""
    return not text.startswith("/")


def clone_address(text: str) -> CloneAddress:
    """Read an address. Raises `ValueError` that says what is wrong with it."""
    found = _FORM.fullmatch(text) if len(text) <= MAX_ADDRESS else None
    if found is None:
        raise ValueError("it must read https://HOST/PATH, ssh://USER@HOST/PATH or file:///PATH, without a query")
    scheme, user, place, path = found[1], found[2], found[3], found[4]
    if scheme == "https" and user is not None:
        raise ValueError("it must not hold a user name or password; set service.git_config to let git find them")
    if user is not None and _USER.fullmatch(user) is None:
        raise ValueError("its user name must be a plain name, without a password")
    segments = _segments(path)
    if scheme == "file":
        if place or user is not None:
            raise ValueError("an address of a file begins with file:///")
        real = os.path.realpath("/" + "/".join(segments))
        parts = tuple(part for part in real.split("/") if part)
        return CloneAddress(scheme=scheme, user="", host="", port=0, segments=parts, text=f"file://{real}")
    host = _HOST.fullmatch(place)
    if host is None or ".." in host[1] or int(host[2] or 1) > 65_535:
        raise ValueError("its host must be a plain name, with or without a port")
    port = int(host[2]) if host[2] else PORTS[scheme]
    return CloneAddress(
        scheme=scheme, user=user or "", host=host[1].lower().rstrip("."), port=port, segments=segments, text=text
    )


def allowed_prefix(text: str) -> str:
    """Check a prefix that settings allow: an address with a host or path that it cannot leave. Raises `ValueError`."""
    try:
        read = clone_address(_closed(text))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    if not read.host and not read.segments:
        raise ValueError(f"{text!r} would allow every repository of this machine; name a directory")
    return text


def prefix_allows(prefix: str, address: CloneAddress) -> bool:
    """Tell whether a prefix that settings allow takes an address in."""
    return clone_address(_closed(prefix)).allows(address)


def _closed(prefix: str) -> str:
    """A host alone is a prefix too."""
    return prefix if prefix.endswith("/") else f"{prefix}/"


def _segments(path: str) -> tuple[str, ...]:
    whole = path[1:].removesuffix("/").split("/") if path != "/" else []
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise ValueError("its path has a % that begins no escape")
    plain = [unquote(segment, errors="strict") for segment in whole]
    if any(segment in (".", "..") or _SEGMENT.fullmatch(segment) is None for segment in plain):
        raise ValueError("its path must not have empty parts, `.`, `..`, blanks or control characters")
    return tuple(plain)
