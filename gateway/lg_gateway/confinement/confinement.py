"""What a confined program may see and reach, as bubblewrap's options. Pure but for looking at what exists.

The home directory inside has the name of the real one, and is another: a private directory that is kept for the
program, or storage in memory. What is named of the real home is shown in it, at its own place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lg_gateway.confinement.programs import in_system, user_home
from lg_policy.errors import ConfigError
from lg_policy.sandbox.hidden_paths import NO_MASKS, Masks
from lg_policy.sandbox.system_view import EMPTY, NOTHING, kernel_mounts, system_mounts

INSIDE = "/run/lg"
"""Where the sandbox shows the sockets of the gateway."""
PROXY_SOCKET = f"{INSIDE}/proxy.sock"
TMP = "/tmp"  # noqa: S108  # inside the sandbox, where it is private
_NEVER = ("/", "/proc", "/sys", "/dev", "/run", "/etc", "/var", "/tmp", "/home", "/root", "/boot")  # noqa: S108  # only compared
"""What cannot be named: with it, the sandbox would be none."""


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """The sandbox of one program. All paths are absolute. `home` is the real one; `private_home` is what stands for it.

    `masked_root` is a directory whose denied names are hidden wherever it is shown, by `hide` and `protect`.
    """

    name: str
    network: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    home: str
    private_home: str | None
    state: str
    """A directory for sockets and generated files, which is not shown."""
    memory_mb: int = 2_048
    processes: int = 256
    disk_mb: int = 512
    home_mb: int = 4_096
    masked_root: str | None = None
    hide: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    """Directories that the program looks into for others, before the system's."""
    add_with: str = ""
    """How a refused host is added, with `{host}` in it."""
    raise_home_with: str = "raise home_mb"
    """How a larger home is allowed."""

    @property
    def refusals(self) -> str:
        """Return the file of the hosts that were refused."""
        return f"{self.state}/{self.name}/refused-hosts"

    def modes(self, needs: Iterable[str]) -> dict[str, str]:
        """Return how each path is mounted: what the program needs and reads, and what it may change."""
        return dict.fromkeys((*needs, *self.read), "--ro-bind") | dict.fromkeys(self.write, "--bind")

    @property
    def shows_root(self) -> bool:
        """Return whether any of the masked root is shown."""
        root = self.masked_root
        return root is not None and any(overlap(path, root) for path in (*self.read, *self.write))


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that is mounted: a confinement, what its program needs, masks, sockets and overlays."""

    confinement: Confinement
    accounts: str
    needs: Sequence[str] = ()
    masks: Masks = NO_MASKS
    pinned: Sequence[str] = ()
    """Directories that are mounted onto themselves, so that they cannot be renamed."""
    placed: Sequence[tuple[str, str]] = ()
    """Sockets and files of ours: where each is, and where it is shown."""
    overlay: str | None = None
    """A directory of which the program sees a throw-away copy."""
    directory: str = ""

    def options(self) -> list[str]:
        """Return the mounts, in order."""
        size = str(self.confinement.disk_mb << 20)
        home = self.confinement.home
        private = self.confinement.private_home
        options = [*system_mounts(self.accounts, network=False), *kernel_mounts(self.accounts)]
        for place in (TMP, "/dev/shm"):  # noqa: S108  # likewise
            options += ["--perms", "1777", "--size", size, "--tmpfs", place]
        options += ["--dir", "/run", "--dir", "/var", "--symlink", TMP, "/var/tmp"]  # noqa: S108  # likewise
        options += ["--perms", "0755", "--dir", INSIDE]
        if private is not None:
            options += ["--bind", private, home]
        else:
            options += ["--perms", "0700", "--size", size, "--tmpfs", home]
        options += self._named()
        options += self._masked()
        for outside, inside in self.placed:
            options += ["--ro-bind", outside, inside]
        return [*options, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", self._directory()]

    def _named(self) -> Iterator[str]:
        """Yield what is shown of the machine, parents before what lies in them, so that each has its own mode."""
        modes = self.confinement.modes(self.needs)
        for path in sorted(modes):
            if path == self.overlay:
                yield from ("--overlay-src", path, "--tmp-overlay", path)
            else:
                yield from (modes[path], path, path)

    def _masked(self) -> Iterator[str]:
        root = self.confinement.masked_root
        if root is None:
            return
        for path in self.pinned:
            yield from ("--bind", path, path)
        for rel in self.masks.protected:
            path = f"{root}/{rel}"
            if any(within(path, shown) for shown in self.confinement.write):
                yield from ("--ro-bind", path, path)
        shown_paths = (*self.confinement.read, *self.confinement.write)
        for names, stand_in in ((self.masks.hidden_dirs, NOTHING), (self.masks.hidden_files, EMPTY)):
            for path in (f"{root}/{rel}" for rel in names):
                if any(within(path, shown) for shown in shown_paths):
                    yield from ("--ro-bind", f"{self.accounts}/{stand_in}", path)

    def _directory(self) -> str:
        """Return where the program starts: where it was told to, if it sees that, or in its home."""
        places = (*self.needs, *self.confinement.read, *self.confinement.write)
        seen = self.directory and (in_system(self.directory) or any(within(self.directory, place) for place in places))
        return self.directory if seen else self.confinement.home


def named_path(written: str, where: str) -> str:
    """Return a path that settings name, as the absolute path that it leads to. Raises `ConfigError`."""
    path = os.path.expanduser(written)
    if not os.path.isabs(path):
        raise ConfigError(f"{where}: {written!r} is not an absolute path", hint="begin it with / or ~/")
    real = os.path.realpath(path)
    homes = (os.path.realpath(os.path.expanduser("~")), user_home())
    if real in _NEVER or any(within(home, real) for home in homes):
        raise ConfigError(f"{where}: {written!r} would show too much", hint="name the directories below it one by one")
    return real


def within(path: str, directory: str) -> bool:
    """Return whether a path is a directory or lies in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def overlap(first: str, second: str) -> bool:
    """Return whether one of two paths lies in the other."""
    return within(first, second) or within(second, first)
