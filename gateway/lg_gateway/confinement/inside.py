"""The first program in a sandbox with network: forwards 127.0.0.1:PORT to the proxy outside, and becomes the command.

An interpreter runs this file alone, so it imports the standard library only. The arguments are the path of the proxy's
socket, empty where there is no network, and the command. The forwarder is a process of its own, which ends with the
sandbox. Signals of the terminal are the command's: what started the sandbox ignores them.

Programs find the proxy by `HTTP_PROXY` and `HTTPS_PROXY`. For Node's `fetch` there is `NODE_USE_ENV_PROXY`. Variables
of a server's own settings name no other proxy: there is no other way out, so they would only lead nowhere.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

TYPE_CHECKING = False  # the typing module would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 65_536
CONNECTIONS = 128
STACK_BYTES = 262_144


def variables(port: int) -> dict[str, str]:
    """Return what tells programs where the proxy is."""
    proxy = f"http://127.0.0.1:{port}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return dict.fromkeys(names, proxy) | {"NODE_USE_ENV_PROXY": "1"}


def carry(source: socket.socket, target: socket.socket) -> None:
    """Copy one direction to its end."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def connect(near: socket.socket, path: str, done: Callable[[], None]) -> None:
    """Join a connection with a new one to the proxy."""
    far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        far.connect(path)
        back = threading.Thread(target=carry, args=(far, near), daemon=True)
        back.start()
        carry(near, far)
        back.join()
    except (OSError, RuntimeError):  # the proxy is gone, or no more threads are allowed
        return
    finally:
        near.close()
        far.close()
        done()


def forward(listener: socket.socket, path: str) -> None:
    """Serve for ever."""
    threading.stack_size(STACK_BYTES)
    room = threading.BoundedSemaphore(CONNECTIONS)
    while True:
        room.acquire()
        near, _ = listener.accept()
        try:
            threading.Thread(target=connect, args=(near, path, room.release), daemon=True).start()
        except RuntimeError:
            near.close()
            room.release()


def begin_forwarding(listener: socket.socket, path: str) -> None:
    """Fork twice, so that the command has no child that it did not start."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            forward(listener, path)
    finally:
        os._exit(0)


def main() -> None:
    """Start the forwarder, then become the command."""
    path, *command = sys.argv[1:]
    environment = dict(os.environ)
    if path:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        environment |= variables(listener.getsockname()[1])
        begin_forwarding(listener, path)
        listener.close()
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.exit(f"cannot start {command[0]!r}: {error.strerror}")


if __name__ == "__main__":
    main()
