"""The root directory on Windows, where paths are checked by name. Only `lg-exec` uses it.

A path is checked as text, resolved through links and junctions, and compared with the root.

Not covered: races. Whoever swaps a directory for a link after the check leads the command elsewhere. Commands run
without a sandbox there, or not at all, so this check is no boundary in any case. It keeps an honest caller inside.
"""

from __future__ import annotations

import ntpath
import os
import stat
from pathlib import Path

from lg_policy.errors import ConfigError, InvalidArguments, NotFound, PolicyDenied
from lg_policy.paths.root import MAX_PATH, Opened
from lg_policy.state import root_id

_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) | {
    f"{name}{number}" for name in ("COM", "LPT") for number in "0123456789¹²³"
}
_FORBIDDEN = frozenset('<>:"|?*') | {chr(number) for number in range(32)}


class CheckedRoot:
    """A directory below which paths have to stay. Raises `ConfigError` if it is missing or too broad."""

    method = "name only, not safe against races"

    def __init__(self, path: str | Path, *, allow_broad: bool = False) -> None:
        real = os.path.realpath(path)
        if not os.path.isdir(real):
            raise ConfigError(f"the root {path} is not a directory", hint="pass an existing directory")
        if not allow_broad and (os.path.dirname(real) == real or real == os.path.realpath(Path.home())):
            raise ConfigError(
                f"{real} is too broad to be a root", hint="choose a project directory, or pass --allow-broad-root"
            )
        self.path = Path(real)
        self.name = self.path.name or "root"
        self.id = root_id(self.path)

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def normalise(self, path: str) -> str:
        """Return a caller's path relative to the root, "/"-separated. Raises as `Root.normalise` does."""
        return relative_name(path, str(self.path))

    def open_dir(self, path: str = "") -> Opened:
        """Look up a directory. Raises `NotFound`, `PolicyDenied` (leaves the root), `InvalidArguments` (is none)."""
        found = self._resolved(path)
        if not stat.S_ISDIR(found.stat.st_mode):
            raise InvalidArguments(f"{path!r} is not a directory")
        return found

    def open_file(self, path: str) -> Opened:
        """Look up a regular file. Raises as `open_dir`."""
        found = self._resolved(path)
        if not stat.S_ISREG(found.stat.st_mode):
            raise InvalidArguments(f"{path!r} is not a regular file")
        return found

    def _resolved(self, path: str) -> Opened:
        """Return the place that a path leads to. Nothing is opened, so the descriptor is -1."""
        rel = self.normalise(path)
        real = os.path.realpath(self.path / rel)
        inside = relative_to(real, str(self.path))
        if inside is None:
            raise PolicyDenied(f"{path!r} leads out of the root", hint="a link may only lead to a place below the root")
        try:
            return Opened(fd=-1, rel=inside, stat=os.stat(real))
        except OSError as error:
            raise NotFound(f"{path!r} does not exist") from error


def relative_to(path: str, root: str) -> str | None:
    """Return the part of an absolute Windows path below `root`, "/"-separated, or `None` if it lies elsewhere."""
    folded, base = ntpath.normcase(path), ntpath.normcase(root).rstrip("\\")
    if folded == base or folded == f"{base}\\":
        return ""
    return path[len(base) + 1 :].replace("\\", "/") if folded.startswith(f"{base}\\") else None


def relative_name(path: str, root: str) -> str:
    """Check a path as Windows reads it and return it relative to `root`, "/"-separated, "" for the root itself.

    Raises `InvalidArguments` for what cannot be a file name and for device names, `PolicyDenied` for `..`, absolute
    paths outside the root, and paths that depend on a drive's current directory.
    """
    if len(path) > MAX_PATH:
        raise InvalidArguments(f"the path is {len(path)} characters long; at most {MAX_PATH} are allowed")
    shown, hint = path, "give the path relative to the root"
    if anchored(path):
        below = relative_to(path, root)
        if below is None:
            raise PolicyDenied(f"the path {shown!r} is outside the root", hint=hint)
        path = below
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    for part in parts:
        if part == "..":
            raise PolicyDenied(f"the path {shown!r} contains '..'", hint=hint)
        if _FORBIDDEN & set(part) or part[-1] in " ." or part.split(".")[0].rstrip(" ").upper() in _DEVICES:
            raise InvalidArguments(f"the path {shown!r} contains {part!r}, which Windows reads as something else")
    return "/".join(parts)


def anchored(path: str) -> bool:
    """Return whether a path is not relative to a directory on Windows: it has a drive, a share or a leading slash."""
    return bool(ntpath.splitdrive(path)[0]) or path.startswith(("/", "\\"))
