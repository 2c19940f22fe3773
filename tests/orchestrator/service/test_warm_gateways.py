"""The gateway of a run serves the next run of the same repository under the same settings, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from bench.workers.fleet import decide

from lg_gateway.cli import main as gateway_command
from lg_orch.cli import arguments
from lg_orch.service.work.warm_gateways import WarmGateways
from lg_orch.settings.setup import prepare
from lg_orch.testing import Scripted, ScriptedModel
from lg_policy.state import open_state
from tests.orchestrator.service.serving import WAIT_S, Api, serving
from tests.scripted_settings import scripted_settings

if TYPE_CHECKING:
    from pathlib import Path

OVER = ("done", "unchecked", "failed", "refused", "interrupted")


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


def pid_of(sockets: set[str]) -> int:
    """The process of the one gateway that has this socket."""
    (name,) = sockets
    return int(name.partition(".")[0])


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


def test_another_directory_under_the_same_path_gets_a_gateway_of_its_own(repo: Path, tmp_path: Path) -> None:
    with serving(repo) as api:
        done(api)
        first = running(repo)
        for name in ("Other", "Third"):
            repo.rename(tmp_path / f"before-{name}")
            repo.mkdir()
            (repo / "README.md").write_text(f"# {name}\n\nIt does another thing.\n")
            assert name in api.run(done(api))["report"]["text"]
            until_running(repo, 1)
            assert running(repo).isdisjoint(first)
            first = running(repo)


def test_a_kept_gateway_hears_of_a_halt_and_one_whose_run_is_cancelled_is_not_kept(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    (repo / "log.txt").write_text("begin\nend\n")
    (repo / "Makefile").write_text("test:\n\ttrue\n")
    silent, goes_on = threading.Event(), threading.Event()

    def answer(request: dict[str, Any]) -> Scripted:
        if "token r0001" in str(request["messages"]):
            silent.set()
            goes_on.wait(WAIT_S)
        return decide(request)

    config = tmp_path / "settings.toml"
    with ScriptedModel(answer) as model:
        config.write_text(scripted_settings(model.base_url, "[policy]\nrequire_approval_for_mutations = false\n"))
        with serving(repo, "--config", str(config)) as api:
            cancelled = api.create("insert two lines, token r0001")
            assert silent.wait(WAIT_S)
            assert api("POST", f"/v1/runs/{cancelled}/cancel").status == 202
            goes_on.set()
            api.until(cancelled, "cancelled")
            until_running(repo, 0)

            kept = api.create("insert two lines, token r0002")
            assert api.until(kept, *OVER)["state"] in ("done", "unchecked")
            assert len(running(repo)) == 1
            where = ["--root", str(repo), "--config", str(config)]
            assert gateway_command(["halt", "--reason", "enough of this", *where]) == 0
            halted = api.create("insert two lines, token r0003")
            assert "enough of this" in api.until(halted, *OVER)["report"]["text"]
    written = (repo / "log.txt").read_text()
    assert ("b-r0002" in written, "r0003" in written) == (True, False)


@pytest.mark.anyio
async def test_a_kept_gateway_that_is_stopped_is_replaced_and_ended(repo: Path) -> None:
    args = arguments(["serve", "--repo-root", str(repo)])
    setup = prepare(args)
    async with anyio.create_task_group() as group:
        gateways = WarmGateways(group, idle_s=600, most=2, ask_s=0.5)
        seen: list[set[str]] = []
        for _ in range(2):
            async with gateways.lent(setup, os.environ) as loan:
                assert loan.connection is not None
                loan.keep = True
                seen.append(running(repo))
            os.kill(pid_of(seen[-1] - set().union(*seen[:-1])), signal.SIGSTOP)
        gateways.end()
    assert len(seen[1] - seen[0]) == 1
    deadline = time.monotonic() + WAIT_S
    while left := processes(f"serve --root {repo} "):
        assert time.monotonic() < deadline, left
        await anyio.sleep(0.1)


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
