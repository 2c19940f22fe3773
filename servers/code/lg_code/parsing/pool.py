"""The parser processes, seen from the server: started when needed, replaced when a file kills one, ended when idle."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lg_code.parsing.facts import DEF, Facts, from_wire
from lg_code.parsing.sites import Site
from lg_policy.errors import Internal

if sys.platform == "linux":
    import fcntl

_WALL_FACTOR = 20
"""A file may take this many times its CPU time by the clock: the machine may be busy."""
_START_S = 60
_MAX_ANSWER = 64 << 20
_PIPE_BYTES = 1 << 18
_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


@dataclass(frozen=True, kw_only=True)
class ParserLimits:
    """How much the parsers may use."""

    processes: int
    cpu_s: float
    memory_mb: int
    idle_s: float


@dataclass(frozen=True, kw_only=True)
class Request:
    """One text to parse. `reader`: by its grammar, or line by line; then `problem` says why."""

    path: str
    text: bytes
    language: str
    reader: str = "grammar"
    problem: str = ""
    name: str | None = None
    """Not the facts are wanted, but where the text uses this name."""


class ParserDied(Exception):
    """A text ended the parser. The message says how."""


class ParserProcess:
    """One process. It answers one request after another; the text that ends it is the one that it was given last."""

    def __init__(self, limits: ParserLimits, prepare: Sequence[str]) -> None:
        self._limits = limits
        argv = [
            sys.executable,
            "-P",
            "-m",
            "lg_code.parsing.worker",
            str(limits.memory_mb),
            str(limits.cpu_s),
            *prepare,
        ]
        environ = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._process = subprocess.Popen(  # ended by `close`
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "random"},
            cwd=os.path.sep,
            start_new_session=True,
        )
        if self._process.stdin is not None and self._process.stdout is not None:
            _widen(self._process.stdin.fileno(), self._process.stdout.fileno())
        self._started = False

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def ask(self, request: Request) -> dict[str, Any]:
        """Return the answer. Raises `ParserDied` if there is none; the process is then of no more use."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise Internal("the parser has no pipes")
        self._begin(stdout.fileno())
        head = {
            "path": request.path,
            "language": request.language,
            "reader": request.reader,
            "problem": request.problem,
            "size": len(request.text),
        }
        if request.name is not None:
            head["name"] = request.name
        end = time.monotonic() + self._limits.cpu_s * _WALL_FACTOR
        try:
            _send(stdin.fileno(), json.dumps(head).encode() + b"\n" + request.text, end)
            answer = json.loads(_answer(stdout.fileno(), end))
        except (OSError, ValueError, RecursionError) as error:
            raise ParserDied(self._end(str(error))) from error
        if not isinstance(answer, dict):
            raise ParserDied(self._end("the parser's answer makes no sense"))
        return answer

    def _begin(self, descriptor: int) -> None:
        """Wait until it is ready. Raises `Internal` if it is not: then no text is at fault."""
        if self._started:
            return
        try:
            _answer(descriptor, time.monotonic() + _START_S)
        except (OSError, ValueError) as error:
            raise Internal(f"the parser does not start: {error}", hint="the server's log has the details") from error
        self._started = True

    def _end(self, why: str) -> str:
        """Make sure that it is gone, and return why."""
        try:
            status = self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self.close()
            return f"the parser was stopped: {why}"
        self.close()
        if status == -signal.SIGPROF:
            return f"parsing took more than {self._limits.cpu_s:g} s of CPU time"
        if status < 0:
            return f"the parser crashed (signal {-status}); it may use {self._limits.memory_mb} MB of memory"
        return (
            f"the parser failed: it takes more than {self._limits.memory_mb} MB of memory, or its grammar has a fault"
        )

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was not written yet is for nobody


def _wait(descriptor: int, *, for_room: bool, end: float) -> None:
    """Wait until a pipe is ready. Raises `TimeoutError` when the time is over."""
    seconds = max(0.0, end - time.monotonic())
    if hasattr(select, "poll"):  # takes no descriptor of its own, and any number of the process's
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT if for_room else select.POLLIN)
        ready = bool(poll.poll(1_000 * seconds))
    else:
        lists = ([], [descriptor]) if for_room else ([descriptor], [])
        ready = any(select.select(*lists, [], seconds))
    if not ready:
        raise TimeoutError("it did not answer in time")


