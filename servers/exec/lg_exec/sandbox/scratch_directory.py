"""The scratch directory of a server. What cleans up `/tmp` may remove it while the server lives: it is made anew."""

from __future__ import annotations

import os
import stat
import sys

from lg_policy.errors import SandboxUnavailable


def ensure(path: str) -> bool:
    """Make the directory if it is missing, and return whether it was. Raises `SandboxUnavailable`."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        made = False
    except OSError as error:
        raise SandboxUnavailable(
            f"the scratch directory {path} is gone and cannot be made anew: {error.strerror}", hint="restart lg-exec"
        ) from error
    else:
        made = True
    found = os.stat(path, follow_symlinks=False)
    # In `/tmp` another user may make what is missing.
    ours = sys.platform == "win32" or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
    if not stat.S_ISDIR(found.st_mode) or not ours:
        raise SandboxUnavailable(f"the scratch directory {path} is no longer this server's own", hint="restart lg-exec")
    return made
