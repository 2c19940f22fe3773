"""A long run of the gateway: `python -m bench.soak.run [--seconds 600] [--clients 64]`. Linux only.

Clients of both eras of the protocol, over HTTP and over stdio, call three servers without a pause. Meanwhile servers
are killed at random, the settings are changed, and one server never starts. At the end the gateway is told to stop
while streams are open and calls run. Exit status 1 if a call was lost or done twice, if the ledger says otherwise than
clients and servers, or if a process has grown.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from mcp.client.stdio import StdioServerParameters

from bench.gateway.targets import FIXTURE, ROOT, free_port
from bench.machine import machine
from bench.soak.checks import against_ledger, against_servers, executed, shown
from bench.soak.clients import ERAS, Caller, Seen
from bench.soak.drain import drained
from bench.soak.processes import Usage, below, growth, kill_one, leaks, usage
from lg_gateway.upstreams.restart_policy import CRASH_LOOP

STDIO_SHARE = 8
"""One client of so many has a gateway of its own, over stdio."""
KILL_S = (1.0, 4.0)
RELOAD_S = 7.0
SAMPLE_S = 1.0
WARM_UP = 0.2
"""This part of the run is not sampled: connections and caches are still being made."""
START_S = 120.0


class Place:
    """The files of one soak."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal"
        self.starts = folder / "starts"
        self.settings = folder / "settings.toml"
        self.log = folder / "log"
        self.remote_port = free_port()
        self.journal.touch()
        self.starts.touch()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def write(self, change: int) -> None:
        """Write the settings; another number makes others of them."""
        fixture = [str(FIXTURE), "--journal", str(self.journal), "--nap", "2"]
        broken = f"import sys; open({str(self.starts)!r}, 'a').write('x'); sys.exit(1)"
        lines = ["[gateway]", f"calls_per_minute = {10_000_000 + change}", "calls_at_once = 1000"]
        lines += ["requests_per_minute = 10000000", "requests_at_once = 1000", "drain_s = 10"]
        lines += self._server("plain", fixture) + self._server("old", [*fixture, "--era", "legacy"])
        lines += ["[gateway.servers.remote]", "trusted = true", f'url = "http://127.0.0.1:{self.remote_port}/mcp"']
        lines += self._server("broken", ["-c", broken])
        lines += ["[[gateway.rules]]", 'tools = ["*"]', 'effect = "allow"']
        part = self.settings.with_suffix(".new")
        part.write_text("\n".join(lines))
        part.replace(self.settings)

    @staticmethod
    def _server(name: str, args: list[str]) -> list[str]:
        command = [f"command = {json.dumps(sys.executable)}", f"args = {json.dumps(args)}"]
        return [f"[gateway.servers.{name}]", "trusted = true", *command]

    def gateway(self, *options: str) -> list[str]:
        """Return the command of a gateway."""
        return [sys.executable, "-P", "-m", "lg_gateway", *options, "--config", str(self.settings)]

    def ask(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the gateway."""
        command = self.gateway(*options)
        return subprocess.run(command, check=False, env=self.environment, cwd=ROOT, capture_output=True, text=True)

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a program; what it says goes to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=self.environment)

    def start_remote(self) -> subprocess.Popen[bytes]:
        """Start the server that is reached over HTTP."""
        command = [sys.executable, str(FIXTURE), "--journal", str(self.journal), "--nap", "2"]
        return self.start([*command, "--http", str(self.remote_port)])


@contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End a program with the block."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Soak:
    """One run. `problems` is what went wrong."""

    def __init__(self, place: Place, clients: int, seconds: float, seed: int) -> None:
        self.place = place
        self.chance = random.Random(seed)
        self.seconds = seconds
        self.seen = Seen()
        self.events: Counter[str] = Counter()
        self.samples: dict[str, list[Usage]] = {"gateway over HTTP": [], "gateway over stdio": []}
        self.over = anyio.Event()
        self.url = f"http://127.0.0.1:{(port := free_port())}/mcp"
        self.serve = place.gateway("serve", "--transport", "http", "--no-login", "--port", str(port))
        own = place.gateway()
        stdio = StdioServerParameters(command=own[0], args=own[1:], env=place.environment, cwd=ROOT)
        self.callers = [
            Caller(
                number=number,
                era=ERAS[number // 2 % 2],
                url=None if number % STDIO_SHARE == 0 else self.url,
                command=stdio if number % STDIO_SHARE == 0 else None,
            )
            for number in range(clients)
        ]

    async def run(self) -> list[str]:
        """Run it and return the problems."""
        place = self.place
        place.write(0)
        self.remote = place.start_remote()
        await _listening(f"http://127.0.0.1:{place.remote_port}/mcp")
        with running(place.start(self.serve)) as gateway:
            try:
                await _listening(self.url)
                await self._work(gateway.pid)
                problems = await drained(self.url, gateway, self.events)
            finally:
                self.remote.kill()
                self.remote.wait()
        problems += against_servers(self.seen, executed(place.journal))
        export, verified = place.ask("audit", "export"), place.ask("audit", "verify")
        problems += against_ledger(self.seen, export.stdout.splitlines())
        problems += [] if verified.returncode == 0 else [f"audit verify: {verified.stdout}"]
        for name, samples in self.samples.items():
            problems += leaks(name, samples) if samples else [f"{name}: was never seen"]
        gateways = 1 + sum(caller.url is None for caller in self.callers)
        # Each reload that changes a server's entry would start it anew; these do not.
        most = gateways * (2 * CRASH_LOOP + int(self.seconds / 60))
        self.events["starts of the broken server"] = starts = len(place.starts.read_text())
        return problems + ([f"the broken server was started {starts} times, over {most}"] if starts > most else [])

    async def _work(self, http: int) -> None:
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(self._kill, http)
            helpers.start_soon(self._reload)
            helpers.start_soon(self._sample, http)
            helpers.start_soon(self._stop)
            async with anyio.create_task_group() as clients:
                for caller in self.callers:
                    chance = random.Random(self.chance.random())
                    clients.start_soon(caller.work, self.seen, chance, self.over)
            helpers.cancel_scope.cancel()

    async def _stop(self) -> None:
        await anyio.sleep(self.seconds)
        self.over.set()

    async def _kill(self, http: int) -> None:
        while not self.over.is_set():
            await anyio.sleep(self.chance.uniform(*KILL_S))
            if self.chance.random() < 0.25:
                self.remote.kill()
                self.remote.wait()
                self.remote = self.place.start_remote()
                self.events["kills of the server over HTTP"] += 1
                continue
            gateways = [http, *self._own_gateways()]
            if await anyio.to_thread.run_sync(kill_one, gateways, str(FIXTURE), self.chance):
                self.events["kills of servers over stdio"] += 1

    async def _reload(self) -> None:
        while not self.over.is_set():
            await anyio.sleep(RELOAD_S)
            self.events["changes of the settings"] += 1
            self.place.write(self.events["changes of the settings"])

    async def _sample(self, http: int) -> None:
        await anyio.sleep(self.seconds * WARM_UP)
        while not self.over.is_set():
            own = self._own_gateways()
            for name, pid in (("gateway over HTTP", http), ("gateway over stdio", own[0] if own else 0)):
                found = await anyio.to_thread.run_sync(usage, pid) if pid else None
                if found is not None:
                    self.samples[name].append(found)
            await anyio.sleep(SAMPLE_S)

    @staticmethod
    def _own_gateways() -> list[int]:
        """Return the gateways over stdio: children of this process, as the one over HTTP is."""
        found = []
        for pid in below(os.getpid()):
            try:
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == os.getpid() and b"lg_gateway" in words and b"serve" not in words:
                found.append(pid)
        return sorted(found)


async def _listening(url: str) -> None:
    port = int(url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    with anyio.fail_after(START_S):
        while True:
            try:
                async with await anyio.connect_tcp("127.0.0.1", port):
                    return
            except OSError:
                await anyio.sleep(0.05)


def report(soak: Soak, problems: list[str], took_s: float) -> None:
    """Print what happened and what is wrong."""
    print(f"{machine()}\n\n{len(soak.callers)} clients, {took_s:.0f} s, {sum(soak.seen.codes.values())} answers\n")
    for what, count in [*soak.seen.codes.most_common(), *sorted(soak.events.items())]:
        print(f"- {what}: {count}")
    print("\n| process | what | first quarter | last quarter |\n|---|---|---|---|")
    for name, samples in soak.samples.items():
        for kind, (first, last) in growth(samples).items() if samples else ():
            print(f"| {name} | {kind} | {first:.0f} | {last:.0f} |")
    print()
    for problem in shown(problems):
        print(problem)
    print("nothing was lost, doubled or leaked" if not problems else f"{len(problems)} problems")


def main() -> int:
    """Run the soak and report."""
    parser = argparse.ArgumentParser(prog="bench.soak.run", description="Run the gateway long while servers die.")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long calls are made")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the files of the run")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="lg-soak-"))
    soak = Soak(Place(folder), args.clients, args.seconds, args.seed)
    began = time.monotonic()
    problems = anyio.run(soak.run)
    report(soak, problems, time.monotonic() - began)
    if not args.keep:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    else:
        print(folder)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
