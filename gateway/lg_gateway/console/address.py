"""Says where the console of a running gateway is, for commands in other processes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lg_policy.state import replace_file

GATEWAY, SERVICE = "console.json", "console-of-runs.json"
"""Files in the state directory: the console of a gateway, and that of `lg-orch serve`, which shows the same store."""


@contextmanager
def address_known(state: Path, address: str, name: str = GATEWAY) -> Iterator[None]:
    """Keep the address where `lg-gateway console` finds it, for as long as the block lasts."""
    path = state / name
    replace_file(path, json.dumps({"address": address, "pid": os.getpid()}).encode(), 0o600)
    try:
        yield
    finally:
        if _read(path)[0] == os.getpid():  # another one may have begun since
            with suppress(OSError):
                path.unlink()


def known_addresses(state: Path) -> list[str]:
    """Return where consoles of this state directory run."""
    found = [_read(state / name) for name in (GATEWAY, SERVICE)]
    return [address for pid, address in found if pid and _runs(pid)]


def _read(path: Path) -> tuple[int, str]:
    try:
        found = json.loads(path.read_text("utf-8"))
        return int(found["pid"]), str(found["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
