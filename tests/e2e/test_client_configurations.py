"""The configurations in docs/clients.md and docs/third-party-servers.md: each is started as its client would start it,
and answers with its tools.
"""

from __future__ import annotations

import json
import os
import re
import shlex
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

from lg_gateway.cli import main
from lg_gateway.clients.installing.entries import ROWS
from lg_gateway.clients.installing.places import PROJECT, USER, Machine
from lg_policy.config.loading import load_settings
from tests.support import require

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")
THIRD_PARTY = (ROOT / "docs" / "third-party-servers.md").read_text("utf-8")
TOOLS = {
    "lgfs": {"read_file", "list_files", "search_files", "apply_patch"},
    "lgexec": {"exec", "list_commands"},
    "lg": {"fs__read_file", "fs__search_files", "exec__exec"},
}
PRINTED = re.findall(
    r"^```console\n\$ lg-gateway (install [^\n]* --print)\n```\n\n```(?:json|toml|yaml)\n(.*?)^```$",
    PAGE,
    flags=re.MULTILINE | re.DOTALL,
)
"""Each command of the page that prints a text, and the text that the page has."""
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
    for section in re.split(r"^###? ", PAGE + THIRD_PARTY, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        for text in re.findall(r"^```json\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL):
            data = json.loads(text)
            table = data.get("servers") or data.get("context_servers") or data.get("mcpServers") or {}
            found += [(title, name, entry) for name, entry in table.items()]
    return found


OURS = [(title, name, entry) for title, name, entry in configurations() if "command" in entry and name in TOOLS]
NOT_FOR_THE_PROGRAM = {"type", "timeout", "tools"}
"""Keys that tell the client something, and change nothing about how it starts the program."""


def filled_in(text: str, project: Path) -> str:
    """Replace what the page says to replace, and what the clients replace."""
    programs = Path(sys.executable).parent
    text = text.replace("/path/to/lg-orchestration-platform/.venv/bin", str(programs))
    for name in ("/path/to/your/project", "${workspaceFolder}", "${CLAUDE_PROJECT_DIR:-.}"):
        text = text.replace(name, str(project))
    return text


def test_the_page_shows_the_text_for_the_clients_that_most_people_have() -> None:
    told = {title for title, name, _ in configurations() if name == "lg"}
    assert {"Claude Desktop", "Cursor", "VS Code", "Claude Code", "Over HTTP"} <= told
    assert {name for _, name, entry in configurations() if "command" in entry} == {*TOOLS, "time"}


@pytest.mark.parametrize(("command", "text"), PRINTED, ids=[command for command, _ in PRINTED])
def test_each_text_of_the_page_is_what_the_command_prints(
    command: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(project)
    assert main(command.split()) == 0
    printed = capsys.readouterr().out.replace(
        str(Path(sys.executable).parent), "/path/to/lg-orchestration-platform/.venv/bin"
    )
    assert printed.replace(str(project), "/path/to/your/project") == text


def test_the_table_of_the_page_names_every_client_and_its_files() -> None:
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\| .* \|$", PAGE, re.MULTILINE)
    ]
    table = {row[1].strip("`"): row for row in rows if len(row) == 4 and row[1].startswith("`")}
    assert {name: row[0] for name, row in table.items()} == {name: row.title for name, row in ROWS.items()}
    assert {name: row[3].strip("`") for name, row in table.items() if row[3]} == {
        name: files[0] for name, files in PROJECT.items()
    }
    linux = Machine(platform="linux", environ={}, home="~")
    shown = {name: row[2].strip("`") for name, row in table.items() if row[2].startswith("`~")}
    assert shown == {name: USER[name](linux).first for name in shown}
    assert len(shown) > 12


@pytest.mark.parametrize(("title", "name", "entry"), OURS, ids=[f"{title}-{name}" for title, name, _ in OURS])
async def test_a_client_that_follows_the_page_gets_the_tools(
    title: str, name: str, entry: dict[str, Any], tmp_path: Path
) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    (project / "hello.txt").write_text("hello\n")
    assert entry.keys() <= {"command", "args", "env"} | NOT_FOR_THE_PROGRAM
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
    assert set(settings.gateway.servers) == {"fs", "exec", "code", "time"}
    assert not settings.gateway.servers["time"].trusted
    assert tomllib.loads(text)["gateway"]["rules"][0]["effect"] == "allow"


def test_the_login_example_loads_and_names_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(next(text for text in blocks("toml") if "issuer" in text))
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

    def typed(line: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(line)
        argv = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
        return subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    listed = typed(tools)
    require("time is" not in listed.stderr, f"a package index within reach: {listed.stderr}")
    assert listed.returncode == 0, listed.stderr
    assert "time__get_current_time" in listed.stdout
    assert "fs__read_file" in listed.stdout
    (tmp_path / "impatient.toml").write_text("[approval]\nhold_s = 0\n")
    call += f" --config {tmp_path / 'impatient.toml'}"
    called = typed(call)
    assert "approval_required" in called.stdout + called.stderr, "an untrusted tool must not run unasked"
