"""Limits for a whole process tree by control groups: version 2 where it is delegated, else version 1, else none.

Each call gets a group. Where possible it lies below the group of this process, so that limits set from outside still
hold. In version 2 a group that holds processes cannot hand controllers down. If this process's group was delegated to
it and holds nobody else, the group is divided: this process moves into a leaf of it. Otherwise the group of a call lies
below the nearest group above that hands both controllers down and that this user may write to, such as systemd's
`app.slice`. Then the limits of this process's own group do not bind its commands, but those further up do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from lg_policy.sandbox import group_sweep, process_tree

_CONTROLLERS = ("memory", "pids")
_BUSY_TRIES = 250
_BUSY_PAUSE_S = 0.02
"""A group stays busy until the kernel has cleared the last of its processes away."""


class TreeLimits(Protocol):
    """The limits of a whole process tree."""

    @property
    def memory_mb(self) -> int:
        """Mebibytes in use."""

    @property
    def processes(self) -> int:
        """Processes and threads."""


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """Where groups can be made. `parents` maps a controller to a directory, in version 2 always to the same one."""

    version: int
    parents: dict[str, str]

    @property
    def prefixes(self) -> dict[str, str]:
        """Return how the names of this process's groups begin, by controller."""
        return {controller: f"{parent}/lg-exec-{os.getpid()}-" for controller, parent in self.parents.items()}

    def name(self, controller: str) -> str | None:
        """Return what `doctor` calls the mechanism that enforces a limit, or `None` if this hierarchy does not."""
        return f"cgroup v{self.version}" if controller in self.parents else None


