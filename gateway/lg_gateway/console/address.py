"""Says where the console of a running gateway is, for commands in other processes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lg_policy.state import replace_file

ADDRESS_FILE = "console.json"
"""In the state directory."""


@contextmanager
def address_known(state: Path, address: str) -> Iterator[None]:
    """Keep the address where `lg-gateway console` finds it, for as long as the block lasts."""
    path = state / ADDRESS_FILE
    replace_file(path, json.dumps({"address": address, "pid": os.getpid()}).encode(), 0o600)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def known_address(state: Path) -> str | None:
    """Return where the console of a running gateway is."""
    try:
        found = json.loads((state / ADDRESS_FILE).read_text("utf-8"))
        os.kill(int(found["pid"]), 0)
    except PermissionError:
        return str(found["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(found["address"])
