"""Test modules with their assertions rewritten, kept before the workers of a parallel run start.

pytest keeps what it rewrote beside each module, but not where PYTHONDONTWRITEBYTECODE is set, and in a fresh clone each
worker would rewrite every module itself: ten seconds of a processor each.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from _pytest.assertion import rewrite

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def rewrite_ahead(config: pytest.Config, folder: Path, processes: int) -> None:
    """Keep the rewritten form of what `folder` holds, in as many processes; what is kept and still right stays."""
    files = sorted(file for file in folder.rglob("*.py") if file.name.startswith("test_") or file.name == "conftest.py")
    pids = [_in_a_fork(config, files[first::processes]) for first in range(processes)] if hasattr(os, "fork") else []
    for pid in pids:
        os.waitpid(pid, 0)


def _in_a_fork(config: pytest.Config, files: list[Path]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            for file in files:
                _keep(config, file)
        finally:
            os._exit(0)  # what is not kept is rewritten by each worker
    return pid


def _keep(config: pytest.Config, file: Path) -> None:
    folder = rewrite.get_cache_dir(file)
    kept = folder / f"{file.stem}{rewrite.PYC_TAIL}"
    if rewrite._read_pyc(file, kept) is None and rewrite.try_makedirs(folder):
        found, code = rewrite._rewrite_test(file, config)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, found, kept)
