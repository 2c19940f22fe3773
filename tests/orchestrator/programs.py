"""`lg-orch` as a process of this interpreter, with its events read as they come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TIMEOUT_S = 120


def lg_orch(
    *args: str, cwd: Path, env: Mapping[str, str] | None = None, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Run the command that is installed beside an interpreter, to its end."""
    return subprocess.run(
        [os.path.join(os.path.dirname(python), "lg-orch"), *args],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


class Running:
    """A run in progress, started with `--json`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait_for(self, kind: str, name: str, phase: str) -> dict[str, Any]:
        """Read events until that one."""
        assert self.process.stderr is not None
        seen: list[str] = []
        for line in self.process.stderr:
            seen.append(line)
            if not line.startswith("{"):
                continue
            event: dict[str, Any] = json.loads(line)
            if (event["kind"], event["name"], event["phase"]) == (kind, name, phase):
                return event
        raise AssertionError(f"no {kind} {name} {phase} in:\n{''.join(seen)}")

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return status, stdout and the rest of stderr."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, err


@contextmanager
def running(*args: str, cwd: Path, env: Mapping[str, str] | None = None, command: str = "run") -> Iterator[Running]:
    """Start `lg-orch run … --json`; kill it if the test leaves it."""
    argv = [os.path.join(os.path.dirname(sys.executable), "lg-orch"), command, *args, "--json"]
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()
