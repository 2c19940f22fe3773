"""Makes a Unix socket that only this user can connect to."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def private_server(
    path: str, accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None], *, limit: int
) -> asyncio.Server:
    """Listen on a Unix socket at `path`, and call `accept` for each connection, whose reader holds `limit` bytes.

    The path may be longer than an address of a socket. Raises `OSError`.
    """
    listener = listening_socket(path)
    try:
        return await asyncio.start_unix_server(accept, sock=listener, limit=limit)
    except BaseException:
        listener.close()
        raise


def listening_socket(path: str) -> socket.socket:
    """Return a socket bound to `path`, which may be longer than an address of a socket. Raises `OSError`."""
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        os.chmod(path, 0o600)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    return listener
