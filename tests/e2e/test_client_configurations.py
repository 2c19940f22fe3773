"""The configurations in docs/clients.md and docs/third-party-servers.md: each is started as its client would start it,
and answers with its tools.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from lg_policy.config.loading import load_settings
from tests.support import require

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")
THIRD_PARTY = (ROOT / "docs" / "third-party-servers.md").read_text("utf-8")
TOOLS = {
    "lg-fs": {"read_file", "list_files", "search_files", "apply_patch"},
    "lg-exec": {"exec", "list_commands"},
    "lg-gateway": {"fs__read_file", "fs__search_files", "exec__exec"},
}
# What a machine behind a proxy or a mirror needs; a server gets it only if its entry names it, as the page says.
REACHING_AN_INDEX = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
)


def blocks(language: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def configurations() -> list[tuple[str, str, dict[str, Any]]]:
    """Every server entry of the two pages: the section it stands in, its name, its settings."""
    found = []
    for section in re.split(r"^## ", PAGE + THIRD_PARTY, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        for text in re.findall(r"^```json\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL):
            data = json.loads(text)
            table = data.get("servers") or data["mcpServers"]
            found += [(title, name, entry) for name, entry in table.items()]
    return found


OURS = [(title, name, entry) for title, name, entry in configurations() if "command" in entry and name in TOOLS]


def filled_in(text: str, project: Path) -> str:
    """Replace what the page says to replace, and what the clients replace."""
    programs = Path(sys.executable).parent
    text = text.replace("/path/to/lg-orchestration-platform/.venv/bin", str(programs))
    for name in ("/path/to/your/project", "${workspaceFolder}", "${CLAUDE_PROJECT_DIR:-.}"):
        text = text.replace(name, str(project))
    return text


def test_every_client_named_in_the_page_has_a_configuration_of_the_gateway() -> None:
    told = {title for title, name, _ in configurations() if name == "lg-gateway"}
    assert told == {"Claude Desktop", "Cursor", "VS Code", "Claude Code", "Over HTTP"}


def test_the_servers_alone_are_configured_where_the_page_says_and_no_other_entry_goes_untried() -> None:
    for server in ("lg-fs", "lg-exec"):
        assert {title for title, name, _ in configurations() if name == server} == {"Claude Desktop", "VS Code"}
    assert {name for _, name, entry in configurations() if "command" in entry} == {*TOOLS, "time"}


@pytest.mark.parametrize(("title", "name", "entry"), OURS, ids=[f"{title}-{name}" for title, name, _ in OURS])
async def test_a_client_that_follows_the_page_gets_the_tools(
    title: str, name: str, entry: dict[str, Any], tmp_path: Path
) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    (project / "hello.txt").write_text("hello\n")
    assert entry.keys() <= {"type", "command", "args", "env"}
    environ = {key: os.environ[key] for key in ("HOME", "PATH", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    server = StdioServerParameters(
        command=filled_in(entry["command"], project),
        args=[filled_in(argument, project) for argument in entry["args"]],
        env=environ,
        cwd=tmp_path,
    )
    with anyio.fail_after(60):
        async with Client(stdio_client(server)) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
    assert TOOLS[name] <= names


def test_the_settings_example_loads_and_says_what_the_page_says(tmp_path: Path) -> None:
    text = blocks("toml", THIRD_PARTY)[0]
    path = tmp_path / "config.toml"
    path.write_text(text)
    settings = load_settings(config=path, environ={"HOME": str(tmp_path)}).settings
    assert set(settings.gateway.servers) == {"fs", "exec", "time"}
    assert not settings.gateway.servers["time"].trusted
    assert tomllib.loads(text)["gateway"]["rules"][0]["effect"] == "allow"


def test_the_login_example_loads_and_names_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(blocks("toml")[0])
    http = load_settings(config=path, environ={"HOME": str(tmp_path)}).settings.gateway.http
    assert http.oauth is not None
    assert (http.oauth.issuer, http.oauth.audience) == ("https://login.example.com", "")
    assert http.login == "required"


def test_the_third_party_example_lists_and_calls_through_the_gateway(tmp_path: Path) -> None:
    uv = shutil.which("uvx") or next(iter(Path(sys.executable).parent.glob("uvx")), None)
    require(uv is not None, "uvx")
    (tmp_path / "project").mkdir()
    entry = next(entry for title, name, entry in configurations() if name == "time")
    passed = {name: f"${{{name}}}" for name in REACHING_AN_INDEX if name in os.environ}
    mcp_json = tmp_path / "mcp.json"
    mcp_json.write_text(json.dumps({"mcpServers": {"time": entry | {"env": passed}}}))
    shell = next(text for text in blocks("sh", THIRD_PARTY) if text.startswith("lg-gateway tools"))
    tools, call = (
        line.replace("/path/to/your/project", str(tmp_path / "project")).replace("/path/to/mcp.json", str(mcp_json))
        for line in shell.splitlines()
    )
    kept = {name: text for name, text in os.environ.items() if name != "XDG_CACHE_HOME"}
    environ = kept | {"PATH": f"{Path(sys.executable).parent}:{Path(str(uv)).parent}:{os.environ['PATH']}"}
    listed = subprocess.run(tools, shell=True, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    require("time is" not in listed.stderr, f"a package index within reach: {listed.stderr}")
    assert listed.returncode == 0, listed.stderr
    assert "time__get_current_time" in listed.stdout
    assert "fs__read_file" in listed.stdout
    (tmp_path / "impatient.toml").write_text("[approval]\nhold_s = 0\n")
    call += f" --config {tmp_path / 'impatient.toml'}"
    called = subprocess.run(call, shell=True, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "approval_required" in called.stdout + called.stderr, "an untrusted tool must not run unasked"
