"""Other people's servers behind the gateway, beside ours, in both protocol eras."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.programs import run

pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.fixture
def config(tmp_path: Path, time_server: str, everything_server: str) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[approval]\nhold_s = 0\n[gateway]\nlist_wait_s = 90\n[gateway.servers.fs]\nbuiltin = "fs"\n'
        f"[gateway.servers.time]\ncommand = {json.dumps(time_server)}\n"
        f'[gateway.servers.everything]\ncommand = "node"\nargs = [{json.dumps(everything_server)}]\n'
        '[[gateway.rules]]\ntools = ["time__get_current_time"]\neffect = "allow"\n'
        'when = { properties = { timezone = { const = "UTC" } } }\n'
        '[[gateway.rules]]\ntools = ["everything__echo"]\neffect = "allow"\n'
    )
    return path


def call(project: Path, config: Path, tool: str, arguments: dict[str, object]) -> tuple[int, str]:
    done = run("lg-gateway", "call", tool, json.dumps(arguments), "--config", str(config), cwd=project)
    return done.returncode, done.stdout + done.stderr


def test_their_tools_are_listed_beside_ours(project: Path, config: Path) -> None:
    done = run("lg-gateway", "tools", "--config", str(config), cwd=project)
    assert done.returncode == 0, done.stderr
    for tool in ("fs__read_file", "time__get_current_time", "time__convert_time", "everything__echo"):
        assert tool in done.stdout


def test_a_rule_allows_the_call_it_describes_and_everything_else_needs_a_human(project: Path, config: Path) -> None:
    status, out = call(project, config, "time__get_current_time", {"timezone": "UTC"})
    assert status == 0, out
    assert "UTC" in out
    status, out = call(project, config, "time__get_current_time", {"timezone": "Europe/Berlin"})
    assert status != 0
    assert "approval_required" in out
    status, out = call(project, config, "everything__echo", {"message": "tide"})
    assert status == 0, out
    assert "tide" in out
    listed = run("lg-gateway", "audit", "list", cwd=project)
    assert "time__get_current_time" in listed.stdout
    assert run("lg-gateway", "audit", "verify", cwd=project).returncode == 0


def test_the_main_job_runs_with_third_party_servers_in_the_mix(project: Path, config: Path) -> None:
    done = run("lg-orch", "run", "summarize repo", "--config", str(config), "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "Tidal" in json.loads(done.stdout)["text"]
    connected = next(json.loads(line) for line in done.stderr.splitlines() if '"connected"' in line)
    assert "time__get_current_time" in connected["data"]["tools"]


def test_an_mcpservers_file_works_as_it_is(project: Path, tmp_path: Path, time_server: str) -> None:
    servers = tmp_path / "mcp.json"
    servers.write_text(json.dumps({"mcpServers": {"clock": {"command": time_server, "args": []}}}))
    done = run("lg-gateway", "tools", "--mcp-json", str(servers), cwd=project)
    assert done.returncode == 0, done.stderr
    assert "clock__get_current_time" in done.stdout
