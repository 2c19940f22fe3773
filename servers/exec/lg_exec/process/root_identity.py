"""Whether the root's path still leads to the directory that was opened at the start."""

from __future__ import annotations

import os

from lg_policy.errors import Conflict

_HINT = "restore the directory, or restart lg-exec"


def refuse_replaced(path: str, fd: int) -> None:
    """Raise `Conflict` when the root was removed, or another directory stands in its place.

    Commands see the root by its path and changes are kept by its descriptor, so the two must be one directory.
    """
    try:
        now = os.stat(path)
    except OSError as error:
        raise Conflict(f"the root {path} cannot be found any more: {error.strerror}", hint=_HINT) from error
    if not os.path.samestat(now, os.fstat(fd)):
        raise Conflict(f"the root {path} is another directory now than when lg-exec started", hint=_HINT)
