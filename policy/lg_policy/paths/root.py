"""A root directory and the only way to open what is below it.

Confinement is by descriptor, never by string: a path is resolved and opened in one step that cannot leave the root,
and the caller gets the descriptor. On Linux that is openat2(2) with `RESOLVE_BENEATH`; elsewhere
`component_walk.resolve` opens one component at a time with `O_NOFOLLOW` and follows links itself. Both hold against a
process that swaps directories for symlinks meanwhile.

Not covered: mounts and hard links below the root lead where they lead (callers check link counts before writing);
another process with the same rights can read and write the files anyway.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lg_policy.errors import ConfigError, Conflict, InvalidArguments, LgError, NotFound, PolicyDenied
from lg_policy.paths import component_walk, openat2
from lg_policy.paths.mounts import on_own_disk
from lg_policy.paths.open_names import name_below
from lg_policy.state import root_id

MAX_PATH = 4096
MAX_NAME = 255
_TRIES = 64

_FILE_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_DIR_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_PLAIN = openat2.RESOLVE_BENEATH | openat2.RESOLVE_NO_MAGICLINKS | openat2.RESOLVE_NO_SYMLINKS | openat2.RESOLVE_NO_XDEV
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


@dataclass(kw_only=True)
class Opened:
    """An open descriptor below a root. `rel` is the resolved name, links followed, "" for the root itself."""

    fd: int
    rel: str
    stat: os.stat_result

    def close(self) -> None:
        """Close the descriptor; again is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def detach(self) -> int:
        """Hand the descriptor over to the caller, who closes it."""
        fd, self.fd = self.fd, -1
        return fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Root:
    """A directory that everything stays below, held open for life.

    `path` is its real path, `name` what multi-root servers call it, `id` its stable identity, `method` how opens are
    confined (`openat2` or `dir_fd`). Raises `ConfigError` for a root that is missing, no directory, `/` or a home
    directory (unless `allow_broad`), and on platforms that offer neither method.
    """

    def __init__(self, path: str | Path, *, allow_broad: bool = False, name: str | None = None) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError(f"files cannot be confined on {sys.platform}", hint="run under Linux, macOS or WSL")
        real = os.path.realpath(path)
        if not allow_broad and (real == os.path.sep or real in _homes()):
            raise ConfigError(
                f"{real} is too broad to be a root", hint="choose a project directory, or pass --allow-broad-root"
            )
        try:
            self.fd = os.open(real, _DIR_FLAGS)
        except OSError as error:
            raise ConfigError(f"root {path}: {error.strerror}", hint="pass an existing directory") from error
        self.path = Path(real)
        self._given = os.path.abspath(path)
        self.name = name or os.fsencode(self.path.name).decode("utf-8", "backslashreplace") or "root"
        self.id = root_id(self.path)
        self._on_own_disk = on_own_disk(real)
        self.method = "openat2" if openat2.available() and os.path.isdir("/proc/self/fd") else "dir_fd"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the root's descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def normalise(self, path: str) -> str:
        """Check a caller's path as text and return it relative to the root, "/"-separated, "" for the root.

        Only for good messages and for rules: safety comes from the open. Raises `InvalidArguments` for what cannot be
        a file name and `PolicyDenied` for `..` and for absolute paths outside the root.
        """
        _check_text(path)
        if os.path.isabs(path):
            path = self._below(path)
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise PolicyDenied(f"path {path!r} contains '..'", hint="give the path relative to the root, without '..'")
        for part in parts:
            if len(os.fsencode(part)) > MAX_NAME:
                raise InvalidArguments(f"a name in the path is longer than {MAX_NAME} bytes: {part[:40]!r}…")
        return "/".join(parts)

    def open_file(self, path: str, *, follow: bool = True) -> Opened:
        """Open a regular file for reading.

        `follow=False` refuses any symlink on the way. Raises `NotFound`, `PolicyDenied` (leaves the root),
        `InvalidArguments` (a directory, device, FIFO or socket).
        """
        opened = self._open(self.normalise(path), _FILE_FLAGS, follow)
        if stat.S_ISREG(opened.stat.st_mode):
            return opened
        opened.close()
        kind = next((words for test, words in _KINDS if test(opened.stat.st_mode)), "no regular file")
        raise InvalidArguments(f"{path!r} is {kind}", hint="only regular files are read and written")

    def open_at_once(self, path: str) -> Opened | None:
        """Open a regular file if neither that nor reading it can keep the caller waiting, else return `None`.

        That is so on the root's own file system if it is one of this machine's; a path with links or mounts in it is
        left to `open_file`, as is saying why a file cannot be opened. Raises as `normalise`.
        """
        rel = self.normalise(path)
        if self.method != "openat2" or not self._on_own_disk:
            return None
        try:
            opened = self._opened(openat2.openat2(self.fd, rel or ".", _FILE_FLAGS, _PLAIN), rel)
        except OSError:
            return None
        if stat.S_ISREG(opened.stat.st_mode):
            return opened
        opened.close()
        return None

    def open_dir(self, path: str = "", *, follow: bool = True) -> Opened:
        """Open a directory, for scanning or as `dir_fd`. Raises as `open_file`; `InvalidArguments` if it is none."""
        return self._open(self.normalise(path), _DIR_FLAGS, follow)

    def open_parent(self, path: str, *, follow: bool = True) -> tuple[Opened, str]:
        """Open the directory that holds the last name of `path`; that name itself is not looked at.

        For creating, renaming and removing with `dir_fd`. Raises as `open_dir`, and `InvalidArguments` for the root.
        """
        rel = self.normalise(path)
        parent, _, name = rel.rpartition("/")
        if not name:
            raise InvalidArguments(f"{path!r} names the root itself", hint="name a file below it")
        return self._open(parent, _DIR_FLAGS, follow), name

    def make_dirs(self, path: str, *, follow: bool = True) -> list[str]:
        """Create the directory `path` and what is missing above it; return the resolved names made, outermost first."""
        made: list[str] = []
        parts = [part for part in self.normalise(path).split("/") if part]
        current = ""
        for part in parts:
            with self._open(current, _DIR_FLAGS, follow) as parent:
                child = f"{current}/{part}" if current else part
                try:
                    os.mkdir(part, dir_fd=parent.fd)
                    made.append(f"{parent.rel}/{part}" if parent.rel else part)
                except FileExistsError:
                    pass  # somebody was first, or it was there: the next open tells whether it is a directory
                except OSError as error:
                    raise as_error(error, child) from error
            current = child
        self._open(current, _DIR_FLAGS, follow).close()
        return made

    def _open(self, rel: str, flags: int, follow: bool) -> Opened:
        try:
            if self.method == "openat2":
                return self._open_beneath(rel, flags, follow)
            return self._opened(*component_walk.resolve(self.fd, str(self.path), rel, flags, follow=follow))
        except OSError as error:
            raise as_error(error, rel) from error

    def _open_beneath(self, rel: str, flags: int, follow: bool) -> Opened:
        resolve = openat2.RESOLVE_BENEATH | openat2.RESOLVE_NO_MAGICLINKS
        try:
            # Without a link on the way the resolved name is the name: no second system call needed to learn it.
            return self._opened(openat2.openat2(self.fd, rel or ".", flags, resolve | openat2.RESOLVE_NO_SYMLINKS), rel)
        except OSError as error:
            if error.errno != errno.ELOOP or not follow:
                raise
        for _ in range(_TRIES):
            try:
                fd = openat2.openat2(self.fd, rel or ".", flags, resolve)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                # RESOLVE_BENEATH refuses every absolute link; the walk accepts those that point back below the root.
                return self._opened(*component_walk.resolve(self.fd, str(self.path), rel, flags, follow=True))
            try:
                name = name_below(self.fd, fd)
                if name is not None:
                    return self._opened(fd, name)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise OSError(errno.ESTALE, "it was replaced again and again while it was opened")

    def _opened(self, fd: int, rel: str) -> Opened:
        return Opened(fd=fd, rel=rel, stat=os.fstat(fd))

    def _below(self, path: str) -> str:
        for base in (str(self.path), self._given):
            if path == base or path.startswith(base.rstrip("/") + "/"):
                return path[len(base) :]
        raise PolicyDenied(f"{path!r} is outside the root", hint="give a path relative to the root")


