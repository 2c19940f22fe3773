"""Lets Python in a sandbox read the bytecode of its own installation, and never that of the root.

A `.pyc` file is run instead of the source beside it, and a repository can hold any: it would pass a check that its
source fails. `PYTHONPYCACHEPREFIX` has Python ignore all of them, also those of the standard library, which then is
compiled for each command. So what belongs to the interpreter is shown below the prefix again: as links to the `.pyc`
files beside its sources, in a directory that no command can write.

An environment in the root counts as the interpreter's: whoever wrote it also chose the `python` in it. Python itself
compares each file with its source, so a link to what is gone or old costs time and nothing else.
"""

from __future__ import annotations

import glob
import hashlib
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lg_policy.changes.removal import remove_tree
from lg_policy.errors import ConfigError
from lg_policy.state import cache_home, make_private, refuse_inside

if TYPE_CHECKING:
    from lg_exec.process.worker_thread import Work

log = logging.getLogger(__name__)

MAX_LINKS = 30_000
MAX_S = 5.0
"""Links to one library, and the time to make them. What is beyond is compiled."""
MAX_KEPT = 30
"""Libraries whose links are kept for later servers; those that were used longest ago go first."""
KEPT_S = 86_400
"""Links that were used within this time stay in any case: another server may be about to show them."""
RENEWED_S = 7 * 86_400
"""Links are made anew that often: a `.pyc` file that came later may have none."""
_FORMAT = 1
_CACHE = "__pycache__"
_PACKAGES = frozenset(("site-packages", "dist-packages"))
_OF_ENVIRONMENT = "pyvenv.cfg"
_UNFINISHED = ".new-"
_PYTHON = re.compile(r"python(?:3(?:\.\d+)?t?)?")
_IGNORES = re.compile(r"-[A-Za-z]*[IE][A-Za-z]*")
_LAST = re.compile(r"-[A-Za-z]*[cm]")


def with_prefix(program: str, args: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Return a command; of a Python that is told to ignore its environment, with the prefix as an option.

    Not covered: a Python that another program starts with `-I` or `-E`.
    """
    ignores = _PYTHON.fullmatch(os.path.basename(program)) is not None and any(map(_IGNORES.fullmatch, _options(args)))
    return (program, *(("-X", f"pycache_prefix={prefix}") if ignores else ()), *args)


def _options(args: Sequence[str]) -> Iterator[str]:
    """Yield the options of Python itself, which stand before its script, `-c` or `-m`."""
    for before, arg in zip(("", *args), args, strict=False):
        if before in ("-X", "-W"):
            continue  # what such an option is given
        if not arg.startswith("-") or _LAST.match(arg):
            return
        yield arg


def shared_folder(root: str) -> str | None:
    """Return the directory where all servers of this user keep their links.

    It is None where the cache directory lies below the root, so that a command could write to it, and where it cannot
    be made private.
    """
    folder = cache_home() / "python-bytecode"
    try:
        refuse_inside(folder, Path(root), "the cache")
        make_private(folder)
    except ConfigError:
        return None
    return str(folder)


class PythonBytecode:
    """The links that one server shows, made when a command first needs them. Used from worker threads."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._made: dict[str, str] = {}
        self._lock = threading.Lock()

    def arguments(self, prefix: str, places: Iterable[str], work: Work) -> tuple[str, ...]:
        """Return the bubblewrap options that show the bytecode of the libraries in `places` below `prefix`.

        What cannot be shown is compiled. Raises what `work.check` raises.
        """
        options: list[str] = []
        places = tuple(places)
        # The packages of an interpreter that an environment is made with are hardly ever used in it.
        hidden = (
            _PACKAGES if any(os.path.isfile(f"{place}/{_OF_ENVIRONMENT}") for place in places) else frozenset[str]()
        )
        with self._lock:
            for library in _libraries(places):
                if not os.path.isdir(self._made.get(library, "")):  # at first, and where what cleans up has removed it
                    own = os.path.isfile(f"{library}/../../{_OF_ENVIRONMENT}")
                    try:
                        self._made[library] = self._linked(library, frozenset() if own else hidden, work)
                    except OSError as error:  # the disk is full, or the cache cannot be written
                        log.warning("the bytecode of %s is compiled for each command: %s", library, error)
                        continue
                options += ["--ro-bind", self._made[library], f"{prefix}{library}"]
        return tuple(options)

    def _linked(self, library: str, left_out: frozenset[str], work: Work) -> str:
        """Return the directory with the links to the bytecode of a library, made now or by an earlier server."""
        os.makedirs(self._folder, 0o755, exist_ok=True)
        kept = os.path.join(self._folder, _key(library, left_out))
        if os.path.isdir(kept):
            os.utime(kept)
            return kept
        made = tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._folder)
        try:
            os.chmod(made, 0o755)  # noqa: S103  # commands may run as another user
            _link(library, made, left_out, work)
            try:
                os.rename(made, kept)
            except OSError:
                if not os.path.isdir(kept):  # no other server was first
                    raise
        finally:
            remove_tree(made)
        self._forget()
        return kept

    def _forget(self) -> None:
        """Remove links that nobody has used for long. A sandbox that still shows them compiles what it misses."""
        with os.scandir(self._folder) as entries:
            by_age = sorted((entry.stat(follow_symlinks=False).st_mtime, entry.name) for entry in entries)
        old = {name for used, name in by_age if time.time() - used > KEPT_S}
        unfinished = [name for _used, name in by_age if name.startswith(_UNFINISHED)]
        finished = [name for _used, name in by_age if not name.startswith(_UNFINISHED)]
        for name in old.intersection((*unfinished, *finished[:-MAX_KEPT])):
            remove_tree(os.path.join(self._folder, name))


def _key(library: str, left_out: frozenset[str]) -> str:
    """Name the links to a library as it is: another name after packages were installed, and each week."""
    folders = [library, *(f"{library}/{name}" for name in sorted(_PACKAGES - left_out))]
    stamps = [_changed(place) for folder in folders for place in (folder, f"{folder}/{_CACHE}")]
    week = int(time.time() // RENEWED_S)
    text = repr((_FORMAT, os.fsencode(library), sorted(left_out), stamps, week))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _link(library: str, top: str, left_out: frozenset[str], work: Work) -> None:
    """Make the links to the bytecode of one library below `top`."""
    count, until = 0, time.monotonic() + MAX_S
    for folder, below, _files in os.walk(library):
        work.check()
        if count >= MAX_LINKS or time.monotonic() > until:
            break
        below[:] = [sub for sub in below if sub not in left_out]
        cache = os.path.join(folder, _CACHE)
        if _CACHE not in below or os.path.islink(cache):
            continue
        below.remove(_CACHE)
        target = os.path.join(top, os.path.relpath(folder, library)) if folder != library else top
        os.makedirs(target if below else os.path.dirname(target), 0o755, exist_ok=True)
        for source, link in _links(cache, target) if below or target == top else [(cache, target)]:
            os.symlink(source, link)
            count += 1


def _links(cache: str, target: str) -> list[tuple[str, str]]:
    """A link for each file: packages below have their place beside them. What `-O` reads is compiled."""
    try:
        names = [name for name in os.listdir(cache) if name.endswith(".pyc") and ".opt-" not in name]
    except OSError:
        return []
    return [(os.path.join(cache, name), os.path.join(target, name)) for name in names]


def _libraries(places: Iterable[str]) -> Iterator[str]:
    for place in dict.fromkeys(places):
        yield from sorted(glob.glob(f"{glob.escape(place)}/lib/python3*"))
