"""Many hidden names as one layer of an overlay, where a mount for each would be more than bubblewrap takes.

The layer lies above the root: an empty file covers a file, an opaque directory covers a directory.
"""

from __future__ import annotations

import contextlib
import os
import tempfile

from lg_exec.process.worker_thread import Work
from lg_policy.errors import LimitExceeded
from lg_policy.sandbox.hidden_paths import Masks

MAX_MOUNTS = 2_000
"""Names that are covered by a mount each. bubblewrap takes 9,000 arguments, and a mount needs three."""
_OPAQUE = "user.overlay.opaque"


def needed(masks: Masks) -> bool:
    """Return whether there are too many hidden names for mounts."""
    return len(masks.hidden_files) + len(masks.hidden_dirs) > MAX_MOUNTS


def build(masks: Masks, root: str, scratch: str, work: Work) -> str:
    """Make the layer and return its directory; the caller removes it. Raises `LimitExceeded` and `OSError`."""
    layer = tempfile.mkdtemp(prefix="masks-", dir=scratch)
    made: set[str] = set()
    directories = set(masks.hidden_dirs)
    for number, rel in enumerate(sorted((*masks.hidden_files, *directories))):
        if number % 256 == 0:
            work.check()
        _make_parents(layer, rel, made)
        if rel in directories:
            os.mkdir(f"{layer}/{rel}", 0o755)
            _make_opaque(f"{layer}/{rel}")
            made.add(rel)
        else:
            os.close(os.open(f"{layer}/{rel}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444))
    _look_alike(layer, root, made - directories)
    return layer


def _make_parents(layer: str, rel: str, made: set[str]) -> None:
    parts = rel.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        directory = "/".join(parts[:depth])
        if directory not in made:
            os.mkdir(f"{layer}/{directory}", 0o700)
            made.add(directory)


def _look_alike(layer: str, root: str, directories: set[str]) -> None:
    """Give a directory of the upper layer the mode and time of the root's: it is the one that is seen."""
    for rel in (*sorted(directories, reverse=True), ""):
        with contextlib.suppress(OSError):  # gone meanwhile
            found = os.stat(f"{root}/{rel}")
            os.chmod(f"{layer}/{rel}", found.st_mode & 0o7777)
            os.utime(f"{layer}/{rel}", ns=(found.st_atime_ns, found.st_mtime_ns))
            if os.geteuid() == 0:
                os.chown(f"{layer}/{rel}", found.st_uid, found.st_gid)


def _make_opaque(path: str) -> None:
    try:
        os.setxattr(path, _OPAQUE, b"y")
    except OSError as error:
        raise LimitExceeded(
            f"more than {MAX_MOUNTS} names below the root match read_deny, and the temporary directory cannot hold "
            f"a layer that hides them: {error.strerror}",
            hint="choose a smaller root, or set TMPDIR to a directory on a disk",
        ) from error
