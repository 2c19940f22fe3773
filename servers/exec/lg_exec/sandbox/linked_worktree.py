"""A root that is a linked git worktree: its history stands in another directory, which commands are shown read-only.

`.git` is a file then, which a hostile archive can bring along. So it is believed only when the directory that it names
points back to this root, and both belong to the user who owns the root or to this one. Only a `worktrees/NAME` below
the common directory is accepted, reached without any link.

Not covered: `git` follows `alternates` of the repository to further directories; those stay hidden.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from lg_exec.process.worker_thread import Work
from lg_exec.sandbox.layout import CommonDirectory
from lg_policy.sandbox.hidden_paths import MaskFinder

_MAX_BYTES = 5_000
_NOT_OURS = "is not a worktree of this root; to use git in a submodule, serve the repository that contains it"


class LinkedWorktree:
    """Finds the common directory of a root, each time anew. `hide` are the patterns of names that are hidden in it."""

    def __init__(self, root: str, hide: Sequence[str]) -> None:
        self._root = root
        self._hide = tuple(hide)
        self._finder: tuple[str, MaskFinder] | None = None

    def common(self, work: Work) -> CommonDirectory | None:
        """Return the common directory, if it is this worktree's own. Raises `LimitExceeded` and what `work` raises."""
        path, _ = self._find()
        if path is None:
            return None
        if self._finder is None or self._finder[0] != path:
            self._finder = (path, MaskFinder(path, hide=self._hide, protect=(), judged_as=".git"))
        return CommonDirectory(path=path, masks=self._finder[1].find(work=work))

    def why_not(self) -> str | None:
        """Say why git finds no repository here although there is one; `None` if it finds one or there is none."""
        why = self._find()[1]
        if why is not None:
            return f"`.git` of this root names a repository that commands are not shown: {why}"
        above = os.path.dirname(self._root)
        if os.path.lexists(f"{self._root}/.git"):
            return None
        while above != os.path.dirname(above):
            if os.path.lexists(f"{above}/.git"):
                return "the repository begins above this root, where commands see nothing: serve its top directory"
            above = os.path.dirname(above)
        return None

    def _find(self) -> tuple[str | None, str | None]:
        try:
            named = _first_line(f"{self._root}/.git")
        except OSError:
            return None, None  # no `.git`, or a directory as usual
        if not named.startswith("gitdir:"):
            return None, None
        own = os.path.normpath(os.path.join(self._root, named.removeprefix("gitdir:").strip()))
        common = os.path.dirname(os.path.dirname(own))
        if own.startswith(f"{self._root}/"):
            return None, None  # visible anyway
        if f"{self._root}/".startswith(f"{common}/"):
            return None, f"the root lies inside {common}"
        try:
            return (common, None) if self._is_ours(own, common) else (None, f"{own} {_NOT_OURS}")
        except OSError as error:
            return None, f"{own}: {error.strerror}"

    def _is_ours(self, own: str, common: str) -> bool:
        if os.path.realpath(own) != own or os.path.basename(os.path.dirname(own)) != "worktrees":
            return False
        back = _first_line(f"{own}/gitdir")
        up = os.path.normpath(os.path.join(own, _first_line(f"{own}/commondir")))
        owners = {os.stat(self._root).st_uid, os.geteuid()}
        return (
            os.path.realpath(os.path.join(own, back)) == f"{self._root}/.git"
            and up == common
            and all(os.path.exists(f"{common}/{name}") for name in ("HEAD", "objects", "refs"))
            and all(os.stat(place).st_uid in owners for place in (own, common))
        )


def _first_line(path: str) -> str:
    """Read a small regular file. Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "not a regular file")
        return os.fsdecode(file.read(_MAX_BYTES)).rstrip("\r\n")
