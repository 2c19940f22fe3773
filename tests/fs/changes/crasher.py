"""Processes that apply patches and die, by their own hand before a step or by another's at any time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from lg_fs.changes.service import Changes, PatchRequest, RevertRequest
from lg_fs.patch.parse import parse_patch
from lg_policy.config.settings import FsSettings, PolicySettings
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace

OLD = {"a": "1\n" * 5_000, "b": "2\n", "c": "3\n" * 5_000, "d": "4\n", "sub/k": "5\n"}
NEW = {"a": "1\n" * 4_999 + "one\n", "new/deep/e": "6\n", "moved/b": "two\n", "d2": "4\n", "sub/k": "five\n"}
PATCH = """\
*** Begin Patch
*** Update File: a
@@
-1
+one
*** End of File
*** Add File: new/deep/e
+6
*** Update File: b
*** Move to: moved/b
@@
-2
+two
*** Update File: d
*** Move to: d2
*** Delete File: c
*** Update File: sub/k
@@
-5
+five
*** End Patch
"""


class Bomb:
    """Ends the process before step number `fuse`."""

    def __init__(self, fuse: int | None) -> None:
        self.fuse = fuse
        self.steps = 0

    def __call__(self, name: str) -> None:
        if self.steps == self.fuse:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps += 1


def changes(root: Root | list[Root], state: Path, bomb: Bomb | None = None, *, durable: bool = False) -> Changes:
    """Nothing is synced to disk unless `durable`: a killed process loses only what it had not handed to the kernel."""
    roots = root if isinstance(root, list) else [root]
    workspace = Workspace(roots, FileRules.from_settings(PolicySettings()), FsSettings(durable=durable))
    return Changes(workspace, state, on_step=bomb or Bomb(None))


def request(key: str | None = None, patch: str = PATCH) -> PatchRequest:
    return PatchRequest(changes=parse_patch(patch), dry_run=False, key=key, arguments={"patch": patch})


def started(work: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Run work in a process of its own, a fork of one that has our modules already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lg_fs.changes.service"])  # what takes long to import
    process = context.Process(target=work, args=arguments)
    process.start()
    return process


def killed(work: Callable[..., None], *arguments: Any) -> bool:
    """Run work in a process of its own; whether it died by SIGKILL rather than do all its work."""
    process = started(work, *arguments)
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def apply_and_die(root: str, state: str, fuse: int) -> None:
    with Root(root) as opened:
        changes(opened, Path(state), Bomb(fuse)).apply(request("key"), Job(60))


def apply_to_two_and_die(one: str, two: str, state: str, patch: str, fuse: int) -> None:
    with Root(one) as first, Root(two) as second:
        changes([first, second], Path(state), Bomb(fuse)).apply(request(patch=patch), Job(60))


def apply_for_ever(root: str, state: str) -> None:
    with Root(root) as opened:
        service = changes(opened, Path(state), Bomb(None), durable=True)
        service.recover()
        while True:
            done = service.apply(request(), Job(60))
            service.revert(RevertRequest(change_id=done["change_id"]), Job(60))
