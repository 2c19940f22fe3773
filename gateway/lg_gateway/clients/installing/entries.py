"""What stands in each client's file for a server of ours: its shape, its keys, its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CALL_S = 900
"""Seconds for one call, where a client's file has a time-out: a person may have to answer first."""
START_S = 60
NAMES = {"gateway": "lg", "fs": "lgfs", "exec": "lgexec", "code": "lgcode"}
"""The name of each of our servers in a client's file: letters only, as the strictest client wants."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a client starts a server of ours."""

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    name: str

    def plain(self, **more: Any) -> dict[str, Any]:
        """Return the keys that most clients have, and some more."""
        env = {"env": dict(self.env)} if self.env else {}
        return {"command": self.command, "args": list(self.args), **env, **more}


@dataclass(frozen=True, kw_only=True)
class InstallRow:
    """One client that an entry of ours can be put into."""

    title: str
    table: tuple[str, ...] = ("mcpServers",)
    format: str = "json"
    strict: bool = False
    """The client reads no comments: one in its file loses it the whole file."""
    entry: Callable[[Launch], dict[str, Any]] = Launch.plain
    folder: str = ""
    """What the client replaces by the project's folder, in a file of the project."""
    then: str = "Restart it."
    """What a person does next."""


def _typed(launch: Launch) -> dict[str, Any]:
    return {"type": "stdio", **launch.plain()}


def _seconds(launch: Launch) -> dict[str, Any]:
    return launch.plain(timeout=CALL_S)


def _milliseconds(launch: Launch) -> dict[str, Any]:
    return launch.plain(timeout=CALL_S * 1000)


def _copilot(launch: Launch) -> dict[str, Any]:
    return {"type": "local", **launch.plain(tools=["*"], timeout=CALL_S * 1000)}


def _continue(launch: Launch) -> dict[str, Any]:
    return {"type": "stdio", **launch.plain(connectionTimeout=START_S * 1000)}


def _codex(launch: Launch) -> dict[str, Any]:
    return launch.plain(startup_timeout_sec=START_S, tool_timeout_sec=CALL_S)


def _goose(launch: Launch) -> dict[str, Any]:
    return {
        "enabled": True,
        "type": "stdio",
        "name": launch.name,
        "cmd": launch.command,
        "args": list(launch.args),
        "envs": dict(launch.env),
        "timeout": CALL_S,
    }


def _opencode(launch: Launch) -> dict[str, Any]:
    env = {"environment": dict(launch.env)} if launch.env else {}
    command = [launch.command, *launch.args]
    return {"type": "local", "command": command, **env, "enabled": True, "timeout": START_S * 1000}


ROWS: Mapping[str, InstallRow] = {
    "claude-desktop": InstallRow(title="Claude Desktop", strict=True, then="Restart Claude Desktop."),
    "claude-code": InstallRow(
        title="Claude Code",
        strict=True,
        entry=_typed,
        folder="${CLAUDE_PROJECT_DIR:-.}",
        then="`claude mcp list` shows it.",
    ),
    "cursor": InstallRow(
        title="Cursor", entry=_typed, folder="${workspaceFolder}", then="Switch it on in Cursor's settings."
    ),
    "vscode": InstallRow(
        title="VS Code",
        table=("servers",),
        entry=_typed,
        folder="${workspaceFolder}",
        then="VS Code asks whether you trust it.",
    ),
    "cline": InstallRow(title="Cline", strict=True, entry=_seconds, then="Cline reads the file again by itself."),
    "roo": InstallRow(title="Roo Code", strict=True, entry=_seconds, then="Roo Code reads the file again by itself."),
    "kiro": InstallRow(title="Kiro"),
    "zed": InstallRow(
        title="Zed", table=("context_servers",), entry=_seconds, then="Zed reads the file again by itself."
    ),
    "windsurf": InstallRow(title="Windsurf", then="Refresh the list of servers in Windsurf."),
    "continue": InstallRow(title="Continue", entry=_continue),
    "gemini-cli": InstallRow(title="Gemini CLI", entry=_milliseconds, then="`/mcp` in Gemini CLI shows it."),
    "codex": InstallRow(title="Codex", table=("mcp_servers",), format="toml", entry=_codex),
    "goose": InstallRow(title="Goose", table=("extensions",), format="yaml", entry=_goose),
    "opencode": InstallRow(title="opencode", table=("mcp",), entry=_opencode),
    "amazon-q": InstallRow(title="Amazon Q", entry=_milliseconds),
    "copilot-cli": InstallRow(title="Copilot CLI", entry=_copilot),
    "lmstudio": InstallRow(title="LM Studio"),
    "junie": InstallRow(title="Junie"),
}
"""Every client, by its name on the command line."""
