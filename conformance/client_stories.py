"""From each client's own file with five published servers to answered calls, and back byte for byte.

`python -m conformance.client_stories --folder DIR` uses the servers that `conformance.third_parties` installs. For
each client it writes the file that the client itself would have, in a home directory of its own; runs
`lg-gateway init`; starts what the client would then start; calls a tool of each server; and takes it back. A row says
how many commands a person types, and how often a person is asked before and after "all reading tools of this server".
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, TextIO

import anyio
import mcp_types as t
import yaml
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from conformance.third_parties import SERVERS, Server, installed
from lg_gateway.clients.formats.json_comments import parse_json
from lg_gateway.clients.installing.entries import ROWS, Launch
from lg_gateway.clients.installing.places import USER, Machine
from lg_gateway.commands.clients.install import snippet

CALLED = tuple(server for server in SERVERS if server.calls and "thinking" not in server.package)
"""The five servers: everything, filesystem, memory, git, time."""
APART = "continue"
"""Keeps each server in a file of its own, so that `init` moves none; its servers are imported."""
ANSWER_S = 240


def main() -> int:
    """Tell the story of all clients, or of one; return 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where packages are, or are installed")
    parser.add_argument("--only", choices=sorted(ROWS), help="one client")
    args = parser.parse_args()
    programs = {server.package: installed(server.package, args.folder, npm=server.npm) for server in CALLED}
    print("| client | commands typed | calls answered | questions before, after | back |\n|---|---|---|---|---|")
    failed = False
    for client in [args.only] if args.only else sorted(ROWS):
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(anyio.run(_story, client, Path(os.path.realpath(folder)), programs), flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError, BaseExceptionGroup) as error:
                failed = True
                print(f"| `{client}` | failed: {str(error)[:300]!r} | | | |", flush=True)
    return int(failed)


async def _story(client: str, folder: Path, programs: dict[str, Path]) -> str:
    home, project = folder / "home", folder / "project"
    (project / "notes").mkdir(parents=True)
    await anyio.run_process(["git", "init", "-q", str(project)])
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    launches = [_launch(server, programs[server.package], project) for server in CALLED]
    file = Path(USER[client](Machine(platform="linux", environ=environ, home=str(home))).first)
    theirs = file.with_name("servers.json") if client == APART else file
    theirs.parent.mkdir(parents=True)
    theirs.write_text(snippet(ROWS[client], launches) + "\n", "utf-8")
    before = theirs.read_bytes()
    commands = [["init", "--yes", "--clients", client]]
    if client == APART:
        commands.insert(0, ["import", str(theirs), "--yes"])
    for words in commands:
        _gateway(words, project, environ)
    asked = [0, 0]
    answers = await _calls(_entry(client, file), environ, project, [launch.name for launch in launches], asked)
    _gateway(["install", client, "--remove"], project, environ)
    _assert_as_before(theirs, before, file)
    return f"| `{client}` | {len(commands)} | {answers} | {asked[0]}, {asked[1]} | byte for byte |"


def _assert_as_before(theirs: Path, before: bytes, file: Path) -> None:
    assert theirs.read_bytes() == before, "the file is not as it was"
    assert file == theirs or not file.exists(), "our own file is still there"


def _launch(server: Server, programs: Path, project: Path) -> Launch:
    name = server.program.replace("mcp-server-", "")
    args = tuple(arg.format(folder=project) for arg in server.args)
    return Launch(command=str(programs / server.program), args=args, env={}, name=name)


def _gateway(words: list[str], project: Path, environ: dict[str, str]) -> None:
    argv = [sys.executable, "-P", "-m", "lg_gateway", *words]
    done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    assert done.returncode == 0, f"lg-gateway {' '.join(words)}: {done.stderr or done.stdout}"


def _entry(client: str, file: Path) -> list[str]:
    """Return the command that the client starts now, as its file has it."""
    row, text = ROWS[client], file.read_text("utf-8")
    table: Any = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": parse_json}[row.format](text)
    for step in row.table:
        table = table[step]
    if isinstance(table, list):
        (entry,) = table
    else:
        assert list(table) == ["lg"], f"beside the gateway there are {', '.join(table)}"
        entry = table["lg"]
    command = entry.get("command", entry.get("cmd"))
    return list(command) if isinstance(command, list) else [command, *entry.get("args", ())]


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


async def _calls(argv: list[str], environ: dict[str, str], project: Path, names: list[str], asked: list[int]) -> int:
    """Make each call three times, answering each question once, and then "all reading tools"; count both."""
    decisions = ("once", "reads")
    turn = 0

    async def answer(_context: Any, params: Any) -> t.ElicitResult:
        asked[turn] += 1
        choices = params.requested_schema["properties"]["decision"]["enum"]
        wanted = decisions[turn] if decisions[turn] in choices else "tool" if turn and "tool" in choices else "once"
        return t.ElicitResult(action="accept", content={"decision": wanted})

    callback: Any = answer
    server = StdioServerParameters(command=argv[0], args=argv[1:], env=environ, cwd=project)
    answered = 0
    with anyio.fail_after(ANSWER_S):
        async with Client(stdio_client(server, errlog=_nowhere()), elicitation_callback=callback) as found:
            listed: set[str] = set()
            while not all(any(tool.startswith(f"{name}__") for tool in listed) for name in names):
                listed = {tool.name for tool in (await found.list_tools()).tools}
                await anyio.sleep(0.5)
            for turn in range(len(decisions)):  # noqa: B007  the callback reads it
                for _ in range(3):
                    for name, published in zip(names, CALLED, strict=True):
                        for tool, given in published.calls:
                            arguments = json.loads(json.dumps(given).replace("{folder}", str(project)))
                            result = await found.call_tool(f"{name}__{tool}", arguments)
                            assert not result.is_error, f"{name}__{tool}: {result.content}"
                            answered += 1
    return answered


if __name__ == "__main__":
    sys.exit(main())
