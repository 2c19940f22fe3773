"""Finds out which client wrote a file: by its path, else by what only that client writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from lg_gateway.clients.dialects import json_clients, own_shapes
from lg_gateway.clients.dialects.shared import ClientRow

CLIENTS: Mapping[str, ClientRow] = {row.name: row for row in (*json_clients.ROWS, *own_shapes.ROWS)}
"""Every client whose files are read, by its name on the command line."""

_PATHS = (
    ("claude_desktop_config.json", "claude-desktop"),
    (".claude.json", "claude-code"),
    (".cursor/mcp.json", "cursor"),
    (".vscode/mcp.json", "vscode"),
    ("Code/User/mcp.json", "vscode"),
    (".vscode/settings.json", "vscode"),
    ("Code/User/settings.json", "vscode"),
    ("cline_mcp_settings.json", "cline"),
    ("rooveterinaryinc.roo-cline/settings/mcp_settings.json", "roo"),
    (".roo/mcp.json", "roo"),
    (".kiro/settings/mcp.json", "kiro"),
    ("zed/settings.json", "zed"),
    (".zed/settings.json", "zed"),
    ("windsurf/mcp_config.json", "windsurf"),
    (".codeium/mcp_config.json", "windsurf"),
    (".continue/config.yaml", "continue"),
    (".gemini/settings.json", "gemini-cli"),
    (".codex/config.toml", "codex"),
    (".junie/mcp/mcp.json", "junie"),
    (".lmstudio/mcp.json", "lmstudio"),
    ("goose/config.yaml", "goose"),
    ("config/config.yaml", "goose"),
    ("opencode.json", "opencode"),
    ("opencode.jsonc", "opencode"),
    ("amazonq/mcp.json", "amazon-q"),
    (".amazonq/mcp.json", "amazon-q"),
    (".copilot/mcp-config.json", "copilot-cli"),
    (".github/mcp.json", "copilot-cli"),
)
"""The ends of paths, whose client is certain if the file has a table of that client."""

_KEYS = (
    ("serverUrl", "windsurf"),
    ("httpUrl", "gemini-cli"),
    ("trust", "gemini-cli"),
    ("excludeTools", "gemini-cli"),
    ("alwaysAllow", "roo"),
    ("headersHelper", "claude-code"),
    ("transportType", "cline"),
    ("requestOptions", "continue"),
    ("include_tags", "fastmcp"),
    ("exclude_tags", "fastmcp"),
)
"""Keys of an entry in `mcpServers` that only one client has."""


def recognise(path: PurePath, content: Any) -> ClientRow:
    """Return the client that wrote a file; `ANY` where that is not certain."""
    if not isinstance(content, Mapping):
        return own_shapes.ANY
    name = _by_path(path)
    if name is not None and (not content or any(has(content, steps) for steps in CLIENTS[name].tables)):
        return CLIENTS[name]
    name = _by_tables(content) or _by_entries(content.get("mcpServers"))
    if name is None and path.name == ".mcp.json":
        name = "claude-code"
    if name is None and "mcpServers" not in content and _bare(content):
        name = "fastmcp"
    if name is None and not any(at(content, steps) for steps in own_shapes.ANY.tables) and _bare(content.get("mcp")):
        return replace(own_shapes.ANY, tables=(("mcp",),))  # as Crush has them
    return CLIENTS[name] if name is not None else own_shapes.ANY


def at(content: Any, steps: tuple[str, ...]) -> Any:
    """Return what stands below these keys, `None` if nothing does."""
    for step in steps:
        content = content.get(step) if isinstance(content, Mapping) else None
    return content


def has(content: Any, steps: tuple[str, ...]) -> bool:
    """Return whether anything stands below these keys, if only `null`."""
    around = at(content, steps[:-1])
    return isinstance(around, Mapping) and bool(steps) and steps[-1] in around


def _by_path(path: PurePath) -> str | None:
    text = "/" + path.as_posix()
    if "/.continue/mcpServers/" in text:
        return "continue"
    return next((name for end, name in _PATHS if text.endswith(f"/{end}")), None)


def _by_tables(content: Mapping[str, Any]) -> str | None:
    mcp = content.get("mcp")
    entries = _entries(mcp)
    filled = bool(content.get("mcpServers"))
    own_tables = (
        ("zed", not filled and isinstance(content.get("context_servers"), Mapping)),
        ("codex", isinstance(content.get("mcp_servers"), Mapping)),
        ("goose", any("cmd" in entry or "uri" in entry for entry in _entries(content.get("extensions")))),
        ("continue", isinstance(content.get("mcpServers"), list)),
        ("vscode", not filled and any(isinstance(at(content, row), Mapping) for row in CLIENTS["vscode"].tables)),
        ("opencode", any(entry.get("type") in ("local", "remote") for entry in entries)),
        ("claude-code", isinstance(content.get("projects"), Mapping)),
        ("gemini-cli", "mcpServers" in content and isinstance(mcp, Mapping)),
    )
    return next((name for name, fits in own_tables if fits), None)


def _by_entries(table: Any) -> str | None:
    entries = _entries(table)
    found = {name for key, name in _KEYS if any(key in entry for entry in entries)}
    if any(isinstance(entry.get("transport"), Mapping) or entry.get("type") == "streamableHttp" for entry in entries):
        found.add("cline")
    if any(isinstance(entry.get("transport"), str) or isinstance(entry.get("auth"), str) for entry in entries):
        found.add("fastmcp")
    return found.pop() if len(found) == 1 else None


def _bare(content: Any) -> bool:
    """Whether this is a table of servers: at the top of a file, with nothing around them."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(entry, Mapping) and ("command" in entry or "url" in entry) for entry in content.values())
    )


def _entries(table: Any) -> list[Mapping[str, Any]]:
    found = table.values() if isinstance(table, Mapping) else table if isinstance(table, list) else ()
    return [entry for entry in found if isinstance(entry, Mapping)]
