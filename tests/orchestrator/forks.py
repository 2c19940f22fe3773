"""`lg-orch` many times over in processes of their own, each killed with SIGKILL at an exact place.

A program that has imported everything forks a child for each command; the child runs the real `main`. What kills it is
the child itself, in the middle of what it does: when it has journalled a certain event (with `--json` every event is
written to stderr at once), or when a file is renamed into place, which Python's audit hooks tell.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSED = ("XDG_", "LG_", "OPENAI_", "OTEL_")
DEADLY = ("node", "tool", "approval")
Boundary = tuple[str, str, str, str]
"""Kind, name, phase, and the visit or call that an event is about."""


@dataclass(kw_only=True)
class Ended:
    """How one command ended; `killed` where SIGKILL ended it."""

    status: int
    killed: bool
    out: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def boundaries(self) -> list[Boundary]:
        return [boundary_of(event) for event in self.events]


class Forker:
    """Starts commands; `seen` in a job makes the child die at the first event that is not among these."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self,
        *argv: str,
        cwd: Path,
        seen: set[Boundary] | None = None,
        rename: tuple[str, str] | None = None,
        pid_file: Path | None = None,
    ) -> Ended:
        """Run one command.

        `rename` (name, text): die when a file with that text is about to get its place below a directory of that name.
        `pid_file` is where the child notes its id, for somebody else to kill it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {
            "argv": list(argv), "cwd": str(cwd), "seen": sorted(seen) if seen is not None else None, "rename": rename,
            "pid_file": str(pid_file) if pid_file is not None else None,
            "env": {name: value for name, value in os.environ.items() if name.startswith(PASSED)},
        }  # fmt: skip
        print(json.dumps(job), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        lines = [line for line in answer["err"].splitlines() if line.startswith("{")]
        return Ended(
            status=answer["status"],
            killed=answer["killed"],
            out=answer["out"] + answer["err"] if answer["status"] not in (0, 3) else answer["out"],
            events=[json.loads(line) for line in lines],
        )


@contextmanager
def forker(place: Path) -> Iterator[Forker]:
    command = [sys.executable, "-P", "-m", "tests.orchestrator.forks", str(place)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        command, cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        try:
            yield Forker(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)


def boundary_of(event: dict[str, Any]) -> Boundary:
    data = event["data"]
    about = data.get("visit") or data.get("call_id") or data.get("key") or data.get("role") or ""
    return event["kind"], event["name"], event["phase"], str(about)


def is_deadly(event: dict[str, Any]) -> bool:
    """Whether a child may die at this event: a boundary, and not one of the looks around that every run begins with."""
    looks = str(event["data"].get("call_id", "")).startswith("context.")
    return event["kind"] in DEADLY and event["phase"] in ("begin", "end") and not looks


def main() -> None:
    place = Path(sys.argv[1])
    _preload()
    for line in sys.stdin:
        job = json.loads(line)
        out, err = place / "out", place / "err"
        with out.open("w") as out_file, err.open("w") as err_file:
            pid = os.fork()
            if pid == 0:
                _child(job, out_file, err_file)
            _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = {"status": os.waitstatus_to_exitcode(status), "killed": killed}
        print(json.dumps(answer | {"out": out.read_text(), "err": err.read_text()}), flush=True)


def _preload() -> None:
    for name in ("commands.resume", "commands.run", "stepping", "terminal", "thinker.mind", "gateway"):
        import_module(f"lg_orch.{name}")
    import_module("langchain_openai")
    from lg_orch.driver import import_heavy

    import_heavy()


def _child(job: dict[str, Any], out: IO[str], err: IO[str]) -> None:
    from lg_orch.cli import main as lg_orch

    status = 1
    try:
        os.environ.update(job["env"])
        os.chdir(job["cwd"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = out
        sys.stderr = _Deadly(err, job["seen"])
        if job["rename"]:
            _die_at_rename(*job["rename"])
        if job["pid_file"]:
            Path(job["pid_file"]).write_text(str(os.getpid()))
        status = lg_orch(job["argv"])
    finally:
        out.flush()
        err.flush()
        os._exit(status)


class _Deadly:
    """Passes lines on and ends the process right after the first event that is not among those seen."""

    def __init__(self, target: IO[str], seen: list[list[str]] | None) -> None:
        self._target = target
        self._seen = None if seen is None else {tuple(one) for one in seen}

    def write(self, text: str) -> int:
        self._target.write(text)
        if self._seen is not None and text.startswith("{"):
            event = json.loads(text)
            if is_deadly(event) and boundary_of(event) not in self._seen:
                self._target.flush()
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
