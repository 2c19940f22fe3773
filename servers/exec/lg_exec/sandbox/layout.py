"""The file system that a sandboxed command sees, as bubblewrap arguments. Later mounts cover earlier ones.

A command sees a minimal system, generated account files, the toolchain that it needs, and the root with its protected
and hidden names. Everything is read-only except the private temporary directories and, if the template says so, the
root. Files of the kernel that root could write even without capabilities, such as `/proc/sys`, are read-only or hidden.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lg_exec.sandbox.hidden_paths import Masks

TMP = "/tmp"  # noqa: S108  # inside the sandbox, where it is private
HOME = f"{TMP}/.home"
_PRIVATE = (TMP, "/dev/shm")  # noqa: S108  # likewise

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "ssl/openssl.cnf",
    "pki/tls/certs", "pki/ca-trust/extracted", "crypto-policies", "localtime", "timezone",
    "mime.types", "protocols", "services", "terminfo",
)  # fmt: skip
_PROC_DIRS = ("acpi", "asound", "driver", "fs", "pressure", "scsi")
_PROC_FILES = (
    "cmdline", "config.gz", "kcore", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "mtrr",
    "sched_debug", "sysrq-trigger", "timer_list",
)  # fmt: skip
ACCOUNTS = {
    "passwd": "sandbox:x:1000:1000:sandbox:/tmp/.home:/bin/sh\nroot:x:0:0:root:/:/bin/false\n"
    "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "group": "sandbox:x:1000:\nroot:x:0:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    "empty": "",
}
"""The generated files by name. `empty` stands in for files that are hidden."""
NOTHING = "nothing"
"""An empty directory beside them, which stands in for directories that are hidden."""
MAX_BOUND = 500


@dataclass(frozen=True, kw_only=True)
class CommonDirectory:
    """What a linked git worktree shares with its repository, outside the root, and which names in it are hidden."""

    path: str
    masks: Masks


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is visible, and how. `accounts` is the directory with the generated files. Sizes are in bytes."""

    root: str
    mode: Literal["overlay", "ro", "rw"]
    cwd: str
    prefixes: Sequence[str]
    environments: Sequence[str]
    masks: Masks
    accounts: str
    tmp_bytes: int
    network: bool
    upper: str | None = None
    mask_layer: str | None = None
    """A directory that hides names as a layer of the overlay, if there are too many for mounts."""
    common: CommonDirectory | None = None

    @property
    def storage(self) -> tuple[str, ...]:
        """Return the mount points of storage in memory, which is thrown away."""
        return (*_PRIVATE, self.root) if self.mode == "overlay" else _PRIVATE

    def arguments(self) -> list[str]:
        """Return the bubblewrap options, in order."""
        return [
            *self._system(),
            *self._kernel(),
            *self._private(),
            *self._toolchains(),
            *self._project(),
            *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", os.path.join(self.root, self.cwd)),
        ]

    def _system(self) -> Iterator[str]:
        yield from ("--ro-bind", "/usr", "/usr")
        for place in _SYSTEM:
            if os.path.islink(place):
                yield from ("--symlink", os.readlink(place), place)
            elif os.path.isdir(place):
                yield from ("--ro-bind", place, place)
        if os.path.isdir("/nix/store"):
            yield from ("--ro-bind", "/nix/store", "/nix/store")
        yield from ("--perms", "0755", "--dir", "/etc")
        for name in _ETC:
            yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
        for name in ACCOUNTS:
            if name != "empty":
                yield from ("--ro-bind", f"{self.accounts}/{name}", f"/etc/{name}")
        if self.network:
            yield from ("--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf")

    def _kernel(self) -> Iterator[str]:
        yield from ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
        for name in _PROC_DIRS:
            if os.path.isdir(f"/proc/{name}"):
                yield from ("--size", "4096", "--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}")
        for name in _PROC_FILES:
            if _could_be_opened(f"/proc/{name}"):
                yield from ("--ro-bind", f"{self.accounts}/empty", f"/proc/{name}")
        yield from ("--dev", "/dev")

    def _private(self) -> Iterator[str]:
        size = str(self.tmp_bytes)
        for place in _PRIVATE:
            yield from ("--perms", "1777", "--size", size, "--tmpfs", place)
        yield from ("--perms", "0700", "--dir", HOME, "--dir", "/run", "--dir", "/var", "--symlink", TMP, "/var/tmp")  # noqa: S108  # inside

    def _toolchains(self) -> Iterator[str]:
        for prefix in self.prefixes:
            yield from ("--ro-bind", prefix, prefix)

    def _project(self) -> Iterator[str]:
        yield from self._root()
        if self.mode != "ro":
            for rel in self.bound:
                yield from ("--ro-bind", f"{self.root}/{rel}", f"{self.root}/{rel}")
        if self.mask_layer is None:
            yield from self._hidden(self.root, self.masks)
        if self.common is not None:
            yield from ("--ro-bind", self.common.path, self.common.path)
            yield from self._hidden(self.common.path, self.common.masks)

    def _root(self) -> Iterator[str]:
        """Return the root itself, by its mode, and the layer above it that hides names."""
        above = ("--overlay-src", self.mask_layer) if self.mask_layer is not None else ()
        if self.mode == "ro" and not above:
            yield from ("--ro-bind", self.root, self.root)
            return
        yield from ("--overlay-src", self.root, *above)
        if self.mode == "ro":
            yield from ("--ro-overlay", self.root)
        elif self.mode == "overlay":
            yield from ("--tmp-overlay", self.root)
        else:
            yield from ("--overlay", f"{self.upper}/new", f"{self.upper}/work", self.root)

    @property
    def bound(self) -> tuple[str, ...]:
        """Return the names that are bound read-only over a writable root, at most `MAX_BOUND`.

        They give early and clear errors. Safety does not depend on them: what a command writes below the root is
        thrown away, or judged by the write rules before it is kept.
        """
        inside = [self._below(place) for place in self.environments]
        return tuple(dict.fromkeys([*(place for place in inside if place), *self.masks.protected]))[:MAX_BOUND]

    def _hidden(self, place: str, masks: Masks) -> Iterator[str]:
        for rel in masks.hidden_dirs:
            yield from ("--ro-bind", f"{self.accounts}/{NOTHING}", f"{place}/{rel}")
        for rel in masks.hidden_files:
            yield from ("--ro-bind", f"{self.accounts}/empty", f"{place}/{rel}")

    def _below(self, place: str) -> str | None:
        """Return the place relative to the root if it is a real directory below it. A link cannot be mounted over."""
        return place[len(self.root) + 1 :] if place.startswith(f"{self.root}/") and not os.path.islink(place) else None


def _could_be_opened(path: str) -> bool:
    """Return whether this user may open the file at all. Each mount costs a call some hundredths of a millisecond."""
    return os.access(path, os.R_OK) or os.access(path, os.W_OK)