class Group:
    """The control group of one call. `close` removes it after its processes have ended."""

    def __init__(self, hierarchy: Hierarchy, limits: TreeLimits) -> None:
        name = secrets.token_hex(6)
        self._version = hierarchy.version
        self._dirs = {controller: prefix + name for controller, prefix in hierarchy.prefixes.items()}
        self.controllers = frozenset(self._dirs)
        made: list[str] = []
        try:
            for directory in dict.fromkeys(self._dirs.values()):
                os.mkdir(directory)
                made.append(directory)
            self._limit(limits)
        except OSError:
            for directory in made:
                os.rmdir(directory)
            raise

    def _limit(self, limits: TreeLimits) -> None:
        memory = limits.memory_mb << 20
        if "memory" in self._dirs:
            if self._version == 2:
                self._write("memory", "memory.max", memory)
                self._try("memory", "memory.swap.max", 0)
                self._try("memory", "memory.oom.group", 1)
            else:
                self._write("memory", "memory.limit_in_bytes", memory)
                self._try("memory", "memory.memsw.limit_in_bytes", memory)
                self._try("memory", "memory.swappiness", 0)
        if "pids" in self._dirs:
            self._write("pids", "pids.max", limits.processes + 1)  # bubblewrap's own process inside counts too

    def add(self, pid: int) -> None:
        """Move a process into the group, and with it all its later descendants. Raises `OSError`."""
        for directory in dict.fromkeys(self._dirs.values()):
            with open(os.path.join(directory, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(pid))

    def breach(self) -> str | None:
        """Return `memory` or `processes` if the kernel has refused one of them."""
        events = "memory.events" if self._version == 2 else "memory.oom_control"
        if self._counter("memory", events, "oom_kill"):
            return "memory"
        return "processes" if self._counter("pids", "pids.events", "max") else None

    def close(self) -> None:
        """Remove the group. One that is still busy is removed a little later, or by the next start of a server."""
        busy = [directory for directory in dict.fromkeys(self._dirs.values()) if not _removed(directory)]
        if busy:
            threading.Thread(target=_remove_later, args=(busy,), daemon=True).start()

    def _counter(self, controller: str, file: str, key: str) -> int:
        directory = self._dirs.get(controller)
        if directory is None:
            return 0
        with contextlib.suppress(OSError), open(os.path.join(directory, file), encoding="ascii") as lines:
            for line in lines:
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
        return 0

    def _write(self, controller: str, file: str, value: int) -> None:
        with open(os.path.join(self._dirs[controller], file), "w", encoding="ascii") as target:
            target.write(str(value))

    def _try(self, controller: str, file: str, value: int) -> None:
        """Set what not every kernel has. The limit does not depend on it."""
        with contextlib.suppress(OSError):
            self._write(controller, file, value)


def _remove_later(busy: list[str]) -> None:
    for _ in range(_BUSY_TRIES):
        time.sleep(_BUSY_PAUSE_S)
        busy = [directory for directory in busy if not _removed(directory)]
        if not busy:
            return


def _removed(directory: str) -> bool:
    """Remove a group, and return whether nothing is left to try."""
    try:
        os.rmdir(directory)
    except OSError as error:
        return error.errno != errno.EBUSY
    return True


def find_hierarchy(
    mounts: str = "/proc/self/mountinfo", own: str = "/proc/self/cgroup", *, divide: bool = True
) -> Hierarchy | None:
    """Return where this process may make groups with memory and process limits, or `None`.

    Groups that servers left there when they were killed are removed.

    `divide`: this process and its descendants may be moved into a leaf of their own group.
    """
    try:
        with open(mounts, encoding="utf-8") as file:
            mounted = list(_mounts(file.read()))
        with open(own, encoding="utf-8") as file:
            places = dict(_places(file.read()))
    except OSError:
        return None
    for kind, _, point in mounted:
        if kind == "cgroup2" and "" in places:
            parent = (_divided(point, places[""]) if divide else None) or _delegated(point, places[""])
            if parent is not None:
                group_sweep.sweep(parent)
                return Hierarchy(version=2, parents=dict.fromkeys(_CONTROLLERS, parent))
    parents = {}
    for kind, options, point in mounted:
        for controller in _CONTROLLERS:
            if kind == "cgroup" and controller in options and controller in places:
                directory = point + places[controller].rstrip("/")
                if _can_make_groups(directory):
                    group_sweep.sweep(directory)
                    parents[controller] = directory
    return Hierarchy(version=1, parents=parents) if parents else None


def _mounts(text: str) -> Iterator[tuple[str, list[str], str]]:
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if len(fields) > 4 and len(kinds) > 2 and fields[3] == "/":
            yield kinds[0], kinds[2].split(","), fields[4]


def _places(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _divided(point: str, path: str) -> str | None:
    """Divide this process's own group, so that it can have groups below it. Returns `None` if that fails."""
    directory = point + path.rstrip("/")
    leaf = f"{directory}/lg-exec-{os.getpid()}"
    try:
        if not _is_ours(directory) or not set(_CONTROLLERS) <= set(_words(f"{directory}/cgroup.controllers")):
            return None
        os.mkdir(leaf)
    except OSError:
        return None
    try:
        _move(_words(f"{directory}/cgroup.procs"), leaf)
        with open(f"{directory}/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write(" ".join(f"+{controller}" for controller in _CONTROLLERS))
    except OSError:
        with contextlib.suppress(OSError):
            _move(_words(f"{leaf}/cgroup.procs"), directory)
            os.rmdir(leaf)
        return None
    return directory


def _is_ours(directory: str) -> bool:
    """Return whether the group was delegated to this user, and holds only this process and its descendants."""
    try:
        delegated = os.getxattr(directory, "user.delegate") == b"1"
    except OSError:
        delegated = os.stat(directory).st_uid == os.geteuid() != 0
    return delegated and {int(pid) for pid in _words(f"{directory}/cgroup.procs")} <= set(
        process_tree.members(os.getpid())
    )


def _move(pids: list[str], directory: str) -> None:
    for pid in pids:
        with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(pid)


def _words(path: str) -> list[str]:
    with open(path, encoding="ascii") as file:
        return file.read().split()


def _delegated(point: str, path: str) -> str | None:
    """Return the nearest group above this process whose sub-groups get both controllers, if this user may make some."""
    while True:
        directory = point + path.rstrip("/")
        with contextlib.suppress(OSError):
            handed_down = set(_words(f"{directory}/cgroup.subtree_control"))
            if set(_CONTROLLERS) <= handed_down and _can_make_groups(directory):
                return directory
        if path in ("", "/"):
            return None
        path = os.path.dirname(path)


def _can_make_groups(directory: str) -> bool:
    probe = f"{directory}/lg-exec-probe-{secrets.token_hex(6)}"
    try:
        os.mkdir(probe)
        os.rmdir(probe)
    except OSError:
        return False
    return os.access(f"{directory}/cgroup.procs", os.W_OK)
