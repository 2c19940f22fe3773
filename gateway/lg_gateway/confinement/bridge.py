"""Stands for `lg-gateway` inside a confined client: carries MCP between its own streams and the gateway outside.

An interpreter runs this file alone, so it imports the standard library only. Whatever arguments a client's
configuration has, the answer is the gateway of `lg-gateway confine`, started outside with its own settings.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

SOCKET = "/run/lg/gateway.sock"
CHUNK = 65_536
_COMMANDS = ("serve", "connect")


def carry_in(wire: socket.socket) -> None:
    """Send what arrives on standard input, and tell its end."""
    try:
        while data := os.read(0, CHUNK):
            wire.sendall(data)
        wire.shutdown(socket.SHUT_WR)
    except OSError:
        return


def bridge(path: str = SOCKET) -> int:
    """Carry messages until the gateway ends the connection. Raises `OSError` where there is no gateway."""
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    wire.connect(path)
    threading.Thread(target=carry_in, args=(wire,), daemon=True).start()
    while data := wire.recv(CHUNK):
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
    return 0


def main() -> int:
    """Be the gateway for the client that started this."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "serve")
    if command not in _COMMANDS and sys.argv[1:] and sys.argv[1] == command:
        print(f"lg-gateway: `{command}` works outside of `lg-gateway confine` only", file=sys.stderr)
        return 2
    try:
        return bridge()
    except OSError as error:
        print(f"lg-gateway: cannot reach the gateway outside at {SOCKET}: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
