"""Lets Python in a sandbox read the bytecode of its own installation, and never that of the root.

A `.pyc` file is run instead of the source beside it, and a repository can hold any: it would pass a check that its
source fails. `PYTHONPYCACHEPREFIX` has Python ignore all of them, also those of the standard library, which then is
compiled for each command. So what belongs to the interpreter is shown below the prefix again: as links to the `.pyc`
files beside its sources, in a directory that only this server can write.

An environment in the root counts as the interpreter's: whoever wrote it also chose the `python` in it. Python itself
compares each file with its source, so a link to what is gone or old costs time and nothing else.
"""

from __future__ import annotations

import glob
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lg_exec.sandbox.layout import TMP

if TYPE_CHECKING:
    from lg_exec.process.worker_thread import Work

LINKS = f"{TMP}/.cache/python-bytecode"
"""Where the links are inside a sandbox."""
MAX_LINKS = 30_000
MAX_S = 5.0
"""Links to one library, and the time to make them. What is beyond is compiled."""
_CACHE = "__pycache__"
_PACKAGES = frozenset(("site-packages", "dist-packages"))
_OF_ENVIRONMENT = "pyvenv.cfg"


class PythonBytecode:
    """The links of one server, made when a command first needs them. Used from worker threads."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        self._folder = ""
        self._made: dict[str, str] = {}
        self._lock = threading.Lock()

    def arguments(self, prefix: str, places: Iterable[str], work: Work) -> tuple[str, ...]:
        """Return the bubblewrap options that show the bytecode of the libraries in `places` below `prefix`.

        Raises `OSError`, and what `work.check` raises.
        """
        links: list[str] = []
        places = tuple(places)
        # The packages of an interpreter that an environment is made with are hardly ever used in it.
        hidden = (
            _PACKAGES if any(os.path.isfile(f"{place}/{_OF_ENVIRONMENT}") for place in places) else frozenset[str]()
        )
        with self._lock:
            if not os.path.isdir(self._folder):  # at first, and where what cleans up `/tmp` has removed it
                self._folder = tempfile.mkdtemp(prefix="bytecode-", dir=self._scratch)
                os.chmod(self._folder, 0o755)  # noqa: S103  # commands may run as another user
                self._made.clear()
            for library in _libraries(places):
                if library not in self._made:
                    own = os.path.isfile(f"{library}/../../{_OF_ENVIRONMENT}")
                    self._made[library] = self._link(library, frozenset() if own else hidden, work)
                links += ["--symlink", f"{LINKS}/{self._made[library]}", f"{prefix}{library}"]
        return ("--ro-bind", self._folder, LINKS, *links) if links else ()

    def _link(self, library: str, left_out: frozenset[str], work: Work) -> str:
        """Make the links to the bytecode of one library and return the name of their directory."""
        name = os.urandom(4).hex()  # never that of links that a call was stopped in making
        top, count, until = os.path.join(self._folder, name), 0, time.monotonic() + MAX_S
        os.mkdir(top, 0o755)
        for folder, below, _files in os.walk(library):
            work.check()
            if count >= MAX_LINKS or time.monotonic() > until:
                break
            below[:] = [sub for sub in below if sub not in left_out]
            cache = os.path.join(folder, _CACHE)
            if _CACHE not in below or os.path.islink(cache):
                continue
            below.remove(_CACHE)
            target = os.path.join(top, os.path.relpath(folder, library))
            os.makedirs(target if below else os.path.dirname(target), 0o755, exist_ok=True)
            for source, link in _links(cache, target) if below else [(cache, target)]:
                os.symlink(source, link)
                count += 1
        return name


def _links(cache: str, target: str) -> list[tuple[str, str]]:
    """A link for each file: packages below have their place beside them."""
    try:
        names = [name for name in os.listdir(cache) if name.endswith(".pyc")]
    except OSError:
        return []
    return [(os.path.join(cache, name), os.path.join(target, name)) for name in names]


def _libraries(places: Iterable[str]) -> Iterator[str]:
    for place in dict.fromkeys(places):
        yield from sorted(glob.glob(f"{glob.escape(place)}/lib/python3*"))
