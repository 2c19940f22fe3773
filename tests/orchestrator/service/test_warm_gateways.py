"""The gateway of a run serves the next run of the same repository under the same settings, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from bench.workers.fleet import decide

from lg_orch.testing import ScriptedModel
from lg_policy.state import open_state
from tests.orchestrator.service.serving import WAIT_S, Api, serving
from tests.scripted_settings import scripted_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    (root / "README.md").write_text("# Thing\n\nIt does a thing.\n")
    return root


def done(api: Api, **fields: str) -> str:
    """Begin a run and wait for its end."""
    run_id = api.create("summarize repo", **fields)
    assert api.until(run_id, "done", "failed", "refused", "unchecked")["state"] == "done"
    return run_id


def running(root: Path) -> set[str]:
    """The gateways of a repository that run, by their status sockets."""
    state = open_state(root=root, explicit=None, environ=dict(os.environ)).path
    return {path.name for path in (state / "gateways").glob("*.sock")}


def until_running(root: Path, count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while len(running(root)) != count:
        assert time.monotonic() < deadline, running(root)
        time.sleep(0.05)


def processes(text: str) -> list[int]:
    """Processes of this user whose command line holds a text."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line:
            found.append(int(name))
    return found


def test_a_gateway_serves_runs_of_its_repository_and_settings_alone_and_a_killed_one_is_replaced(
    repo: Path, tmp_path: Path
) -> None:
    other, config = tmp_path / "other", tmp_path / "settings.toml"
    other.mkdir()
    (other / "README.md").write_text("# Other\n\nIt does another thing.\n")
    allowed = f"[service]\nrepositories = {json.dumps([str(other)])}\n"
    config.write_text(allowed)
    with serving(repo, "--config", str(config)) as api:
        runs = [done(api)]
        first = running(repo)
        runs.append(done(api))
        assert len(first) == 1
        assert running(repo) == first
        for run_id in runs:
            assert api("GET", f"/v1/audit?run={run_id}").json["calls"], "the ledger names each run"
        elsewhere = done(api, repository=str(other))
        assert "Other" in api.run(elsewhere)["report"]["text"]
        assert running(repo) == first
        assert len(running(other)) == 1
        for pid in processes(f"serve --root {repo} "):
            os.kill(pid, signal.SIGKILL)
        done(api)
        second = running(repo) - first
        assert len(second) == 1
        config.write_text(f"{allowed}[gateway]\nresult_max_bytes = 1400000\n")
        done(api)
        until_running(repo, 1)
        assert running(repo).isdisjoint(first | second)
    until_running(repo, 0)


def test_a_gateway_that_nobody_uses_ends(repo: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[service]\ngateway_idle_s = 0.2\n")
    with serving(repo, "--config", str(config)) as api:
        done(api)
        until_running(repo, 0)
        done(api)


def test_a_gateway_that_has_asked_a_human_is_not_kept(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    (repo / "log.txt").write_text("begin\nend\n")
    (repo / "Makefile").write_text("test:\n\ttrue\n")
    config = tmp_path / "settings.toml"
    with ScriptedModel(decide) as model:
        config.write_text(scripted_settings(model.base_url))
        with serving(repo, "--config", str(config)) as api:
            run_id = api.create("insert two lines, token r0001")
            waiting = api.until(run_id, "waiting")
            until_running(repo, 0)
            answer = {"question": waiting["questions"][0]["key"], "decision": "approve_for_run"}
            assert api("POST", f"/v1/runs/{run_id}/answer", answer).status == 202
            assert api.until(run_id, "done", "unchecked", "failed")["state"] in ("done", "unchecked")
            until_running(repo, 0)
