"""`lg-orch` many times over in processes of their own, each killed with SIGKILL at an exact place.

A program that has imported everything forks a child for each command; the child runs the real `main`. What kills it is
the child itself, in the middle of what it does: when it has journalled a certain event (with `--json` every event is
written to stderr at once), or when a file is renamed into place, which Python's audit hooks tell.

With `own` it has a gateway and servers of its own, and all of them end at once, as when the power is cut: whoever comes
to a place (`stopping`) stands still, then everything below this program is stopped and killed, whatever its group.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests import stacks
from tests.forked_programs import ORCHESTRATOR_MODULES, preload
from tests.orchestrator import budding, stopping
from tests.processes import ANSWER_S, QuestionProcess, kill_below, ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUBREAPER = 36
"""Of Linux's prctl: what loses its parent below this process becomes its child."""
PASSED = ("XDG_", "LG_", "OPENAI_", "OTEL_")
DEADLY = ("node", "tool", "approval")
ELSEWHERE = ("lg_gateway.", "lg_fs.", "lg_exec.")
"""Modules of the programs that the child starts."""
DIES = "alone: "
"""What the names of places begin with where only one process ends."""
Boundary = tuple[str, str, str, str]
"""Kind, name, phase, and the visit or call that an event is about."""


@dataclass(kw_only=True)
class Ended:
    """How one command ended; `killed` where SIGKILL ended it, `at` the places that were come to meanwhile."""

    status: int
    killed: bool
    out: str
    at: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def boundaries(self) -> list[Boundary]:
        return [boundary_of(event) for event in self.events]


class Forker:
    """Starts commands; `seen` in a job makes the child die at the first event that is not among these."""

    def __init__(self, process: QuestionProcess) -> None:
        self._process = process

    def run(
        self,
        *argv: str,
        cwd: Path,
        seen: set[Boundary] | None = None,
        rename: tuple[str, str] | None = None,
        pid_file: Path | None = None,
        own: bool = False,
        places: Sequence[stopping.Stop] = (),
        after_s: float | None = None,
        program: str = "lg_orch",
        within: float = ANSWER_S,
    ) -> Ended:
        """Run one command.

        `seen` without what an event is about stands for all of that name. `rename` (name, text): die when a file with
        that text is about to get its place below a directory of that name. `pid_file` gets the command that kills the
        child, for somebody else to run. `own`: the power is cut, at an event
        not `seen`, at one of the `places`, or `after_s`.
        """
        job = {
            "argv": list(argv), "cwd": str(cwd), "seen": sorted(seen) if seen is not None else None, "rename": rename,
            "pid_file": str(pid_file) if pid_file is not None else None, "own": own, "places": list(places),
            "after_s": after_s, "program": program,
            "env": {name: value for name, value in os.environ.items() if name.startswith(PASSED)},
        }  # fmt: skip
        answer = self._process.ask(job, within=within)
        lines = [line for line in answer["err"].splitlines() if line.startswith("{")]
        return Ended(
            status=answer["status"],
            killed=answer["killed"],
            at=answer["at"],
            out=answer["out"] + answer["err"] if answer["status"] not in (0, 3) else answer["out"],
            events=[json.loads(line) for line in lines],
        )


@contextmanager
def forker(place: Path) -> Iterator[Forker]:
    command = [sys.executable, "-P", "-m", "tests.orchestrator.forks", str(place)]
    os.mkfifo(place / stopping.PIPE)
    (place / "tmp").mkdir()
    stopping.interpreter(place)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = QuestionProcess(command, cwd=place, env=environ)
    try:
        yield Forker(process)
    finally:
        process.close()


def boundary_of(event: dict[str, Any]) -> Boundary:
    data = event["data"]
    about = data.get("visit") or data.get("call_id") or data.get("key") or data.get("role") or ""
    return event["kind"], event["name"], event["phase"], str(about)


def is_deadly(event: dict[str, Any]) -> bool:
    """Whether a child may die at this event: a boundary, and not one of the looks around that every run begins with."""
    looks = str(event["data"].get("call_id", "")).startswith("context.")
    return event["kind"] in DEADLY and event["phase"] in ("begin", "end") and not looks


