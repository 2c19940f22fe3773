"""Workers as processes over one PostgreSQL, a scripted model, and repositories in which a doubled effect shows."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.processes import STACKS, Output, end
from tests.scripted_settings import scripted_settings

from lg_orch.runs.run_directory import fresh_run_id
from lg_orch.service.records.postgres import PostgresDatabase
from lg_orch.service.records.rows import ENDED, Filter, NewRun
from lg_orch.service.records.run_table import RunTable
from lg_orch.testing import Scripted, ScriptedModel, calls, text
from lg_policy.errors import Conflict
from lg_policy.state import root_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from lg_orch.service.records.rows import RunRow

MODEL_ROUTE = '{"intent": "code_change", "lane": "interactive", "rationale": "A change."}'
LETTERS = ("a", "b")
"""What each run inserts, one patch each."""
POLL_S = 0.5


def inserted(letter: str, token: str) -> tuple[str, dict[str, Any]]:
    """A patch that shows when it is applied twice."""
    patch = f"log.txt\n<<<<<<< SEARCH\nend\n=======\n{letter}-{token}\nend\n>>>>>>> REPLACE\n"
    return "fs__apply_patch", {"patch": patch}


def decide(request: dict[str, Any]) -> Scripted:
    """The model's answer, from the request alone: one that is made again after a crash is answered alike."""
    if not request.get("tools"):
        return text(MODEL_ROUTE)
    found = re.search(r"token (r\d+)", str(request["messages"]))
    token = found[1] if found else "none"
    actions = [("fs__read_file", {"path": "log.txt"}), *(inserted(letter, token) for letter in LETTERS)]
    made = sum(message["role"] == "tool" for message in request["messages"])
    return calls(actions[made]) if made < len(actions) else text("done")


@dataclass(kw_only=True)
class Fleet:
    """Everything up; workers are started and ended by its methods."""

    folder: Path
    config: Path
    table: RunTable
    repositories: tuple[Path, ...]
    environ: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    """By run."""
    given_up: set[str] = field(default_factory=set)
    """Runs that were cancelled because the time was over."""

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        """Start one more worker."""
        argv = [sys.executable, "-P", "-m", "lg_orch", "worker", "--config", str(self.config)]
        argv += ["--repo-root", str(self.repositories[0]), *flags]
        with (self.folder / "workers.log").open("ab") as log:
            made = subprocess.Popen(argv, env=self.environ, cwd=self.folder, stdin=subprocess.DEVNULL, stderr=log)
        self.workers.append(made)
        return made

    def create(self, count: int) -> None:
        """Queue runs, one after the other for each repository."""
        for number in range(count):
            root = self.repositories[number % len(self.repositories)]
            token = f"r{len(self.tokens):04d}"
            new = NewRun(
                run_id=fresh_run_id(), request=f"insert two lines, token {token}", repository=str(root), root=str(root),
                root_id=root_id(root), created_by="bench",
            )  # fmt: skip
            self.table.create(new, max_queued=10**6)
            self.tokens[new.run_id] = token

    def rows(self) -> list[RunRow]:
        """Every run."""
        return self.table.page(Filter(), 10**6)

    def left(self) -> int:
        """How many runs have not come to their end."""
        marks = ", ".join("?" * len(ENDED))
        with self.table.database.transaction() as tx:
            found = tx.execute(f"SELECT count(*) FROM lg_runs WHERE state NOT IN ({marks})", sorted(ENDED))
        return int(found[0][0])

    def give_up(self, within_s: float) -> None:
        """Begin no further run, and wait for those that are being driven."""
        for row in self.rows():
            if row.epoch == 0:
                with suppress(Conflict):  # it has ended meanwhile
                    self.table.cancel(row.run_id)
                    self.given_up.add(row.run_id)
        deadline = time.monotonic() + within_s
        while self.left() and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def wake_all(self) -> None:
        """Let stopped workers go on."""
        for worker in self.workers:
            worker.send_signal(signal.SIGCONT)

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """End a worker as a power cut would; it is not one of the fleet any more."""
        self.workers.remove(worker)
        worker.kill()
        worker.wait()

    def end(self) -> None:
        """End all workers."""
        self.wake_all()
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(60)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.workers.clear()

    def wrong(self, ended: Collection[str]) -> list[str]:
        """What was lost or doubled: a run that has ended must have inserted each of its lines once."""
        found = []
        lines = Counter(line for root in self.repositories for line in (root / "log.txt").read_text().splitlines())
        for run_id, token in self.tokens.items():
            for letter in LETTERS:
                times = lines[f"{letter}-{token}"]
                if times > 1 or (times == 0 and run_id in ended):
                    found.append(f"run {run_id} inserted {letter}-{token} {times} times")
        return found


