"""A process that applies patches and dies: `crasher.py ROOT STATE STEP`.

STEP N: apply one patch and die by SIGKILL just before irreversible step N; exit 0 if there are fewer steps.
STEP "loop": apply and revert for ever, until somebody kills it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from lg_fs.changes import Changes, PatchRequest
from lg_fs.job import Job
from lg_fs.patch_parse import parse_patch
from lg_fs.workspace import Workspace
from lg_policy.config import FsSettings, PolicySettings
from lg_policy.globs import FileRules
from lg_policy.paths import Root

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


def changes(root: Root, state: Path, bomb: Bomb) -> Changes:
    workspace = Workspace([root], FileRules.from_settings(PolicySettings()), FsSettings())
    return Changes(workspace, state, on_step=bomb)


def request(key: str | None = None) -> PatchRequest:
    return PatchRequest(changes=parse_patch(PATCH), expected={}, dry_run=False, key=key, arguments={"patch": PATCH})


def main(root: str, state: str, step: str) -> None:
    with Root(root) as opened:
        service = changes(opened, Path(state), Bomb(None if step == "loop" else int(step)))
        if step != "loop":
            service.apply(request("key"), Job(60))
            return
        service.recover()
        while True:
            done = service.apply(request(), Job(60))
            service.revert(done["change_id"], force=False, key=None, job=Job(60))


if __name__ == "__main__":
    main(*sys.argv[1:])
