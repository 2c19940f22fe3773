"""One digest over the files of a tree, as the tools see it: equal digests mean the same names with the same contents.

It is made of the entries that are counted, in any order:

* a record for each regular file, `f` (or `x`, if its owner may execute it), its name, NUL, the SHA-256 of its content;
  for each symbolic link `l`, its name, NUL, the SHA-256 of its target's text. Names in UTF-8, digests as 32 bytes;
* the digest of a directory: SHA-256 of its records, sorted by name;
* the digest of the tree: SHA-256 of `lg-tree-1`, NUL, and for each directory with a record, sorted by path, its path
  (as in results; "" for the top), NUL and its digest.

Not covered: what ignore files or the settings' rules hide, what tools made (`lg_policy.tree.walk`), empty directories,
other permission bits, owners and times, and whatever could not be read, which the totals count as skipped.
"""

from __future__ import annotations

import hashlib
import os

_MEGABYTE = 1_000_000


class TreeDigest:
    """Takes the entries of one directory after the other."""

    def __init__(self, max_mb: int) -> None:
        self.room = max_mb * _MEGABYTE
        """Bytes that may still be read only for the digest."""
        self.missing: str | None = None
        """Why there is none."""
        self._max_mb = max_mb
        self._directories: dict[str, bytes] = {}
        self._records: list[tuple[str, bytes]] = []

    def file(self, name: str, content: bytes | None, *, executable: bool) -> None:
        """Add a file of the present directory by the SHA-256 of its content; `None`: there was no room to read it."""
        if content is None:
            self.missing = f"more than {self._max_mb} MB of large binary files ([fs] digest_max_mb)"
            return
        self._records.append((name, (b"x" if executable else b"f") + os.fsencode(name) + b"\0" + content))

    def link(self, name: str, dir_fd: int) -> None:
        """Add a symbolic link. Raises `OSError`."""
        target = hashlib.sha256(os.fsencode(os.readlink(name, dir_fd=dir_fd))).digest()
        self._records.append((name, b"l" + os.fsencode(name) + b"\0" + target))

    def end_directory(self, path: str) -> None:
        """Assign the entries since the last call to this directory."""
        if self._records:
            self._records.sort()
            self._directories[path] = hashlib.sha256(b"".join(record for _, record in self._records)).digest()
            self._records = []

    def hexdigest(self) -> str | None:
        """Return the digest of all directories; `None` where `missing` says why."""
        if self.missing is not None:
            return None
        whole = hashlib.sha256(b"lg-tree-1\0")
        for path in sorted(self._directories):
            whole.update(os.fsencode(path) + b"\0" + self._directories[path])
        return whole.hexdigest()