_CHANGED = (Conflict, "{path} changed meanwhile: {why}", "read it again and repeat the call")
_REFUSED = (PolicyDenied, "the system refuses access to {path}: {why}", "")
_FULL = (Conflict, "{path} cannot be written: {why}", "make room on its disk and repeat the call")
_ERRORS: dict[int, tuple[type[LgError], str, str]] = {
    errno.ENOENT: (NotFound, "{path} does not exist", ""),
    errno.ENOTDIR: (InvalidArguments, "{path} is not a directory, or a part of it is not", ""),
    errno.EISDIR: (InvalidArguments, "{path} is a directory", ""),
    errno.EXDEV: (PolicyDenied, "{path} leads out of the root", "links may only point to places below the root"),
    errno.ELOOP: (PolicyDenied, "{path} goes through a link that may not be followed, or through too many links", ""),
    errno.ENXIO: (InvalidArguments, "{path} is a socket or device", "only regular files are read and written"),
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: (PolicyDenied, "{path} cannot be changed: {why}", "mount the file system with write access"),
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EEXIST: _CHANGED,
    errno.EAGAIN: _CHANGED,
    errno.ESTALE: _CHANGED,
    errno.ENOTEMPTY: _CHANGED,
}


def as_error(error: OSError, rel: str) -> LgError:
    """Translate a system error about the path `rel` into the error a caller sees."""
    if error.errno == errno.ENAMETOOLONG:
        return InvalidArguments(f"{rel[:40]!r}… is too long")
    kind, words, hint = _ERRORS.get(error.errno or 0, (Conflict, "{path}: {why}", ""))
    return kind(words.format(path=repr(rel or "."), why=error.strerror or error), hint=hint)


