"""What a team runs: PostgreSQL, two gateways, the run service with its console, and workers that may be killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.workers.fleet import LETTERS, decide

from lg_orch.testing import Scripted, ScriptedModel
from tests.e2e.programs import Served, program, served, served_by
from tests.processes import STACKS, Output, end
from tests.scripted_settings import scripted_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 150.0
WORKERS = 2
BEFORE = "begin\nend\n"
SERVICE = """[store]
url = "{database}"
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


@dataclass
class Model:
    """Answers as `decide` does, and is silent once the first line of a run is written, until it may go on.

    The worker of the run is killed meanwhile.
    """

    silent: dict[str, Event] = field(default_factory=dict)
    """By the token of a run: set once its model is silent."""
    goes_on: dict[str, Event] = field(default_factory=dict)

    def expect(self, token: str) -> tuple[Event, Event]:
        """Have the model fall silent in the run with this token."""
        self.silent[token], self.goes_on[token] = Event(), Event()
        return self.silent[token], self.goes_on[token]

    def __call__(self, request: dict[str, Any]) -> Scripted:
        token = re.search(r"token (r\d+)", str(request["messages"]))
        made = sum(message["role"] == "tool" for message in request["messages"])
        if token is not None and made == 2 and not self.goes_on[token[1]].is_set():
            self.silent[token[1]].set()
            self.goes_on[token[1]].wait(WAIT_S)
        return decide(request)

    def over(self) -> None:
        """Let every run go on."""
        for event in self.goes_on.values():
            event.set()


@dataclass(kw_only=True)
class Team:
    """All of it up. Workers are started when a story begins, because each story kills one."""

    address: str
    token: str
    """Of an operator."""
    root: Path
    model: Model
    gateways: list[Served]
    command: list[str]
    """That starts a worker, but for its gateway."""
    env: dict[str, str]
    stack: ExitStack
    workers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    """By the address of their gateway."""

    @property
    def api(self) -> Service:
        """A client of the service."""
        return Service(self.address, self.token)

    @property
    def log(self) -> Path:
        """The file that runs change."""
        return self.root / "log.txt"

    def staff(self) -> None:
        """Start a worker for each gateway that has none."""
        for gateway in self.gateways:
            known = self.workers.get(gateway.url)
            if known is None or known.poll() is not None:
                command = [*self.command, "--gateway", gateway.url]
                self.workers[gateway.url] = self.stack.enter_context(_worker(command, self))

    def worker_of(self, run: dict[str, Any]) -> subprocess.Popen[str]:
        """The worker that drives a run."""
        return next(worker for worker in self.workers.values() if f":{worker.pid}:" in run["worker"])

    def undone(self, run_id: str) -> dict[str, Any]:
        """Undo a run; returns how that ended."""
        self.api("POST", f"/v1/runs/{run_id}/undo", {})
        deadline = time.monotonic() + WAIT_S
        while (undo := self.api("GET", f"/v1/runs/{run_id}")["undo"])["state"] == "queued":
            assert time.monotonic() < deadline, undo
            time.sleep(0.1)
        found: dict[str, Any] = undo
        return found

    def assert_inserted(self, token: str) -> None:
        """Each line of a run stands in the file once."""
        inserted = "".join(f"{letter}-{token}\n" for letter in LETTERS)
        assert self.log.read_text() == f"begin\n{inserted}end\n"


@contextmanager
def _worker(command: list[str], team: Team) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command,
        cwd=team.root.parent,
        env={**os.environ, **STACKS, **team.env},
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


@contextmanager
def team_of(folder: Path, database: str) -> Iterator[Team]:
    """Start all but the workers."""
    root, config = folder / "repo", folder / "settings.toml"
    root.mkdir()
    (root / "log.txt").write_text(BEFORE)
    (root / "Makefile").write_text("test:\n\ttrue\n")
    env = {f"XDG_{name.upper()}_HOME": str(folder / name) for name in ("state", "config", "cache", "data")}
    env["OPENAI_API_KEY"] = "sk-scripted-0123456789"
    model = Model()
    with ExitStack() as stack:
        scripted = stack.enter_context(ScriptedModel(model))
        stack.callback(model.over)
        config.write_text(scripted_settings(scripted.base_url, SERVICE.format(database=database)))
        gateway = ("lg-gateway", "serve", "--no-login", "--config", str(config), "--root", str(root))
        gateways = [stack.enter_context(served(*gateway, cwd=folder, env=env)) for _ in range(WORKERS)]
        at = ["--config", str(config), "--repo-root", str(root)]
        serve = [program("lg-orch"), "serve", "--no-worker", *at]
        service = stack.enter_context(served_by(serve, cwd=folder, env=env))
        (token,) = (folder / "state").glob("lg/*/service-token")
        yield Team(
            address=f"http://{urlsplit(service.url).netloc}",
            token=token.read_text("ascii").strip(),
            root=root,
            model=model,
            gateways=gateways,
            command=[program("lg-orch"), "worker", *at],
            env=env,
            stack=stack,
        )
