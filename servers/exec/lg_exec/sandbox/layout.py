"""The file system that a sandboxed command sees, as bubblewrap arguments. Later mounts cover earlier ones.

Everything is read-only but the private temporary directories and, by template, the root: a minimal system, generated
account files, the toolchain that the command needs, the root with its protected and hidden names. Host files of the
kernel's own interfaces that root could write even without capabilities (`/proc/sys`) are read-only or hidden.
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
"""Generated files by name; `empty` stands in for what is hidden."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is visible, and how. `accounts` is the directory with the generated files; sizes are in bytes."""

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

    @property
    def storage(self) -> tuple[str, ...]:
        """The mount points of throw-away storage in memory."""
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
        if self.mode == "ro":
            yield from ("--ro-bind", self.root, self.root)
        elif self.mode == "overlay":
            yield from ("--overlay-src", self.root, "--tmp-overlay", self.root)
        else:
            yield from ("--overlay-src", self.root, "--overlay", f"{self.upper}/new", f"{self.upper}/work", self.root)
        if self.mode != "ro":
            inside = [self._below(place) for place in self.environments]
            for rel in dict.fromkeys([*self.masks.protected, *(each for each in inside if each)]):
                yield from ("--ro-bind", f"{self.root}/{rel}", f"{self.root}/{rel}")
        for rel in self.masks.hidden_dirs:
            yield from ("--size", "4096", "--tmpfs", f"{self.root}/{rel}", "--remount-ro", f"{self.root}/{rel}")
        for rel in self.masks.hidden_files:
            yield from ("--ro-bind", f"{self.accounts}/empty", f"{self.root}/{rel}")

    def _below(self, place: str) -> str | None:
        """The place relative to the root, if it is a real directory below it: a link cannot be mounted over."""
        return place[len(self.root) + 1 :] if place.startswith(f"{self.root}/") and not os.path.islink(place) else None


def _could_be_opened(path: str) -> bool:
    """Whether this user may open the file at all; each mount costs a call some hundredths of a millisecond."""
    return os.access(path, os.R_OK) or os.access(path, os.W_OK)
