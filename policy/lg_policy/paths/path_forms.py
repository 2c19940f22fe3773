"""Which place below a root a path argument means, however it is spelled: for rules, which judge paths as text.

Not covered: a link that is exchanged between the decision and the call, and mounts and hard links. What may be read and
written at all is decided by the server, on the descriptor that it opens.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from lg_policy.paths.spellings import may_be_respelled, spelled_on_disk, without_scheme


@dataclass(frozen=True)
class Spelled:
    """One path in two forms: `plain`, without `.`, double slashes and the root's own name, and `resolved`, with its
    links followed as far as they stay below the root.
    """

    plain: str
    resolved: str


def spelled(path: str, root: str | None) -> Spelled | None:
    """Return the forms of a path; `None` if it contains `..`.

    `root` is the directory that its server works on; without one, links are not looked at.
    """
    plain_path = without_scheme(path)
    is_address = plain_path is not None and plain_path is not path
    path = path if plain_path is None else plain_path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        return None
    plain = ("/" if path.startswith("/") else "") + "/".join(parts)
    if root is None or not _is_name(plain):
        plain = plain.lstrip("/") if is_address else plain
        return Spelled(plain, plain)
    real = os.path.realpath(root)
    for base in (real, os.path.abspath(root)):
        if _below(plain, base) is not None:
            plain = _below(plain, base) or ""
            break
    else:
        plain = plain.lstrip("/") if is_address else plain
    on_disk = spelled_on_disk(plain, partial(_names_in, real)) if may_be_respelled(plain) else plain
    place = _below(os.path.realpath(os.path.join(real, on_disk)), real)
    return Spelled(plain, plain if place is None else place)


def _is_name(path: str) -> bool:
    """Return whether the system could know a file by this name."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # half a character, which is no byte either
        return False


def _names_in(root: str, rel: str) -> list[str] | None:
    try:
        return os.listdir(os.path.join(root, rel))
    except (OSError, ValueError):
        return None


def _below(path: str, directory: str) -> str | None:
    """Return the path relative to a directory above it; `None` where that is not above it."""
    if path == directory:
        return ""
    base = directory.rstrip("/") + "/"
    return path[len(base) :] if path.startswith(base) else None
