"""What to do about a failure that the sandbox causes, told by the words that programs use for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_exec.process.container import Finished

_CROSS_DEVICE = re.compile(r"Invalid cross-device link|\bEXDEV\b|cross-device link not permitted", re.IGNORECASE)
_BORROWED = "alternate object path"
_NO_REPOSITORY = "not a git repository"


def hint_for(finished: Finished, *, root_mode: str, why_no_repository: Callable[[], str | None]) -> str:
    """Return one sentence for a command that failed; empty when there is nothing to say."""
    if finished.exit_code == 0 and finished.signal is None:
        return ""
    text = finished.stderr.text() + finished.stdout.text()
    if root_mode != "ro" and _CROSS_DEVICE.search(text):
        return (
            "a directory that was there before the command cannot be renamed by rename(2) in the sandbox "
            "(Invalid cross-device link): use `mv` or `shutil.move`, which copy it and remove the old one"
        )
    if _BORROWED in text:
        return (
            "this clone borrows objects from another repository, which commands are not shown: outside of the sandbox "
            "run `git repack -a -d`, then delete `.git/objects/info/alternates`"
        )
    if _NO_REPOSITORY in text:
        why = why_no_repository()
        if why is not None:
            return why
    return ""
