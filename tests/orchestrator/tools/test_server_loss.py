"""A server that is killed while a run needs it: its calls wait for the next one, and the run continues."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.orchestrator.programs import running


def child_running(module: str, ancestor: int) -> int:
    """The pid of the descendant of `ancestor` that runs `-m module`."""
    parents: dict[int, int] = {}
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status, words = (entry / "stat").read_text(), (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
        if module.encode() in words:
            found.append(int(entry.name))
    for pid in found:
        above = pid
        while above in parents and above != ancestor:
            above = parents[above]
        if above == ancestor:
            return pid
    raise AssertionError(f"no {module} below {ancestor}")


def test_a_file_server_killed_in_the_middle_comes_back_and_the_calls_wait_for_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Small\n\nA small thing.\n")
    with running("summarize repo", cwd=tmp_path) as run:
        run.wait_for("thought", "policy_gate", "note")
        os.kill(child_running("lg_fs", run.process.pid), signal.SIGKILL)
        status, out, err = run.end()
    assert status == 0, err
    assert "Small" in out
