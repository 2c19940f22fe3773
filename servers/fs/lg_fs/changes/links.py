"""Symbolic links that a command made or removed, and that a revert puts back. Patches never touch links."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lg_policy.errors import LgError
from lg_policy.paths.root import Root


@dataclass(frozen=True, kw_only=True)
class FoundLink:
    """A symbolic link: where it points to, and what tells it apart."""

    target: bytes
    status: os.stat_result


def link_at(root: Root, rel: str) -> FoundLink | None:
    """Return the link of that name; `None` if no link is there."""
    try:
        parent, name = root.open_parent(rel, follow=False)
    except LgError:
        return None
    with parent:
        try:
            status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
            return FoundLink(target=os.fsencode(os.readlink(name, dir_fd=parent.fd)), status=status)
        except OSError:
            return None
