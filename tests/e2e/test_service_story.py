"""A team's service: PostgreSQL, two gateways, two workers, and a run that outlives the worker that drove it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from bench.workers.fleet import LETTERS, decide

from lg_orch.testing import Scripted, ScriptedModel
from tests.e2e.programs import Served, program, served, served_by
from tests.processes import STACKS, Output, end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 150.0
SETTINGS = """
[store]
url = "{database}"
[exec]
sandbox = "off"
[exec.commands.make]
executable = "/bin/true"
needs_sandbox = false
[[gateway.rules]]
tools = ["exec__exec"]
effect = "allow"
reason = "the only command does nothing"
[models.default]
provider = "openai"
model = "scripted"
base_url = "{model}"
[service]
heartbeat_s = 1
lease_s = 4
"""


class Service:
    """A client of the API."""

    def __init__(self, url: str, token: str) -> None:
        self._place = urlsplit(url).netloc
        self._token = token

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        connection = HTTPConnection(self._place, timeout=WAIT_S)
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        assert response.status < 400, data
        return json.loads(data)

    def until(self, run_id: str, *states: str) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        while (run := self("GET", f"/v1/runs/{run_id}"))["state"] not in states:
            assert time.monotonic() < deadline, run
            time.sleep(0.1)
        found: dict[str, Any] = run
        return found


@contextmanager
def worker(gateway: Served, at: tuple[str, ...], cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A worker that uses a running gateway."""
    command = [program("lg-orch"), "worker", *at, "--gateway", gateway.url]
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **STACKS, **env},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        output = Output(process.stderr)
        try:
            output.first(lambda line: line if line.startswith("worker ") else None)
            yield process
        finally:
            end(process, output)


@pytest.mark.timeout(600)
def test_a_run_is_approved_taken_over_from_a_killed_worker_verified_and_undone(
    tmp_path: Path, postgres_url: str, clean_environment: Path, programs_by_fork: None
) -> None:
    root, config = tmp_path / "repo", tmp_path / "settings.toml"
    root.mkdir()
    (root / "log.txt").write_text("begin\nend\n")
    (root / "Makefile").write_text("test:\n\ttrue\n")
    asked_late, goes_on = Event(), Event()

    def answer(request: dict[str, Any]) -> Scripted:
        # The model is silent once the first line is written: the worker is killed while it waits.
        if sum(message["role"] == "tool" for message in request["messages"]) == 2 and not goes_on.is_set():
            asked_late.set()
            goes_on.wait(WAIT_S)
        return decide(request)

    with ExitStack() as stack:
        model = stack.enter_context(ScriptedModel(answer))
        stack.callback(goes_on.set)
        config.write_text(SETTINGS.format(database=postgres_url, model=model.base_url))
        env = {"OPENAI_API_KEY": "sk-scripted-0123456789"}
        at = ("--config", str(config), "--repo-root", str(root))
        gateways = [
            stack.enter_context(
                served("lg-gateway", "serve", "--no-login", "--config", str(config), "--root", str(root), cwd=tmp_path)
            )
            for _ in range(2)
        ]
        serve = [program("lg-orch"), "serve", "--no-worker", *at]
        api_program = stack.enter_context(served_by(serve, cwd=tmp_path, env=env))
        (token,) = (clean_environment / "state").glob("lg/*/service-token")
        api = Service(api_program.url, token.read_text("ascii").strip())
        workers = [stack.enter_context(worker(gateway, at, tmp_path, env)) for gateway in gateways]

        run_id = api("POST", "/v1/runs", {"request": "insert two lines, token r0001"})["run_id"]
        waiting = api.until(run_id, "waiting")
        (question,) = waiting["questions"]
        api("POST", f"/v1/runs/{run_id}/answer", {"question": question["key"], "decision": "approve_for_run"})
        assert asked_late.wait(WAIT_S)
        driven = api("GET", f"/v1/runs/{run_id}")
        holder = next(process for process in workers if f":{process.pid}:" in driven["worker"])
        holder.kill()
        goes_on.set()

        ended = api.until(run_id, "done", "unchecked", "failed", "waiting")
        assert ended["state"] in ("done", "unchecked"), ended
        assert ended["epoch"] > driven["epoch"], "another worker took it over"
        assert (root / "log.txt").read_text() == "".join(
            ["begin\n", *(f"{letter}-r0001\n" for letter in LETTERS), "end\n"]
        ), "each line was inserted once"
        trace = api("GET", f"/v1/runs/{run_id}/trace")
        assert trace["verification"] is not None
        assert [event["seq"] for event in trace["events"]] == list(range(1, len(trace["events"]) + 1))

        api("POST", f"/v1/runs/{run_id}/undo", {})
        while (undo := api("GET", f"/v1/runs/{run_id}")["undo"])["state"] == "queued":
            time.sleep(0.1)
        assert undo["state"] == "done", undo
        assert (root / "log.txt").read_text() == "begin\nend\n"
