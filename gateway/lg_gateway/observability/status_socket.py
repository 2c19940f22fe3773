"""A socket in the state directory at which this user's commands ask a running gateway how it stands.

Each process has its own, so that gateways which clients started on stdio are found too. `curl --unix-socket` works.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from lg_gateway.confinement.private_socket import listening_socket
from lg_gateway.observability.observed import Observed
from lg_gateway.observability.page_server import Page, PageServer

log = logging.getLogger(__name__)

FOLDER = "gateways"
SUFFIX = ".sock"
ANSWER_S = 10.0
ANSWER_BYTES = 8_000_000


@asynccontextmanager
async def status_socket(observed: Observed, state: Path, name: str, more: Mapping[str, Page]) -> AsyncIterator[None]:
    """Answer for the length of the block. A gateway that cannot have its socket works without one, and says so."""

    async def status(_headers: Mapping[str, str]) -> tuple[str, bytes]:
        return "application/json", json.dumps(await observed.status()).encode()

    path = state / FOLDER / f"{name}{SUFFIX}"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        forget_ended(path.parent)
        listener = _listening(path)
    except OSError as error:
        log.warning("`lg-gateway status` cannot ask this gateway: %s", error)
        yield
        return
    try:
        async with PageServer({"/status": status, **more}).serving(listener):
            yield
    finally:
        with suppress(OSError):
            path.unlink()


def forget_ended(folder: Path) -> None:
    """Remove the sockets of processes that were killed."""
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):
            try:
                _connected(path, 0.0).close()
            except ConnectionRefusedError:
                path.unlink()


def ask(path: Path, page: str = "/status") -> bytes | None:
    """Return a page of a gateway; `None` if it does not answer."""
    try:
        with _connected(path) as connection:
            connection.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
            answer = b""
            while part := connection.recv(65_536):
                answer += part
                if len(answer) > ANSWER_BYTES:
                    return None
    except OSError as error:
        log.info("%s does not answer: %s", path, error)
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if b" 200 " in head.partition(b"\r\n")[0] else None


def _listening(path: Path) -> socket.socket:
    """Return a socket that listens at a path. It gets its name last: one that does not listen yet counts as ended."""
    unnamed = path.with_suffix(".new")
    unnamed.unlink(missing_ok=True)
    if sys.platform == "linux":
        listener = listening_socket(str(unnamed))
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(unnamed))  # the folder is private
    try:
        listener.listen(16)
        unnamed.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener


def _connected(path: Path, timeout_s: float = ANSWER_S) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    folder = None
    try:
        if sys.platform == "linux":  # a path may be longer than an address of a socket
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        else:
            connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    finally:
        if folder is not None:
            os.close(folder)
    return connection
