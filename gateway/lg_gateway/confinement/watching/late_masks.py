"""Hides names from a running program that are made, or made anew, after its start.

A mask lies over the file that was there. An editor that writes a new file and renames it takes the mask away with the
old one, and a `.env` that is copied from an example has none. So the names are looked up again and again, and hidden in
the running sandbox. Until that has happened, within about a second, the program can read them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import time
from collections.abc import Iterable

import anyio.to_thread

from lg_gateway.confinement.confinement import Confinement, within
from lg_gateway.confinement.programs import own_interpreter
from lg_gateway.confinement.watching import mask_inside
from lg_policy.errors import LgError
from lg_policy.printing import visible
from lg_policy.sandbox.hidden_paths import MaskFinder, Masks

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Between two looks. A look at a large tree that takes long makes the pause longer."""
SHARE = 20
"""Of the time that passes, one part in so many is spent with looking."""
HELPER_S = 30.0
_File = tuple[int, int]


class LateMasks:
    """The names that are hidden from one program, and which file or directory each was when it was hidden."""

    def __init__(self, confinement: Confinement) -> None:
        self._name = confinement.name
        self._root = str(confinement.masked_root)
        self._shown = (*confinement.read, *confinement.write)
        self._finder = MaskFinder(self._root, hide=confinement.hide, protect=confinement.protect)
        self._hidden: dict[str, _File] = {}
        self._told = False

    def at_start(self) -> Masks:
        """Return what to mask at the start, and remember it. Blocks. Raises `LimitExceeded`."""
        masks = self._finder.find()
        self._hidden = dict(self._present(masks))
        return masks

    async def watch(self, pid: int) -> None:
        """Hide what is new, for as long as the program runs. `pid` is its first process."""
        pause = LOOK_S
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                found = await anyio.to_thread.run_sync(self._new)
            except LgError as error:
                self._tell(f"names below {visible(self._root)} cannot be looked up any more: {error.message}")
                return
            pause = max(LOOK_S, (time.monotonic() - began) * SHARE)
            if found:
                await self._hide(pid, found)

    def _new(self) -> dict[str, _File]:
        present = dict(self._present(self._finder.find()))
        self._hidden = {name: file for name, file in self._hidden.items() if name in present}
        return {name: file for name, file in present.items() if self._hidden.get(name) != file}

    def _present(self, masks: Masks) -> Iterable[tuple[str, _File]]:
        for name in (*masks.hidden_files, *masks.hidden_dirs):
            path = f"{self._root}/{name}"
            if any(within(path, place) for place in self._shown):
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                yield name, (status.st_dev, status.st_ino)

    async def _hide(self, pid: int, found: dict[str, _File]) -> None:
        paths = {os.fsencode(f"{self._root}/{name}"): name for name in found}
        failed = await anyio.to_thread.run_sync(self._helper, pid, paths)
        for path, name in paths.items():
            if path not in failed:
                self._hidden[name] = found[name]
                log.info("%s: %s is new, and is hidden from it now", self._name, visible(name))
        if failed:
            names = ", ".join(sorted(visible(paths[path]) for path in failed & paths.keys())[:5])
            self._tell(f"{names} is new and could not be hidden from it; restart it")

    def _helper(self, pid: int, paths: Iterable[bytes]) -> set[bytes]:
        """Hide paths in the sandbox; return those that are not hidden. Blocks."""
        interpreter, _ = own_interpreter()
        argv = [interpreter, "-IS", mask_inside.__file__, str(pid)]
        given = b"".join(path + b"\0" for path in paths)
        try:
            done = subprocess.run(argv, input=given, capture_output=True, cwd="/", env={}, timeout=HELPER_S, check=True)
        except (OSError, subprocess.SubprocessError):  # such as no more processes; the next look tries again
            return set(paths)
        return set(done.stdout.split(b"\0")) - {b""}

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            log.warning("%s: %s", self._name, text)