def main() -> None:
    stacks.arm()
    place = Path(sys.argv[1])
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    _preload()
    reached = os.open(place / stopping.PIPE, os.O_RDWR | os.O_NONBLOCK)
    print(ready(), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        out, err = place / "out", place / "err"
        (place / stopping.PLACES).write_text(json.dumps(job["places"]))
        if job["own"]:
            budding.preload()
        with out.open("w") as out_file, err.open("w") as err_file:
            pid = os.fork()
            if pid == 0:
                _child(place, job, out_file, err_file)
            status, at = _ended(pid, reached, job["after_s"])
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = {"number": job["number"], "status": os.waitstatus_to_exitcode(status), "killed": killed, "at": at}
        print(json.dumps(answer | {"out": out.read_text(), "err": err.read_text()}), flush=True)


def _ended(pid: int, reached: int, after_s: float | None) -> tuple[int, list[str]]:
    """Wait for the end of a child and of all that it started; returns its status and the places come to."""
    ends, at, until = os.pidfd_open(pid), list[str](), after_s
    while True:
        ready, _, _ = select.select([ends, reached], [], [], until)
        names = os.read(reached, 4096).decode().splitlines() if reached in ready else []
        at += names
        if not ready or any(not name.startswith(DIES) for name in names):
            at += [] if ready else [f"after {after_s} s"]
            kill_below(os.getpid())
            break
        if ends in ready:
            break
    os.close(ends)
    status, one = 0, -1
    while one != 0:
        # What outlives the child for a moment is waited for: nothing is ever left behind.
        with suppress(ChildProcessError):
            one, each = os.waitpid(-1, 0)
            status = each if one == pid else status
            continue
        one = 0
    return status, at


def _preload() -> None:
    preload((*ORCHESTRATOR_MODULES, "lg_gateway.commands.audit.reading"))
    from lg_orch.engine.driver import import_heavy

    import_heavy()


def _child(place: Path, job: dict[str, Any], out: IO[str], err: IO[str]) -> None:
    program = import_module(f"{job['program']}.cli").main
    status = 1
    try:
        os.environ.update(job["env"])
        # Who is killed leaves its temporary directories: they go with the place.
        tempfile.tempdir = os.environ["TMPDIR"] = str(place / "tmp")
        os.chdir(job["cwd"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = out
        sys.stderr = _Deadly(err, job["seen"], place if job["own"] else None)
        if job["own"]:
            sys.executable = str(place / stopping.INTERPRETER)
            budding.bud(place)
        stopping.arm(place, [one for one in job["places"] if not one["at"].startswith(ELSEWHERE)])
        if job["rename"]:
            _die_at_rename(*job["rename"])
        if job["pid_file"]:
            Path(job["pid_file"]).write_text(f"kill -9 {os.getpid()}")
        status = program(job["argv"])
    finally:
        out.flush()
        err.flush()
        os._exit(status)


class _Deadly:
    """Passes lines on and ends the process right after the first event that is not among those seen."""

    def __init__(self, target: IO[str], seen: list[list[str]] | None, place: Path | None) -> None:
        self._target = target
        self._place = place
        self._seen = None if seen is None else {tuple(one) for one in seen}

    def write(self, text: str) -> int:
        self._target.write(text)
        if self._seen is not None and text.startswith("{"):
            event = json.loads(text)
            boundary = boundary_of(event)
            if is_deadly(event) and not self._seen & {boundary, (*boundary[:3], "")}:
                self._target.flush()
                if self._place is not None:
                    stopping.end(self._place, f"{event['kind']} {event['name']} {event['phase']}")
                os.kill(os.getpid(), signal.SIGKILL)
        return len(text)

    def flush(self) -> None:
        self._target.flush()

    def isatty(self) -> bool:
        return False


def _die_at_rename(folder: str, text: str) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and f"/{folder}/" in str(arguments[1]) and text in Path(arguments[0]).read_text():
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
