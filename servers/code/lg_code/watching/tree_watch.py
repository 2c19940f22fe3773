"""Watches the directories that a look at the tree enters, and tells the next look what may have changed.

Why no change is lost: a directory is watched before its names are read, so what changes after that leaves an event.
The kernel queues it before the call that made the change returns, and a question reads the queue before it is answered.

What leaves no event is looked at each time: files with several names, which may be written through another one, and
files that some program holds open, which it may write through a mapping. Beyond that the whole tree is looked at once
in a while, as a mapping may be older than the watch, and as a file may get a further name outside of the watched
directories after it was looked at, of which there is no event, and be written through that. Where changes come from
elsewhere (network and FUSE file systems, overlays), and where the system has no room for the watches, nothing is
watched and each look is at the whole tree.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress

from lg_code.watching import inotify
from lg_code.watching.changes import Changes, Folder
from lg_code.watching.inotify import Event, Inotify
from lg_code.watching.mounts import Mount, MountTable, mounts_of, why_not_seen
from lg_policy.errors import LgError
from lg_policy.tree.walk import TELLING_FILES
from lg_policy.tree.workspace import ServedRoot

log = logging.getLogger(__name__)

_LIMIT_FILE = "/proc/sys/fs/inotify/max_user_watches"
_SHARE = 2
"""No more than this part of the user's watches is taken: editors need some too."""
_MOST_OPEN = 64
"""Files that others hold open, and are read again for each question; those opened last."""
_MOST_DOUBTFUL = 200
_OPENED = inotify.OPEN | inotify.CLOSE_NOWRITE | inotify.CLOSE_WRITE
_OF_ITSELF = inotify.ATTRIB | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT
_WRITTEN = (
    inotify.MODIFY | inotify.ATTRIB | inotify.CLOSE_WRITE | inotify.CREATE | inotify.DELETE
    | inotify.MOVED_FROM | inotify.MOVED_TO
)  # fmt: skip


class _NotWatchedError(Exception):
    """The tree cannot be watched. The message says why."""


