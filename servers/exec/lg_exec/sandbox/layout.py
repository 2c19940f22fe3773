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

from lg_policy.sandbox.hidden_paths import Masks
from lg_policy.sandbox.system_view import NOTHING, kernel_mounts, system_mounts

TMP = "/tmp"  # noqa: S108  # inside the sandbox, where it is private
HOME = f"{TMP}/.home"
_PRIVATE = (TMP, "/dev/shm")  # noqa: S108  # likewise

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
    more: Sequence[str] = ()
    """Options for what is shown besides."""

    @property
    def storage(self) -> tuple[str, ...]:
        """Return the mount points of storage in memory, which is thrown away."""
        return (*_PRIVATE, self.root) if self.mode == "overlay" else _PRIVATE

    def arguments(self) -> list[str]:
        """Return the bubblewrap options, in order."""
        return [
            *system_mounts(self.accounts, network=self.network),
            *kernel_mounts(self.accounts),
            *self._private(),
            *self._toolchains(),
            *self._project(),
            *self.more,
            *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", os.path.join(self.root, self.cwd)),
        ]

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
