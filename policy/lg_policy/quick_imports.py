"""Start-up: the MCP SDK and LangGraph build thousands of long-lived objects on import."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import heavy modules with the cycle collector off, then exempt what they made from later collections.

    Almost nothing that an import creates is garbage, so collecting while importing only costs time (a fifth to a
    third of the import of the MCP SDK, see `bench/startup`). Nested use is harmless.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.enable()
