"""The life of a spare process: it waits for an order, becomes the program in it, and ends with its exit status."""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

from lg_policy.prefork.process_image import set_process_image

_kept: list[Any] = []  # streams of the parent: closing one would close a descriptor that has become another's
_orders: list[Order] = []  # what this process has become, if it was a spare


READ_BY_THE_INTERPRETER = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "LC_", "LANGUAGE")
"""Beginnings of variables that work when a process starts: one that gets them later is a different one."""
HARMLESS = frozenset({"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LC_ALL"})


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a spare becomes. `argv` is that of an interpreter: `[python, "-P", "-m", MODULE, …]`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str

    @property
    def module(self) -> str:
        """The module to run."""
        return self.argv[3]

    def fits(self) -> bool:
        """Whether this is a module that this interpreter would run, with the variables that it read when it started."""
        read = {name for name in (*self.env, *os.environ) if name.startswith(READ_BY_THE_INTERPRETER)}
        if "LC_CTYPE" not in self.env:
            read.discard("LC_CTYPE")  # Python sets it where no locale is set, and would do so here
        wanted = {"LANG", "LC_ALL"} | (read - HARMLESS)
        same = all(self.env.get(name) == os.environ.get(name) for name in wanted)
        return same and self.argv[:3] == (sys.executable, "-P", "-m") and len(self.argv) > 3

    def text(self) -> bytes:
        """Return the order as bytes."""
        return json.dumps({"argv": self.argv, "env": dict(self.env), "cwd": self.cwd}).encode()

    @classmethod
    def read(cls, text: bytes) -> Order:
        """Return the order that `text` returned."""
        values = json.loads(text)
        return cls(argv=tuple(values["argv"]), env=values["env"], cwd=values["cwd"])


def was_spare() -> bool:
    """Whether this process is a program that a spare has become."""
    return bool(_orders)


def wait_for_order(link: socket.socket, prepare: Callable[[], None]) -> NoReturn:
    """Drop what the parent had open, run `prepare`, wait for an order and become the program. Without one, end."""
    status = 1
    try:
        gc.disable()  # a file of the parent that goes would close a new one of the same number
        os.setsid()
        _drop_descriptors(link.fileno())
        prepare()
        order, streams = _received(link)
        _take_streams(streams)
        link.sendall(_become(order).to_bytes(4, "big"))
        link.close()
        status = _run(order)
    finally:
        os._exit(status)


def _drop_descriptors(kept: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # that of the listing itself


def _received(link: socket.socket) -> tuple[Order, list[int]]:
    head, streams, _flags, _address = socket.recv_fds(link, 4, 3)
    if len(head) < 4 or len(streams) < 3:
        os._exit(0)  # the parent does not need this process, or has ended
    size, text = int.from_bytes(head, "big"), b""
    while len(text) < size:
        part = link.recv(size - len(text))
        if not part:
            os._exit(0)
        text += part
    return Order.read(text), streams


def _take_streams(streams: list[int]) -> None:
    for number, given in enumerate(streams):
        os.dup2(given, number)
        os.close(given)
    _kept.extend((sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        opened = _stream(number, getattr(sys, f"__{name}__"))
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def _stream(number: int, like: TextIO | None) -> TextIO:
    """Open a standard stream as the interpreter opened its own. It does not own its descriptor."""
    encoding, errors = (like.encoding, like.errors) if like is not None else (None, None)
    buffered = 1 if number == 2 else -1
    return open(number, "w" if number else "r", buffered, encoding=encoding, errors=errors, closefd=False)


def _become(order: Order) -> int:
    """Take over the order's directory, variables and arguments; return the number of the error, 0 without one."""
    try:
        os.chdir(order.cwd)
        set_process_image([os.fsencode(word) for word in order.argv], _entries(order.env))
    except OSError as error:
        return error.errno or 1
    ctype = os.environ.get("LC_CTYPE")
    os.environ.clear()
    os.environ.update(order.env)
    if ctype is not None:  # Python adds it where no locale is set; only then has a spare one
        os.environ["LC_CTYPE"] = ctype
    sys.argv = list(order.argv[3:])
    sys.orig_argv = list(order.argv)
    _orders.append(order)
    gc.enable()
    return 0


def _entries(env: Mapping[str, str]) -> list[bytes]:
    return [os.fsencode(f"{name}={value}") for name, value in env.items()]


def _run(order: Order) -> int:
    """Run the program as the interpreter does, and return its exit status."""
    status = 0
    try:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = _status(ended)
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001  the end of a program: what it raises is printed, as an interpreter does
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does: threads end before exit handlers
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            status = status or 120  # that of an interpreter that cannot write its output
    return status


def _status(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return (ended.code or 0) & 0xFF
    print(ended.code, file=sys.stderr)
    return 1