@contextmanager
def fleet(
    folder: Path,
    database_url: str,
    *,
    repositories: int,
    gateways: int = 0,
    lease_s: float = 6.0,
    concurrency: int = 1,
    delay_s: float = 0.0,
    idle_s: float = 120.0,
) -> Iterator[Fleet]:
    """Everything but workers. The model takes `delay_s` for each answer; so many repositories have a running gateway.

    Runs of the others start gateways of their own, which workers keep for `idle_s`.
    """
    roots = tuple(folder / "repositories" / f"repo{number}" for number in range(repositories))
    for root in roots:
        root.mkdir(parents=True)
        (root / "log.txt").write_text("begin\nend\n")
        (root / "Makefile").write_text("test:\n\ttrue\n")

    def answer(request: dict[str, Any]) -> Scripted:
        time.sleep(delay_s)
        return decide(request)

    with ExitStack() as stack:
        model = stack.enter_context(ScriptedModel(answer))
        config, of_gateways = folder / "settings.toml", folder / "gateways.toml"
        shared = scripted_settings(
            model.base_url, f'[store]\nurl = "{database_url}"\n[policy]\nrequire_approval_for_mutations = false\n'
        )
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ
        }
        places = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "CONFIG", "CACHE", "DATA")}
        environ = {**kept, **places, "OPENAI_API_KEY": "sk-scripted-0123456789"}
        of_gateways.write_text(shared)
        addresses = [
            f'"{root}" = "{stack.enter_context(_gateway(root, of_gateways, environ))}"' for root in roots[:gateways]
        ]
        config.write_text(f"""{shared}
[service]
concurrency = {concurrency}
heartbeat_s = {lease_s / 4}
gateway_idle_s = {idle_s}
gateways_kept = {repositories}
lease_s = {lease_s}
max_attempts = 100
gateways = {{ {", ".join(addresses)} }}
""")
        database = PostgresDatabase(database_url)
        stack.callback(database.close)
        made = Fleet(folder=folder, config=config, table=RunTable(database), repositories=roots, environ=environ)
        stack.callback(made.end)
        yield made


@contextmanager
def _gateway(root: Path, config: Path, environ: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-P", "-m", "lg_gateway", "serve", "--transport", "http", "--no-login"]
    command += ["--config", str(config), "--root", str(root)]
    with subprocess.Popen(
        command, cwd=root.parent, env={**environ, **STACKS}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        if process.stderr is None:
            raise RuntimeError("stderr was asked for as a pipe")
        output = Output(process.stderr)
        try:
            yield output.first(lambda line: line.split()[-1] if line.startswith("listening on ") else None)
        finally:
            end(process, output)


def disturb(made: Fleet, rng: random.Random, *, stopped: list[subprocess.Popen[bytes]]) -> str:
    """Kill a worker and start another one, or pause one; returns which."""
    awake = [worker for worker in made.workers if worker not in stopped]
    if stopped and (rng.random() < 0.4 or len(awake) < 2):
        worker = stopped.pop(0)
        worker.send_signal(signal.SIGCONT)
        return "continued"
    worker = rng.choice(awake)
    if rng.random() < 0.5:
        made.kill(worker)
        made.start()
        return "killed"
    worker.send_signal(signal.SIGSTOP)
    stopped.append(worker)
    return "stopped"


def counted(events: Sequence[str]) -> dict[str, int]:
    """How often each thing happened."""
    return {what: list(events).count(what) for what in ("killed", "stopped", "continued")}
