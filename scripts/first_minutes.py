"""Try the first five minutes with five servers of others, and print what they cost: steps, questions, seconds.

Opt-in: it installs packages from PyPI and npm below a directory that you name, and uses a home directory there.

    .venv/bin/python scripts/first_minutes.py /tmp/five
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

PYPI = ("mcp-server-time", "mcp-server-git", "mcp-server-fetch")
NPM = ("@modelcontextprotocol/server-everything", "@modelcontextprotocol/server-filesystem")
NEEDED = ("PATH", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE")


def install(work: Path) -> dict[str, dict[str, Any]]:
    """Install the servers; return their entries as a client has them."""
    python, npm = work / "py" / "bin", work / "npm" / "node_modules" / "@modelcontextprotocol"
    if not (python / "mcp-server-time").exists():
        subprocess.run([sys.executable, "-m", "venv", str(work / "py")], check=True)
        subprocess.run([str(python / "pip"), "install", "-q", *PYPI], check=True)
    if not (npm / "server-filesystem").exists():
        subprocess.run(
            [str(shutil.which("npm")), "install", "--silent", "--prefix", str(work / "npm"), *NPM], check=True
        )
    project, node = work / "project", str(shutil.which("node"))
    everything, files = (npm / f"server-{name}" / "dist" / "index.js" for name in ("everything", "filesystem"))
    return {
        "time": {"command": str(python / "mcp-server-time")},
        "git": {"command": str(python / "mcp-server-git"), "args": ["--repository", str(project)]},
        "fetch": {"command": str(python / "mcp-server-fetch")},
        "everything": {"command": node, "args": [str(everything)]},
        "filesystem": {"command": node, "args": [str(files), str(project)]},
    }


def gateway(environ: dict[str, str], project: Path, *words: str) -> str:
    """Run a command of the gateway."""
    argv = [sys.executable, "-P", "-m", "lg_gateway", *words]
    done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return done.stdout


async def use(server: StdioServerParameters, decision: str) -> tuple[int, int, int]:
    """Call every tool that says it only reads twice; return calls, answers and questions."""
    asked: list[str] = []

    async def answer(_context: Any, params: Any) -> t.ElicitResult:
        asked.append(params.message)
        choices = params.requested_schema["properties"].get("decision", {}).get("enum", [])
        return t.ElicitResult(action="accept", content={"decision": decision if decision in choices else "once"})

    callback: Any = answer
    calls = answers = 0
    async with Client(stdio_client(server), elicitation_callback=callback) as client:
        tools = (await client.list_tools()).tools
        for tool in tools:
            own = (tool.meta or {}).get("lg/server")
            needs = tool.input_schema.get("required") or ()
            reads = tool.annotations is not None and tool.annotations.read_only_hint
            if own in (None, "fs", "exec") or not reads or any(name not in ("path", "repo_path") for name in needs):
                continue
            for _ in range(2):
                given = dict.fromkeys(needs, str(Path(server.cwd or ".")))
                result = await client.call_tool(tool.name, given)
                calls, answers = calls + 1, answers + (not result.is_error)
    return calls, answers, len(asked)


def main() -> None:
    """Install, use, take back, and print the figures."""
    work = Path(sys.argv[1]).absolute()
    home, project = work / "home", work / "project"
    shutil.rmtree(home, ignore_errors=True)
    project.mkdir(parents=True, exist_ok=True)
    (project / "README.md").write_text("# Example\n")
    if not (project / ".git").exists():
        subprocess.run([str(shutil.which("git")), "init", "-q", str(project)], check=True)
    entries = install(work)
    file = home / ".cursor" / "mcp.json"
    file.parent.mkdir(parents=True)
    before = json.dumps({"mcpServers": entries}, indent=4).encode()
    file.write_bytes(before)
    environ = {"HOME": str(home)} | {name: os.environ[name] for name in NEEDED if name in os.environ}
    began = time.monotonic()
    said = gateway(environ, project, "init", "--yes")
    print(f"init: {time.monotonic() - began:.1f} s; {next(line for line in said.splitlines() if 'starts' in line)}")
    (entry,) = json.loads(file.read_bytes())["mcpServers"].values()
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=environ, cwd=project)
    for decision in ("once", "reads"):
        calls, answers, asked = anyio.run(use, server, decision)
        print(f"answering {decision!r}: {calls} calls, {answers} answered without error, {asked} questions")
    print("steps: 1 command and 1 yes; to take it back: 1 command")
    gateway(environ, project, "install", "cursor", "--remove")
    same = file.read_bytes() == before and not (home / ".config" / "lg" / "config.toml").exists()
    print("taken back, byte for byte" if same else "NOT as it was before")


if __name__ == "__main__":
    main()