class TreeWatch:
    """The watches of one index. All methods may be called from any thread."""

    def __init__(self, places: Sequence[ServedRoot], most_directories: int) -> None:
        self._places = places
        self._most = most_directories
        self._lock = threading.Lock()
        self._queue: Inotify | None = None
        self._table: MountTable | None = None
        self._mounts: list[list[Mount]] = []
        self._folders: dict[int, Folder] = {}
        self._entered: set[int] = set()
        self._pending = Changes(everything=True)
        self._open: dict[tuple[int, str], int] = {}
        self._moved: dict[int, int] = {}
        self._doubtful: dict[tuple[Folder, str], None] = {}
        self.off = "" if most_directories else "watch_max_directories is 0"
        """Why nothing is watched."""

    def is_quiet(self) -> bool:
        """Return whether nothing can have changed since the last look began; what did is kept for the next."""
        with self._lock:
            if self._queue is None or self._pending or self._doubtful:
                return False
            self._drain()
            return not (self._pending or self._open) and self._roots_are_there()

    def needs_everything(self) -> bool:
        """Return whether the next look is at the whole tree."""
        with self._lock:
            return self._pending.everything

    def take(self) -> Changes:
        """Return what the look that begins now has to look at."""
        with self._lock:
            if self._queue is None and not self.off:
                self._start()
            self._drain()
            taken, self._pending = self._pending, Changes(everything=self._queue is None)
            self._entered.clear()
            if taken.everything:
                self._doubtful.clear()
                return taken
            for watch, name in [key for key in self._open if key[0] in self._folders]:
                taken.add(self._folders[watch], name)
            for folder, name in self._doubtful:
                _add(taken, folder, name)
            return taken

    def enter(self, place: int, descriptor: int, path: str) -> None:
        """Watch a directory that a look has opened and not yet read."""
        with self._lock:
            if self._queue is None:
                return
            try:
                if len(self._folders) >= self._most:
                    raise _NotWatchedError("it has too many directories; see watch_max_directories")
                watch = self._queue.add(descriptor)
            except (OSError, _NotWatchedError) as error:
                self._stop(str(error))
                return
            if watch in self._entered and self._folders[watch] != (place, path):
                self._pending.everything = True  # roots that overlap, or moved right now: its events have one path only
            self._folders[watch] = (place, path)
            self._entered.add(watch)
            self._drain()

    def doubt(self, place: int, path: str) -> None:
        """Note a file that may change without an event."""
        above, _, name = path.rpartition("/")
        with self._lock:
            self._doubtful[(place, above), name] = None
            if len(self._doubtful) > _MOST_DOUBTFUL:
                self._pending.everything = True

    def drain(self) -> None:
        """Make room in the kernel's queue: the look itself fills it."""
        with self._lock:
            self._drain()

    def looked_at_everything(self) -> None:
        """Note that a look at the whole tree came to its end: what it did not enter is watched no longer."""
        with self._lock:
            for watch in self._folders.keys() - self._entered:
                self._forget(watch, remove=True)

    def looked_below(self, paths: Collection[Folder]) -> None:
        """Note that a look at these names came to its end: what is below them and was not entered is watched no longer.

        It is gone, or in a directory that is left out now.
        """
        with self._lock:
            for watch in self._folders.keys() - self._entered if paths else ():
                place, path = self._folders[watch]
                parts = path.split("/")
                if any((place, "/".join(parts[: depth + 1])) in paths for depth in range(len(parts))):
                    self._forget(watch, remove=True)

    def lost(self) -> None:
        """Note that a look did not come to its end: the next one is at the whole tree."""
        with self._lock:
            self._pending.everything = True

    def close(self) -> None:
        """Give up all watches."""
        with self._lock:
            self._stop("it is closed")

    def _start(self) -> None:
        try:
            self._table = MountTable()
            self._mounts = self._mounts_now()
            for mounts in self._mounts:
                why = why_not_seen(mounts)
                if why:
                    raise _NotWatchedError(why)
            with suppress(OSError, ValueError), open(_LIMIT_FILE, encoding="ascii") as limit:
                self._most = min(self._most, int(limit.read(20)) // _SHARE)
            self._queue = Inotify()
        except (OSError, ValueError, StopIteration, _NotWatchedError) as error:
            self._stop(str(error))

    def _stop(self, why: str) -> None:
        if not self.off:
            log.info("the tree is not watched, each call looks at all of it: %s", why)
            self.off = why
        for opened in (self._queue, self._table):
            if opened is not None:
                opened.close()
        self._queue = self._table = None
        self._pending = Changes(everything=True)
        for kept in (self._folders, self._entered, self._open, self._moved, self._doubtful):
            kept.clear()

    def _mounts_now(self) -> list[list[Mount]]:
        table = self._table
        return [] if table is None else [mounts_of(table, place.root.fd) for place in self._places]

    def _roots_are_there(self) -> bool:
        try:
            for place in self._places:
                place.check_identity()
        except LgError:
            return False
        return True

    def _drain(self) -> None:
        """Read the queue until it is empty, and note what it says."""
        if self._queue is None or self._table is None:
            return
        try:
            if self._table.has_changed() and self._mounts_now() != self._mounts:
                self._stop("a file system was mounted or unmounted there")
                self.off = ""  # the next look may watch again
                return
            for event in self._queue.events():
                self._note(event)
        except (OSError, ValueError, StopIteration) as error:
            self._stop(str(error))

    def _note(self, event: Event) -> None:
        watch, mask, cookie, name = event
        folder = self._folders.get(watch)
        if mask & inotify.OVERFLOW:
            self._pending.everything = True
        elif mask & inotify.IGNORED:
            self._forget(watch, remove=False)
        elif folder is None:
            return
        elif not name:
            if mask & _OF_ITSELF:
                self._pending.add_folder(folder)
        elif mask & inotify.IS_DIR:
            if mask & _WRITTEN:
                self._pending.add(folder, name)
        else:
            self._note_open(watch, mask, cookie, name)
            if mask & _WRITTEN:
                _add(self._pending, folder, name)

    def _note_open(self, watch: int, mask: int, cookie: int, name: str) -> None:
        """Keep in mind which files are open. Equal events in a row are one, so the numbers are no exact ones."""
        key = (watch, name)
        if mask & inotify.OPEN:
            self._open[key] = self._open.pop(key, 0) + 1
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]
        elif mask & (inotify.CLOSE_NOWRITE | inotify.CLOSE_WRITE) and key in self._open:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
        elif mask & inotify.MOVED_FROM and key in self._open:
            self._moved = {cookie: self._open.pop(key)}
        elif mask & inotify.MOVED_TO and cookie in self._moved:
            self._open[key] = self._moved.pop(cookie)
        elif mask & inotify.DELETE:
            self._open.pop(key, None)

    def _forget(self, watch: int, *, remove: bool) -> None:
        self._folders.pop(watch, None)
        self._entered.discard(watch)
        for key in [key for key in self._open if key[0] == watch]:
            del self._open[key]
        if remove and self._queue is not None:
            self._queue.remove(watch)


def _add(changes: Changes, folder: Folder, name: str) -> None:
    """Note a file; one that decides what else is shown stands for its directory."""
    if name in TELLING_FILES:
        changes.add_folder(folder)
    else:
        changes.add(folder, name)
