"""Programs that many tests share, so that one which stalls spoils one test and not all that follow.

A question has a number and a deadline. A program that let a question wait too long is ended, and its stacks stand in
the failure; the next question goes to a fresh one. Whatever a program writes is read at once, so that no pipe fills up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from tests.stacks import stacks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")
ANSWER_S = 90.0
"""What a question may take: less than a test may (`timeout` in pyproject.toml), so that the question is what fails."""
START_S = 60.0
END_S = 30.0
READY = 0
"""The number of what a process writes before the first question."""
STACKS_S = 5.0
HEALTH_S = 60.0
KEPT_LINES = 500
CHUNK = 65_536
SHOWN_CHARS = 1_000
STACKS = {"PYTHONFAULTHANDLER": "1"}
"""Lets a program of ours write the stacks of its threads when it gets SIGABRT."""


class Stalled(AssertionError):
    """A program did not answer, or ended instead."""


def ready() -> str:
    """What a process writes when it can answer."""
    return json.dumps({"number": READY})


class QuestionProcess:
    """A program that answers each line of JSON with one; started at the first question, and anew once it has ended.

    It writes `ready()` when it has imported what it needs, and its answer to a question has the question's `number`.
    `tests.stacks.arm` in it lets it show its stacks.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self._command, self._options = command, options
        self._name = " ".join(command)[:SHOWN_CHARS]
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._read = b""
        handle, told = tempfile.mkstemp(prefix="lg-told-")
        os.close(handle)
        self._told = Path(told)

    def ask(self, question: Mapping[str, Any], *, within: float = ANSWER_S) -> dict[str, Any]:
        """The answer to a question; `Stalled` with the stacks of the process and all below it where there is none."""
        asked = json.dumps(question)
        try:
            process = self._running()
            self._number += 1
            numbered = json.dumps({**question, "number": self._number})
            return self._answer(process, numbered.encode() + b"\n", within)
        except (TimeoutError, EOFError, BrokenPipeError) as error:
            why = f"{self._name}: {str(error) or 'it has ended'}; asked: {asked[:SHOWN_CHARS]}"
            raise Stalled(f"{why}\n{self._kill()}") from None
        except BaseException as error:
            error.add_note(self._kill())  # a test that is over leaves no question open
            raise

    def close(self) -> None:
        """Let the process end by itself, as it does when there are no more questions; kill it where it does not."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
        self._kill()
        self._told.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """The process that answered last; 0 where none runs."""
        return 0 if self._process is None else self._process.pid

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._read = b""
            with self._told.open("wb") as told:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=told,
                    bufsize=0,
                    **self._options,
                )
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
            self._number = READY
            self._answer(self._process, b"", START_S)
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], left: bytes, within: float) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + within
        while True:
            line, found, rest = self._read.partition(b"\n")
            if found:
                self._read = rest
                answer: dict[str, Any] = json.loads(line)
                if answer.pop("number", None) == self._number:
                    return answer
                continue
            ready, free, _ = select.select(
                [process.stdout], [process.stdin] if left else [], [], max(0.0, until - time.monotonic())
            )
            if free:
                left = left[os.write(process.stdin.fileno(), left[:CHUNK]) :]
            if ready:
                read = os.read(process.stdout.fileno(), CHUNK)
                if not read:
                    raise EOFError(f"ended with status {process.wait(END_S)} before it answered")
                self._read += read
            if not ready and not free:
                raise TimeoutError(f"no answer within {within:g} s")

    def _kill(self) -> str:
        """End the process with all below it; returns what they were doing."""
        process, self._process = self._process, None
        if process is None:
            return ""
        running = process.poll() is None
        told = stacks_of([process.pid, *descendants(process.pid)] if running else [], self._told)
        if running:
            kill_tree(process.pid)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait(END_S)
        return f"what it wrote, and its stacks:\n{told}"


def descendants(pid: int) -> Iterator[int]:
    """Yield every process below `pid`."""
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def kill_tree(pid: int) -> None:
    """Kill a process and all below it."""
    kill_below(pid, pid)


def kill_below(pid: int, *also: int) -> None:
    """Kill all below a process in one moment: first all stand still, so that nothing is begun meanwhile."""
    stopped: set[int] = set()
    while found := {*also, *descendants(pid)} - stopped:
        _signal(found, signal.SIGSTOP)
        stopped |= found
    _signal(stopped, signal.SIGKILL)


def _signal(pids: set[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Output:
    """What a program writes to a pipe, read all the time; its last lines are kept."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._drain, args=(stream,), daemon=True)
        self._thread.start()

    def first(self, wanted: Callable[[str], T | None], within: float = ANSWER_S) -> T:
        """What `wanted` makes of the first line that it makes something of."""
        until = time.monotonic() + within
        with self._changed:
            while (found := next(filter(None, map(wanted, self._lines)), None)) is None:
                if self._over or not self._changed.wait(until - time.monotonic()):
                    how = "ended" if self._over else f"was waited for {within:g} s"
                    raise Stalled(f"the program {how} before it wrote the line that was expected:\n{self.text()}")
            return found

    def text(self) -> str:
        return "".join(self._lines)

    def close(self) -> None:
        """Wait until all is read; the program has ended."""
        self._thread.join(STACKS_S)

    def _drain(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


def end(process: subprocess.Popen[str], output: Output, within: float = END_S) -> None:
    """End a program by SIGTERM. One that does not is killed, and its stacks are in the failure (see `STACKS`)."""
    process.terminate()
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        raise Stalled(f"did not end within {within:g} s of SIGTERM:\n{abort(process, output)}") from None
    output.close()


def abort(process: subprocess.Popen[str], output: Output) -> str:
    """Kill a program and all below it; returns what it wrote last and the stacks of its threads (see `STACKS`)."""
    below = set(descendants(process.pid))
    process.send_signal(signal.SIGABRT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STACKS_S)
    _signal(below | ({process.pid} if process.poll() is None else set()), signal.SIGKILL)
    process.wait(END_S)
    output.close()
    return output.text()


class Shared(Generic[T]):
    """A thing that many tests share, made anew when it no longer works."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]], works: Callable[[T], bool]) -> None:
        self._make, self._works = make, works
        self._open = ExitStack()
        self._made: list[T] = []

    def get(self) -> T:
        if self._made and not self._works(self._made[0]):
            self.close()
        if not self._made:
            self._made = [self._open.enter_context(self._make())]
        return self._made[0]

    def close(self) -> None:
        self._made = []
        self._open.close()


def answers(url: str) -> bool:
    """Whether a gateway of ours answers at all, whatever it says."""
    try:
        with closing(HTTPConnection(urlsplit(url).netloc, timeout=HEALTH_S)) as connection:
            connection.request("GET", "/healthz")
            return connection.getresponse().status > 0
    except (OSError, HTTPException):
        return False
