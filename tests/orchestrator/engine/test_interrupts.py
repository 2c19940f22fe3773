"""Runs that are stopped: by Ctrl-C, SIGTERM, SIGHUP and SIGKILL. Real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lg_orch.contracts.events import Event
from lg_orch.contracts.schemas import schema
from lg_orch.recording.event_bus import EventBus
from lg_orch.recording.journal import Journal, read_journal
from lg_policy.secrets.masking import Masker
from tests.orchestrator.programs import lg_orch, running
from tests.small_environment import pytest_environment

RELEASE = "go"
pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose one test waits until somebody opens a FIFO outside of it."""
    root = tmp_path / "repo"
    (root / "tests").mkdir(parents=True)
    os.mkfifo(tmp_path / RELEASE)
    (root / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n[tool.pytest.ini_options]\n')
    (root / "tests" / "test_wait.py").write_text(
        f"def test_wait():\n    print('waiting')\n    open({str(tmp_path / RELEASE)!r}).close()\n"
    )
    (tmp_path / "settings.toml").write_text(
        f'[exec]\nsandbox = "off"\nenvironment = "{pytest_environment()}"\n'
        "[exec.commands.pytest]\nneeds_sandbox = false\n"
    )
    return root


def trace_of(root: Path) -> dict[str, Any]:
    (path,) = (root / "artifacts" / "runs").iterdir()
    trace: dict[str, Any] = json.loads(path.read_text())
    jsonschema.Draft202012Validator(schema("run_trace")).validate(trace)
    return trace


def commands(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of commands; a run that stops also looks at the tree."""
    return [call for call in trace["tool_calls"] if call["call_id"].startswith("check.")]


def arguments(project: Path) -> list[str]:
    return ["do the tests pass?", "--yes", "--trace", "--config", str(project.parent / "settings.toml")]


def test_the_first_ctrl_c_lets_the_current_call_finish(project: Path) -> None:
    with running(*arguments(project), cwd=project) as run:
        run.wait_for("approval", "exec__exec", "end")
        run.process.send_signal(signal.SIGINT)
        (project.parent / RELEASE).open("w").close()  # waits until the test waits, then lets it end
        status, out, _ = run.end()
    assert status == 130
    assert json.loads(out)["status"] == "interrupted"
    trace = trace_of(project)
    assert trace["status"] == "interrupted"
    assert commands(trace)[-1]["result"]["exit_code"] == 0
    done = lg_orch("resume", "last", cwd=project)
    assert done.returncode == 0, done.stderr
    assert commands(trace_of(project)) == commands(trace), "nothing is done again"


def test_the_second_ctrl_c_ends_the_run_at_once(project: Path) -> None:
    with running(*arguments(project), cwd=project) as run:
        run.wait_for("approval", "exec__exec", "end")
        run.process.send_signal(signal.SIGINT)
        run.wait_for("thought", "run", "note")
        run.process.send_signal(signal.SIGINT)
        status, _, _ = run.end()
    assert status == 130
    trace = trace_of(project)
    assert trace["status"] == "interrupted"
    assert commands(trace)[-1]["result"] is None
    with running("last", "--yes", cwd=project, command="resume") as run:
        run.wait_for("tool", "exec__exec", "begin")
        (project.parent / RELEASE).open("w").close()
        status, _, err = run.end()
    assert status == 0, err
    assert commands(trace_of(project))[-1]["result"]["exit_code"] == 0


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, ("node", "run", "begin")),
        (signal.SIGTERM, ("tool", "fs__list_files", "begin")),
        (signal.SIGHUP, ("tool", "fs__list_files", "begin")),
    ],
)
def test_a_signal_to_end_ends_the_run_at_any_moment_and_the_trace_is_written(
    project: Path, number: signal.Signals, moment: tuple[str, str, str]
) -> None:
    with running("summarize repo", "--trace", cwd=project) as run:
        run.wait_for(*moment)
        run.process.send_signal(number)
        status, out, err = run.end()
    assert status == 130, err
    assert json.loads(out)["status"] == "interrupted"
    assert "Traceback" not in err
    assert trace_of(project)["status"] == "interrupted"


def test_after_sigkill_the_next_command_completes_the_trace(project: Path) -> None:
    with running("summarize repo", "--trace", cwd=project) as run:
        event = run.wait_for("tool", "fs__list_files", "begin")
        run.process.kill()
        run.end()
    assert not (project / "artifacts").exists()
    listed = lg_orch("runs", "list", cwd=project)
    assert "killed" in listed.stdout
    assert "completed the trace" in listed.stderr
    trace = trace_of(project)
    assert (trace["status"], trace["final"]) == ("killed", None)
    assert event["seq"] in [kept["seq"] for kept in trace["events"]]
    assert "completed the trace" not in lg_orch("runs", "list", cwd=project).stderr


def test_a_reader_who_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    seen: list[int] = []

    class Leaves:
        def show(self, event: Event) -> None:
            if event.seq > 1:
                raise BrokenPipeError

    class Stays:
        def show(self, event: Event) -> None:
            seen.append(event.seq)

    bus = EventBus(Journal(tmp_path / "journal.jsonl"), Masker(b"k" * 32), [Leaves(), Stays()])
    for _ in range(3):
        bus.emit("thought", "run", "note", {"text": "said"})
    assert seen == [1, 2, 3]
    assert [event.seq for event in read_journal(tmp_path / "journal.jsonl")] == [1, 2, 3]
