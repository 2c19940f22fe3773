"""A LangGraph agent on langchain-mcp-adapters and the SDK of the 2025 era, as docs/langchain-mcp-adapters.md shows."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.e2e import adapters
from tests.e2e.programs import TIMEOUT_S, program, run, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = ("fs__read_file", {"path": "README.md"})


def retitle(title: str) -> tuple[str, dict[str, Any]]:
    patch = f"README.md\n<<<<<<< SEARCH\n# Tidal\n=======\n# {title}\n>>>>>>> REPLACE\n"
    return "fs__apply_patch", {"patch": patch}


@contextmanager
def connected(transport: str, root: Path) -> Iterator[dict[str, Any]]:
    """The page's connection, with the paths, the address and the token of this machine."""
    connection = adapters.connection(transport)
    if transport == "stdio":
        environ = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "XDG_"))}
        arguments = ["serve", "--root", str(root)]
        yield {**connection, "command": program("lg-gateway"), "args": arguments, "env": environ}
        return
    made = run("lg-gateway", "tokens", "create", "agent", "--root", str(root), cwd=root.parent)
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    with serving("lg-gateway", "serve", "--root", str(root), cwd=root.parent) as url:
        headers = {name: value.replace("TOKEN", token) for name, value in connection["headers"].items()}
        yield {**connection, "url": url, "headers": headers}


def agent(
    python: str, folder: Path, model: ScriptedModel, connection: dict[str, Any], typed: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-P", str(folder / "agent.py"), json.dumps(connection), "change the title"],
        cwd=folder,
        env={**os.environ, "MODEL": "scripted", "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-none"},
        input=typed,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


@pytest.mark.parametrize("transport", ["stdio", "streamable_http"])
def test_an_agent_reads_is_refused_a_change_and_makes_the_one_its_user_approves(
    adapters_python: str, project: Path, tmp_path: Path, transport: str
) -> None:
    (tmp_path / "agent.py").write_text(adapters.program())
    script = [calls(READ), calls(retitle("Storms")), calls(retitle("Waves")), text("That is all.")]
    with ScriptedModel(script) as model, connected(transport, project) as to:
        ended = agent(adapters_python, tmp_path, model, to, "deny\nonce\n")
    assert ended.returncode == 0, ended.stderr
    assert "+# Storms" in ended.stdout, "the question shows what would be changed"
    assert "That is all." in ended.stdout
    results = [request["messages"][-1]["content"] for request in model.requests[1:]]
    assert ["Tidal computes tides" in str(results[0]), "approval_denied" in str(results[1])] == [True, True]
    assert "approval" not in str(results[2])
    assert (project / "README.md").read_text().startswith("# Waves\n")


def test_without_the_callback_the_agent_is_told_which_question_waits(
    adapters_python: str, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "agent.py").write_text(adapters.program().replace("callbacks=Callbacks(on_elicitation=ask)", ""))
    settings = tmp_path / "settings.toml"
    settings.write_text("[approval]\nhold_s = 0.5\n")
    with (
        ScriptedModel([calls(retitle("Waves")), text("Somebody must say yes.")]) as model,
        connected("stdio", project) as to,
    ):
        to["args"] += ["--config", str(settings)]
        ended = agent(adapters_python, tmp_path, model, to)
    assert ended.returncode == 0, ended.stderr
    told = json.dumps(model.requests[1]["messages"][-1])
    assert "approval_required" in told
    assert "ap-" in told
    assert (project / "README.md").read_text().startswith("# Tidal\n")
