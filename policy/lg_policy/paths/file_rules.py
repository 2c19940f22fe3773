"""Decides which files may be read and written: `.env` and keys are not read, `.git` and CI workflows are not written.

The patterns are those of `[policy]` in the settings (`read_deny`, `write_deny` and the allow lists).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lg_policy.paths.globs import GlobSet

if TYPE_CHECKING:
    from lg_policy.config.settings import PolicySettings


class FileRules:
    """Which paths may be read and written: allow and deny lists, deny wins, judged on resolved names."""

    def __init__(
        self,
        *,
        read_allow: Sequence[str],
        read_deny: Sequence[str],
        write_allow: Sequence[str],
        write_deny: Sequence[str],
    ) -> None:
        self._read_allow = GlobSet(read_allow)
        self._read_deny = GlobSet(read_deny)
        self._write_allow = GlobSet(write_allow)
        self._write_deny = GlobSet(write_deny)

    @classmethod
    def from_settings(cls, policy: PolicySettings, *, extra_deny: Sequence[str] = ()) -> FileRules:
        """Build the rules from `[policy]`; `extra_deny` is closed to reading and writing alike."""
        return cls(
            read_allow=policy.read_allow,
            read_deny=(*policy.read_deny, *extra_deny),
            write_allow=policy.write_allow,
            write_deny=(*policy.write_deny, *extra_deny),
        )

    def may_read(self, rel: str, *, is_dir: bool = False) -> bool:
        """Return whether the file or directory may be read, listed and searched."""
        if self._read_deny.match(rel, is_dir=is_dir):
            return False
        return is_dir or self._read_allow.match(rel)

    def unreadable(self, paths: Sequence[str]) -> set[int]:
        """Return the indices of the paths (directories end in a slash) that `may_read` refuses. Fast for many."""
        denied = self._read_deny.matching(paths)
        if self._read_allow.matches_all:
            return denied
        allowed = self._read_allow.matching(paths)
        if len(allowed) == len(paths):
            return denied
        return denied | {n for n, path in enumerate(paths) if n not in allowed and not path.endswith("/")}

    def may_write(self, rel: str) -> bool:
        """Return whether the file may be created, changed, moved or deleted; never if it may not be read."""
        return not self._read_deny.match(rel) and self._write_allow.match(rel) and not self._write_deny.match(rel)

    def prune(self, rel_dir: str) -> bool:
        """Return whether a walk may skip the directory because nothing below it may be read."""
        return self._read_deny.match(rel_dir, is_dir=True)

    def why_not_read(self, rel: str, *, is_dir: bool = False) -> str | None:
        """Name the rule that forbids reading; `None` if reading is allowed."""
        denied = self._read_deny.first(rel, is_dir=is_dir)
        if denied is not None:
            return f"read_deny pattern {denied!r}"
        return None if self.may_read(rel, is_dir=is_dir) else "no read_allow pattern matches"

    def why_not_write(self, rel: str) -> str | None:
        """Name the rule that forbids writing; `None` if writing is allowed."""
        if self.may_write(rel):
            return None
        for name, globs in (("read_deny", self._read_deny), ("write_deny", self._write_deny)):
            denied = globs.first(rel)
            if denied is not None:
                return f"{name} pattern {denied!r}"
        return "no write_allow pattern matches"
