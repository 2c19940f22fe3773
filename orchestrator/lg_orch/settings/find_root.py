"""Finds the repository that a command works on, without running git."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lg_policy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_root(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the real path of `--root`, else `LG_REPO_ROOT`, else the git top level, else the current directory.

    Only looks whether a `.git` exists; nothing of it is read. Raises `ConfigError` for a path that is no directory.
    """
    named = given if given is not None else (Path(environ["LG_REPO_ROOT"]) if environ.get("LG_REPO_ROOT") else None)
    if named is not None:
        source = "--root" if given is not None else "LG_REPO_ROOT"
        if not named.is_dir():
            what = "is not a directory" if named.exists() else "does not exist"
            raise ConfigError(f"{source} {str(named)!r} {what}", hint="give the directory of a repository")
        return Path(os.path.realpath(named))
    try:
        here = Path(os.path.realpath(Path.cwd()))
    except FileNotFoundError as error:
        raise ConfigError("the current directory does not exist any more", hint="pass --root DIR") from error
    for directory in (here, *here.parents):
        if (directory / ".git").exists():
            return directory
    return here
