"""Spare processes: forked early, each waits on a socket for the order to become a program.

A spare keeps nothing of its parent but memory: a session of its own, no open file but the socket, and standard streams
that are the null device until an order brings others. If its parent ends, it ends.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from lg_policy.prefork.becoming import Order, wait_for_order

ANSWER_S = 10.0
"""How long a spare may take to become a program."""

_waiting: list[Spare] = []  # the spares of this process; a fork has none of its parent's


class Spare:
    """A process that waits to become a program."""

    def __init__(self, pid: int, link: socket.socket) -> None:
        self.pid = pid
        self._link = link

    def become(self, order: Order, streams: Sequence[int]) -> None:
        """Have it become the program, with three open files as its standard streams. Raises `OSError` if it cannot."""
        text = order.text()
        try:
            with self._link as link:
                link.settimeout(ANSWER_S)
                socket.send_fds(link, [len(text).to_bytes(4, "big")], list(streams))
                link.sendall(text)
                answer = link.recv(4)
        except OSError:
            self.dismiss()  # or it would become the program later, beside the one that is started instead
            raise
        if len(answer) < 4 or any(answer):
            self.dismiss()
            number = int.from_bytes(answer, "big")
            raise OSError(number, f"a spare process cannot become {order.argv[-1]}: {os.strerror(number)}")

    def dismiss(self) -> None:
        """End it."""
        self._link.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def fork_spares(numbers: Sequence[int]) -> None:
    """Fork a spare for each number, which is how many spares it gets itself."""
    for number in numbers:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _waiting.clear()
            wait_for_order(theirs, partial(fork_spares, [0] * number))  # does not return
        theirs.close()
        _waiting.append(Spare(pid, ours))


def take_spare() -> Spare | None:
    """Return a spare, `None` if there is none left."""
    return _waiting.pop(0) if _waiting else None


def dismiss_spares() -> None:
    """End the spares that are not needed."""
    while _waiting:
        _waiting.pop().dismiss()
