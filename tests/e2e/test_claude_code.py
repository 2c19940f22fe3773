"""Claude Code itself reads what was installed for it, also in a sandbox, with `CLAUDE_CLI=/path/to/claude`.

In the sandbox it keeps its sessions in the real `~/.claude`, as it does for a person.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from lg_orch.testing import Scripted, ScriptedModel, calls, text
from tests.e2e.programs import lg_gateway


def test_claude_code_connects_to_what_was_installed(tmp_path: Path, project: Path, environ: dict[str, str]) -> None:
    claude = str(shutil.which(os.environ["CLAUDE_CLI"]))
    lg_gateway("install", "claude-code", cwd=project, environ=environ)

    def listed() -> str:
        argv = [claude, "mcp", "list"]
        done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "✔ Connected" in listed()
    lg_gateway("install", "claude-code", "--remove", cwd=project, environ=environ)
    kept = json.loads((tmp_path / "home" / ".claude.json").read_bytes())
    assert "firstStartTime" in kept, "Claude Code has written into its file meanwhile"
    assert not kept["mcpServers"]
    assert "lg-gateway" not in listed()


OWN_TOOLS = "cat .env; rm README.md; echo x > new.txt; curl -m 20 -sS http://name.example/; echo end"
STEPS = (
    calls(("Bash", {"command": OWN_TOOLS, "description": "try"})),
    calls(("Read", {"file_path": ".env"})),
    calls(("mcp__lg__fs__read_file", {"path": "kept.txt"})),
    text("all done"),
)


def results(request: dict[str, Any]) -> list[str]:
    blocks = (block for message in request["messages"] for block in message["content"] if isinstance(block, dict))
    return [json.dumps(block["content"]) for block in blocks if block.get("type") == "tool_result"]


def next_step(request: dict[str, Any]) -> Scripted:
    names = {tool["name"] for tool in request.get("tools", ())}
    return STEPS[len(results(request))] if "Bash" in names else text("a title")


def test_claude_code_in_a_sandbox_calls_tools_and_reaches_nothing_by_its_own(
    tmp_path: Path, project: Path, environ: dict[str, str]
) -> None:
    claude = str(shutil.which(os.environ["CLAUDE_CLI"]))
    (project / ".env").write_text("SECRET=hunter2")
    (project / "kept.txt").write_text("as it was")
    before = sorted(os.listdir(project))
    state = tmp_path / "state"
    home = state / "clients" / Path(claude).name / "home"
    home.mkdir(parents=True)
    lg_gateway("install", "claude-code", cwd=project, environ=environ | {"HOME": str(home)})

    def confined(*words: str, **env: str) -> str:
        argv = [sys.executable, "-P", "-m", "lg_gateway", "confine", "--root", ".", "--state-dir", str(state)]
        argv += [*(["--network", env["ANTHROPIC_BASE_URL"].removeprefix("http://")] if env else []), "--", claude]
        done = subprocess.run(
            [*argv, *words], cwd=project, env=os.environ | env, capture_output=True, text=True, timeout=300,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "✔ Connected" in confined("mcp", "list")
    with ScriptedModel(next_step) as model:
        key = {"ANTHROPIC_BASE_URL": model.url_for("anthropic"), "ANTHROPIC_API_KEY": "sk-ant-test"}
        said = confined("-p", "go", "--allowedTools", "Bash", "Read", STEPS[2].calls[0][0], **key)
    assert "all done" in said
    found = next(results(request) for request in reversed(model.requests) if len(results(request)) == 3)
    assert "hunter2" not in json.dumps(model.requests)
    assert "Read-only file system" in found[0]
    assert "is not a host that it may reach" in found[0]
    assert "as it was" in found[2]
    assert sorted(os.listdir(project)) == before
