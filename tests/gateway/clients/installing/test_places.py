"""Where each client keeps its servers, on three systems. The three are computed here on one."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from lg_gateway.clients.installing.entries import ROWS
from lg_gateway.clients.installing.places import PROJECT, USER, Machine
from lg_gateway.clients.recognition import CLIENTS, recognise

LINUX = Machine(platform="linux", environ={}, home="/home/me")
MAC = Machine(platform="darwin", environ={}, home="/Users/me")
WINDOWS = Machine(
    platform="win32",
    environ={"APPDATA": "C:\\Users\\me\\AppData\\Roaming", "LOCALAPPDATA": "C:\\Users\\me\\AppData\\Local"},
    home="C:\\Users\\me",
)

SUPPORT = "Library/Application Support"
ROAMING = "AppData/Roaming"
ROO = "Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"
PLACES = {
    "claude-desktop": (
        ".config/Claude/claude_desktop_config.json",
        f"{SUPPORT}/Claude/claude_desktop_config.json",
        f"{ROAMING}/Claude/claude_desktop_config.json",
    ),
    "claude-code": (".claude.json",) * 3,
    "cursor": (".cursor/mcp.json",) * 3,
    "vscode": (".config/Code/User/mcp.json", f"{SUPPORT}/Code/User/mcp.json", f"{ROAMING}/Code/User/mcp.json"),
    "cline": (".cline/data/settings/cline_mcp_settings.json",) * 3,
    "roo": (f".config/{ROO}", f"{SUPPORT}/{ROO}", f"{ROAMING}/{ROO}"),
    "kiro": (".kiro/settings/mcp.json",) * 3,
    "zed": (".config/zed/settings.json", ".config/zed/settings.json", f"{ROAMING}/Zed/settings.json"),
    "windsurf": (".codeium/windsurf/mcp_config.json",) * 3,
    "continue": (".continue/mcpServers/lg.json",) * 3,
    "gemini-cli": (".gemini/settings.json",) * 3,
    "codex": (".codex/config.toml",) * 3,
    "goose": (
        ".config/goose/config.yaml",
        ".config/goose/config.yaml",
        f"{ROAMING}/Block/goose/config/config.yaml",
    ),
    "opencode": (".config/opencode/opencode.json",) * 3,
    "amazon-q": (".aws/amazonq/mcp.json",) * 3,
    "copilot-cli": (".copilot/mcp-config.json",) * 3,
    "lmstudio": (".lmstudio/mcp.json",) * 3,
    "junie": (".junie/mcp/mcp.json",) * 3,
}


def test_every_client_has_a_place_and_an_entry_and_is_read_again() -> None:
    assert USER.keys() == ROWS.keys() == PLACES.keys()
    assert PROJECT.keys() <= ROWS.keys() <= CLIENTS.keys()


@pytest.mark.parametrize("client", PLACES)
@pytest.mark.parametrize(("machine", "column"), [(LINUX, 0), (MAC, 1), (WINDOWS, 2)], ids=["linux", "mac", "windows"])
def test_the_file_of_a_user_is_where_the_client_looks_for_it(client: str, machine: Machine, column: int) -> None:
    assert machine.path(USER[client](machine).first) == machine.path(machine.home) / PLACES[client][column]


@pytest.mark.parametrize("machine", [LINUX, MAC, WINDOWS], ids=["linux", "mac", "windows"])
@pytest.mark.parametrize("client", PLACES)
def test_the_client_is_recognised_by_the_place_that_we_write_to(client: str, machine: Machine) -> None:
    content: object = {"x": {"command": "a", "cmd": "a"}}
    for step in reversed(ROWS[client].table):
        content = {step: content}
    assert recognise(machine.path(USER[client](machine).first), content).name == client


@pytest.mark.parametrize(
    ("client", "variable", "value", "path"),
    [
        ("claude-desktop", "XDG_CONFIG_HOME", "/x", "/x/Claude/claude_desktop_config.json"),
        ("claude-code", "CLAUDE_CONFIG_DIR", "/x", "/x/.claude.json"),
        ("cline", "CLINE_DIR", "/x", "/x/data/settings/cline_mcp_settings.json"),
        ("cline", "CLINE_DATA_DIR", "/x", "/x/settings/cline_mcp_settings.json"),
        ("codex", "CODEX_HOME", "/x", "/x/config.toml"),
        ("opencode", "OPENCODE_CONFIG", "/x/o.json", "/x/o.json"),
        ("copilot-cli", "COPILOT_HOME", "/x", "/x/mcp-config.json"),
    ],
)
def test_a_variable_of_the_client_moves_its_file(client: str, variable: str, value: str, path: str) -> None:
    machine = Machine(platform="linux", environ={variable: value}, home="/home/me")
    assert PurePosixPath(USER[client](machine).first) == PurePosixPath(path)


def test_claude_desktop_from_the_store_of_windows_has_another_file() -> None:
    (packaged,) = USER["claude-desktop"](WINDOWS).others
    expected = "AppData/Local/Packages/Claude_*/LocalCache/Roaming/Claude/claude_desktop_config.json"
    assert PureWindowsPath(packaged) == PureWindowsPath(WINDOWS.home) / expected