def write_atomic(root: Root, path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file below the root by a temporary file and rename; missing directories are made.

    Any symlink on the way is refused, and one in the file's own place is replaced, not followed. Raises as
    `Root.open_parent`.
    """
    rel = root.normalise(path)
    parent_rel = rel.rpartition("/")[0]
    if parent_rel:
        root.make_dirs(parent_rel, follow=False)
    parent, name = root.open_parent(rel, follow=False)
    with parent:
        temporary = f".{name[:200]}.{secrets.token_hex(8)}.tmp"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=parent.fd)
        except OSError as error:
            raise as_error(error, rel) from error
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=parent.fd, dst_dir_fd=parent.fd)
            os.fsync(parent.fd)
        except OSError as error:
            _unlink_quietly(temporary, parent.fd)
            raise as_error(error, rel) from error


def _unlink_quietly(name: str, dir_fd: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # the rename may already have consumed it
        os.unlink(name, dir_fd=dir_fd)


def _check_text(path: str) -> None:
    if len(path) > MAX_PATH:
        raise InvalidArguments(f"path is {len(path)} characters long; {MAX_PATH} are allowed")
    for character in path:
        if character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff":
            raise InvalidArguments(
                f"path {path!a} contains the character U+{ord(character):04X}",
                hint="control characters and lone surrogates cannot be named",
            )


def _homes() -> set[str]:
    homes = {os.path.realpath(os.path.expanduser("~")), "/root", "/home", "/Users"}
    if os.environ.get("HOME"):
        homes.add(os.path.realpath(os.environ["HOME"]))
    return homes
