"""Finishes a login whose browser is on another machine: the person pastes the address at which it ended."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import anyio
from anyio.to_thread import run_sync

from lg_gateway.commands.terminal.output import complain

if TYPE_CHECKING:
    from lg_gateway.upstream_login.login_store import Login
    from lg_gateway.upstream_login.person_login import BegunLogin

LINE_BYTES = 32_000
"""Of a pasted address; a longer one belongs to no login."""
CHUNK = 4_096
HOW = (
    "after you log in, your browser ends at a page that it cannot open, at http://127.0.0.1. Copy that whole address,"
    " and paste it here:"
)
WRONG = (
    "that address does not belong to this login. Copy the whole address, from http:// to its end, and paste it here:"
)


async def finish_pasted(begun: BegunLogin, wait_s: float) -> tuple[Login, str]:
    """Read addresses from standard input until one is this login's. Raises `LoginFailed`."""
    from lg_gateway.upstream_login.login_errors import LoginFailed

    complain(HOW)
    response = None
    with anyio.move_on_after(wait_s):
        while response is None:
            line = await run_sync(_line, abandon_on_cancel=True)
            if line is None:
                raise LoginFailed("the input ended, and no address of this login was pasted")
            response = begun.pasted(line)
            if response is None and line.strip():
                complain(WRONG)
    if response is None:
        raise LoginFailed(f"nobody logged in within {wait_s:g} s; `--wait S` gives you longer")
    return await begun.finish_with(response)


def _line() -> str | None:
    """Return the next line, "" for one that is too long, `None` at the end of the input.

    Reads past Python's own buffer: a thread that still waits for that when the program ends would crash it.
    """
    data, length = b"", 0
    while chunk := os.read(sys.stdin.fileno(), CHUNK):
        length += len(chunk)
        data = (data + chunk)[: LINE_BYTES + 1]
        if b"\n" in chunk:
            break
    if not length:
        return None
    return data.decode("utf-8", "replace") if length <= LINE_BYTES else ""
