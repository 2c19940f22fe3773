"""What a confined client must not be able to do, tried from inside. An interpreter reads this file alone.

The argument is a JSON object with what to try. The output is another: "refused" or what happened, for each attempt. No
attempt does harm if it succeeds.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from functools import partial

TYPE_CHECKING = False  # the typing module would cost more than all attempts together
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SOCKET_S = 5
PTRACE_ATTACH = 16


def refused(action: Callable[[], object]) -> str:
    """Run an attempt that must raise `OSError`."""
    try:
        achieved = action()
    except OSError:
        return "refused"
    return f"achieved: {str(achieved)[:100]}"


def read(path: str) -> str:
    """Open a file that must not be readable; a mask reads as an empty file."""
    with open(path, "rb") as file:
        found = file.read(100)
    if not found:
        raise OSError("empty")
    return f"{len(found)} bytes"


def listed(path: str) -> str:
    """List a directory that must not be there, or be empty."""
    names = os.listdir(path)
    if not names:
        raise OSError("empty")
    return ", ".join(names)


def write(path: str) -> str:
    """Make a file."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return "made"


def connect(family: int, address: Any) -> str:
    """Connect a stream socket."""
    with socket.socket(family, socket.SOCK_STREAM) as wire:
        wire.settimeout(SOCKET_S)
        wire.connect(address)
        return "connected"


def trace(pid: int) -> str:
    """Attach to a process as a debugger does."""
    if ctypes.CDLL(None, use_errno=True).ptrace(PTRACE_ATTACH, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "refused")
    return "attached"


def through_proxy(host: str) -> str:
    """Ask the proxy for a host that nobody named."""
    proxy = os.environ.get("HTTPS_PROXY", "")
    if not proxy:
        raise OSError("no proxy")
    name, _, port = proxy.rpartition("/")[2].partition(":")
    with socket.create_connection((name, int(port)), SOCKET_S) as wire:
        wire.sendall(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
        answer = wire.recv(100)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError("refused")
    return "connected"


def attempts(given: dict[str, Any]) -> dict[str, str]:
    """Make every attempt."""
    found = {f"read {path}": refused(partial(read, path)) for path in given["files"]}
    found |= {f"list {path}": refused(partial(listed, path)) for path in given["directories"]}
    found |= {f"write {path}": refused(partial(write, path)) for path in given["write"]}
    for path in given["sockets"]:
        found[f"connect to {path}"] = refused(partial(connect, socket.AF_UNIX, path))
    found["connect to an abstract socket"] = refused(lambda: connect(socket.AF_UNIX, "\0" + given["abstract"]))
    found["connect to a port of this machine"] = refused(lambda: connect(socket.AF_INET, ("127.0.0.1", given["port"])))
    found["connect to the Internet"] = refused(lambda: connect(socket.AF_INET, ("192.0.2.1", 443)))
    found["reach a host that is not named"] = refused(lambda: through_proxy("lg-check.invalid"))
    found["signal a process outside"] = refused(lambda: os.kill(given["pid"], 0))
    found["trace another process"] = refused(lambda: trace(1))
    found["read the environment outside"] = refused(lambda: read("/proc/1/environ"))
    return found


if __name__ == "__main__":
    GIVEN = json.loads(sys.argv[1])
    RESULT = attempts(GIVEN)
    try:
        RESULT["reach the gateway"] = "works" if connect(socket.AF_UNIX, GIVEN["gateway"]) else ""
    except OSError as error:
        RESULT["reach the gateway"] = f"failed: {error}"
    print(json.dumps(RESULT))