def _widen(*descriptors: int) -> None:
    """Let pipes hold a whole text and its answer, where the system can do that: then nobody waits in between."""
    if sys.platform == "linux":
        for descriptor in descriptors:
            with contextlib.suppress(OSError):  # the user's pipes may hold no more
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _send(descriptor: int, data: bytes, end: float) -> None:
    """Write all of it. Raises `OSError` when nobody reads it any more or in time."""
    os.set_blocking(descriptor, False)
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            _wait(descriptor, for_room=True, end=end)


def _answer(descriptor: int, end: float) -> bytes:
    """Read one answer. Raises `OSError` when the pipe ends or the time is over, `ValueError` for what is no answer."""
    data = bytearray()
    size: int | None = None
    while size is None or len(data) < size:
        _wait(descriptor, for_room=False, end=end)
        part = os.read(descriptor, 1 << 20)
        if not part:
            raise BrokenPipeError("it ended")
        data += part
        if size is None and b"\n" in data[:20]:
            line = bytes(data[: data.index(b"\n") + 1])
            size = int(line)
            del data[: len(line)]
        if len(data) > _MAX_ANSWER or (size is not None and size > _MAX_ANSWER) or (size is None and len(data) > 20):
            raise ValueError("its answer is too long")
    return bytes(data)


class Parsers:
    """A few parser processes for all threads. `close` ends them."""

    def __init__(self, limits: ParserLimits, prepare: Sequence[str] = ()) -> None:
        self.limits = limits
        self._prepare = tuple(prepare)
        self._idle: queue.SimpleQueue[tuple[ParserProcess, float]] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(limits.processes)
        self._sweeper: threading.Timer | None = None
        self._lock = threading.Lock()
        self._closed = False

    def facts(self, request: Request) -> tuple[Facts, Mapping[str, Any]]:
        """Return what a text holds, and what the parts of the index prepared for it.

        A text that ends the parser is read line by line; the facts then say so.
        """
        try:
            return self._facts(request)
        except ParserDied as error:
            if request.reader == "lines":
                raise
            plain = Request(
                path=request.path, text=request.text, language=request.language, reader="lines", problem=str(error)
            )
            return self._facts(plain)

    def _facts(self, request: Request) -> tuple[Facts, Mapping[str, Any]]:
        answer = self._ask(request)
        prepared = answer.get("prepared")
        try:
            facts = from_wire(answer.get("facts"), len(request.text))
        except ValueError as error:
            raise ParserDied(f"the parser's answer makes no sense: {error}") from error
        return facts, prepared if isinstance(prepared, dict) else {}

    def sites(self, request: Request) -> list[Site]:
        """Return where a text uses a name. Raises `ParserDied`."""
        rows = self._ask(request).get("sites")
        if not isinstance(rows, list):
            raise ParserDied("the parser's answer makes no sense")
        size = len(request.text)
        sites: list[Site] = []
        for row in rows:
            if not isinstance(row, list) or len(row) != len(Site._fields):
                raise ParserDied("the parser's answer makes no sense")
            line, start, kind, within = row
            numbers = all(isinstance(number, int) for number in (line, start, kind))
            if not numbers or not 1 <= line <= size + 1 or not 0 <= start < size or kind < DEF:
                raise ParserDied("the parser's answer makes no sense")
            sites.append(Site(line, start, kind, str(within)[:20]))
        return sites

    def _ask(self, request: Request) -> dict[str, Any]:
        with self._room:
            process = self._take()
            try:
                answer = process.ask(request)
            except BaseException:
                process.close()
                raise
            self._idle.put((process, time.monotonic()))
            self._sweep_later()
            return answer

    def _take(self) -> ParserProcess:
        if self._closed:
            raise Internal("the server is ending")
        try:
            return self._idle.get_nowait()[0]
        except queue.Empty:
            return ParserProcess(self.limits, self._prepare)

    def _sweep_later(self) -> None:
        with self._lock:
            if self._sweeper is None and not self._closed:
                self._sweeper = threading.Timer(self.limits.idle_s, self._sweep)
                self._sweeper.daemon = True
                self._sweeper.start()

    def _sweep(self) -> None:
        """End the processes that had nothing to do for a while."""
        with self._lock:
            self._sweeper = None
        kept: list[tuple[ParserProcess, float]] = []
        while True:
            try:
                process, since = self._idle.get_nowait()
            except queue.Empty:
                break
            if time.monotonic() - since >= self.limits.idle_s:
                process.close()
            else:
                kept.append((process, since))
        for item in kept:
            self._idle.put(item)
        if kept:
            self._sweep_later()

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            if self._sweeper is not None:
                self._sweeper.cancel()
        while True:
            try:
                self._idle.get_nowait()[0].close()
            except queue.Empty:
                return
