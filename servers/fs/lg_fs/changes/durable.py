"""Makes several files and directories durable at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

_AT_ONCE = 16


def sync_all(descriptors: Sequence[int]) -> None:
    """Wait until all of them are on the disk. Raises `OSError` if one cannot be written.

    They are synced side by side: a journalling file system writes what waits at the same time in one go, which takes
    a tenth of the time of one after the other.
    """
    if len(descriptors) < 2:
        for descriptor in descriptors:
            os.fsync(descriptor)
        return
    with ThreadPoolExecutor(min(len(descriptors), _AT_ONCE), thread_name_prefix="lg-fs-sync") as pool:
        list(pool.map(os.fsync, descriptors))
