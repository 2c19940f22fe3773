"""Starts the fixture and gateways before it, on ports that the system chooses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_S = 60
FIXTURE = ["-P", "-m", "conformance.fixture"]
GATEWAY = ["-P", "-m", "lg_gateway"]
SETTINGS = """\
[gateway]
pins = "off"
name_max = 64
calls_per_minute = 100000
requests_per_minute = 100000
[gateway.servers.back]
sampling = "client"
roots = "client"
{server}
[[gateway.rules]]
tools = ["*"]
resources = ["*"]
prompts = ["*"]
effect = "allow"
"""
"""`back`: the probes find the fixture's tools by the end of their names, which begin with `fx_` and `test_`."""
_ADDRESS = re.compile(r"listening on (http://\S+)")


@dataclass(frozen=True)
class Program:
    """How to start a program."""

    argv: tuple[str, ...]
    env: dict[str, str]


def environment(folder: Path) -> dict[str, str]:
    """Return an environment whose state, keys and settings are below `folder`."""
    own = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("STATE", "CONFIG", "CACHE", "DATA")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LG_", "XDG_"))}
    return kept | own | {"PYTHONPATH": str(ROOT)}


def behind_url(url: str, mode: str = "auto") -> str:
    """Return the settings of a fixture that is reached over HTTP."""
    return f"url = {json.dumps(url)}\nmode = {json.dumps(mode)}"


def behind_stdio(mode: str = "auto") -> str:
    """Return the settings of a fixture that the gateway starts."""
    given = f"command = {json.dumps(sys.executable)}\nargs = {json.dumps(FIXTURE)}\nmode = {json.dumps(mode)}"
    return f"{given}\nenv = {{ PYTHONPATH = {json.dumps(str(ROOT))} }}"


def gateway(folder: Path, server: str, *, plain: bool = False, http: bool = False) -> Program:
    """Return how to start a gateway with one server; `folder` is its own. `plain`: with the server's own names."""
    root = folder / "root"
    root.mkdir(parents=True)
    config = folder / "gateway.toml"
    config.write_text(SETTINGS.format(server=server + ('\nnaming = "none"\nschemas = "own"' if plain else "")))
    argv = [sys.executable, *GATEWAY, "serve"]
    argv += ["--root", str(root), "--config", str(config)]
    argv += ["--transport", "http", "--no-login"] if http else []
    return Program(tuple(argv), environment(folder))


@contextmanager
def fixture_url(folder: Path) -> Iterator[str]:
    """Run the fixture over HTTP; yield its address."""
    argv = [sys.executable, *FIXTURE, "--port", "0"]
    with _running(Program(tuple(argv), environment(folder)), re.compile(r"^(\d+)$"), from_stdout=True) as port:
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def gateway_url(program: Program) -> Iterator[str]:
    """Run a gateway over HTTP; yield its address."""
    with _running(program, _ADDRESS, from_stdout=False) as url:
        yield url


@contextmanager
def _running(program: Program, announced: re.Pattern[str], *, from_stdout: bool) -> Iterator[str]:
    """Run a program and yield what it announces. It ends with the block."""
    process = subprocess.Popen(
        program.argv,
        env=program.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if from_stdout else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if from_stdout else subprocess.PIPE,
        text=True,
    )
    output = process.stdout if from_stdout else process.stderr
    assert output is not None
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    reader = threading.Thread(target=output.read, daemon=True)  # a full pipe would stop the program
    try:
        said: list[str] = []
        for line in output:
            said.append(line)
            if match := announced.search(line):
                break
        else:
            raise RuntimeError(f"{program.argv} did not start: {''.join(said)[-1000:]}")
        watchdog.cancel()
        reader.start()
        yield match[1]
    finally:
        watchdog.cancel()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if reader.ident is not None:
            reader.join()
        output.close()
