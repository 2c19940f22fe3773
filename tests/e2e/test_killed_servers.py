"""A server killed with SIGKILL in the middle of a run comes back, and the run does not notice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from lg_policy.state import open_state
from tests.e2e.programs import TIMEOUT_S, command_line, program
from tests.processes import descendants


def test_a_file_server_killed_mid_run_comes_back_and_the_calls_wait_for_it(project: Path) -> None:
    command = [program("lg-orch"), "run", "summarize repo", "--json", "--trace"]
    with subprocess.Popen(
        command, cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        events = []
        killed = False
        for line in process.stderr:
            events.append(json.loads(line))
            if events[-1]["phase"] == "connected":
                killed = kill("lg_fs", process.pid)
        result = json.loads(process.stdout.read())
        status = process.wait(timeout=TIMEOUT_S)
    assert killed
    assert status == 0, json.dumps(events)
    (log,) = open_state(root=project).path.glob("runs/*/gateway.log")
    assert "fs" in log.read_text()
    assert not [event for event in events if event["kind"] == "tool" and event["phase"] == "retry"]
    assert "Tidal" in result["text"]


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_run_leaves_a_trace_and_no_process(project: Path, times: int) -> None:
    with subprocess.Popen(
        [program("lg-orch"), "run", "summarize repo", "--json", "--trace"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        children: set[int] = set()
        for line in process.stderr:
            if json.loads(line).get("phase") == "connected":
                children = set(descendants(process.pid))
                for _ in range(times):
                    process.send_signal(signal.SIGINT)
        status = process.wait(timeout=TIMEOUT_S)
    assert status == 130
    assert children
    (trace,) = (project / "artifacts" / "runs").iterdir()
    assert json.loads(trace.read_text())["status"] == "interrupted"
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def kill(module: str, parent: int) -> bool:
    """Kill the descendant of `parent` that runs `module`; say whether there was one."""
    for pid in descendants(parent):
        if module in command_line(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
    return False
