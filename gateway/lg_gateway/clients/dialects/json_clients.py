"""Clients whose files are JSON with a table `mcpServers` or `servers`, in the words that most share."""

from __future__ import annotations

from lg_gateway.clients.dialects.shared import ClientRow, Raw, Reading, common, drop, first
from lg_gateway.clients.entry import UnusableEntry
from lg_gateway.clients.placeholders import Syntaxes


def _cline(entry: Raw, reading: Reading) -> Raw:
    """Cline writes the transport flat or in a table of its own; `http` was once its word for Streamable HTTP."""
    transport = entry.pop("transport", None)
    if isinstance(transport, dict):
        entry |= transport
    elif transport is not None:
        entry.setdefault("type", transport)
    old = entry.pop("transportType", None)
    if old is not None:
        entry.setdefault("type", old)
    return common(entry, reading)


def _roo(entry: Raw, reading: Reading) -> Raw:
    if entry.get("url") is not None and entry.get("type") is None:
        raise UnusableEntry("url needs a type: sse or streamable-http")
    return common(entry, reading)


def _vscode(entry: Raw, reading: Reading) -> Raw:
    url = entry.get("url")
    if isinstance(url, str) and url.startswith(("unix:", "pipe:")):
        raise UnusableEntry("url names a socket or a pipe, which the gateway does not connect to")
    return common(entry, reading)


def _copilot(entry: Raw, reading: Reading) -> Raw:
    drop(entry, ("source", "isDefaultServer"))
    return common(entry, reading)


def _junie(entry: Raw, reading: Reading) -> Raw:
    entry["url"] = first(entry, "url", "serverUrl")
    return common(entry, reading)


_GEMINI_KEYS = ("command", "args", "cwd", "url", "headers")

ROWS = (
    ClientRow(name="claude-desktop", title="Claude Desktop", unit="ms"),
    ClientRow(name="claude-code", title="Claude Code", unit="ms"),
    ClientRow(name="cursor", title="Cursor", untyped_url="auto"),
    ClientRow(name="lmstudio", title="LM Studio", untyped_url="auto"),
    ClientRow(name="junie", title="Junie", adapt=_junie, untyped_url="auto"),
    ClientRow(
        name="vscode", title="VS Code", tables=(("servers",), ("mcp", "servers")), adapt=_vscode, untyped_url="auto"
    ),
    ClientRow(name="windsurf", title="Windsurf", syntaxes=Syntaxes(files=True), untyped_url="auto"),
    ClientRow(name="cline", title="Cline", adapt=_cline, unit="s", longest_s=3600, untyped_url="sse"),
    ClientRow(name="roo", title="Roo Code", adapt=_roo, unit="s", longest_s=3600),
    ClientRow(name="kiro", title="Kiro", untyped_url="auto"),
    ClientRow(name="amazon-q", title="Amazon Q", syntaxes=Syntaxes(plain=("command",)), unit="ms"),
    ClientRow(
        name="gemini-cli",
        title="Gemini CLI",
        syntaxes=Syntaxes(plain=(*_GEMINI_KEYS, "env", "env_file"), empty_in=("env",)),
        unit="ms",
        untyped_url="auto",
    ),
    ClientRow(
        name="copilot-cli",
        title="Copilot CLI",
        adapt=_copilot,
        syntaxes=Syntaxes(plain=("env", "headers")),
        unit="ms",
        untyped_url="auto",
    ),
)
