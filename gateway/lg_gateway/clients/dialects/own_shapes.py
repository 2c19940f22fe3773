"""Clients with a shape of their own: Zed, Codex, Goose, opencode, Continue, fastmcp; and files of clients not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lg_gateway.clients.dialects.shared import (
    ClientRow,
    Raw,
    Reading,
    common,
    drop,
    first,
    logins,
    names,
    propose,
    times,
    tool_lists,
)
from lg_gateway.clients.entry import ProposedRule, UnusableEntry
from lg_gateway.clients.placeholders import OwnText, Syntaxes

_GOOSE_REFUSES = ("PATH", "PATHEXT", "SystemRoot", "windir", "PYTHONPATH", "NODE_OPTIONS", "TMP", "TEMP", "TMPDIR")
_ASK_NOBODY = ("auto", "approve")


def _zed(entry: Raw, reading: Reading) -> Raw:
    command = entry.get("command")
    if isinstance(command, dict):
        entry |= {"command": command.get("path"), "args": command.get("args"), "env": command.get("env")}
    entry["url"] = first(entry, "url", "serverUrl", "httpUrl")
    if entry.get("command") is None and entry["url"] is None:
        raise UnusableEntry("it is an extension's server: the file does not say how it is started")
    drop(entry, ("source", "settings", "remote"))
    return common(entry, reading)


def _codex(entry: Raw, reading: Reading) -> Raw:
    if entry.get("bearer_token") is not None:
        raise UnusableEntry("bearer_token is refused by Codex too", hint="use bearer_token_env_var")
    env = _table(entry.pop("env", None), "env")
    variables = entry.pop("env_vars", None) or []
    if not isinstance(variables, list):
        raise UnusableEntry("env_vars must be a list of names")
    for variable in variables:
        name = variable.get("name") if isinstance(variable, dict) else variable
        if not isinstance(name, str):
            raise UnusableEntry("env_vars must be a list of names")
        env.setdefault(name, f"${{{name}:-}}")
    headers = _table(entry.pop("http_headers", None), "http_headers")
    for header, variable in _table(entry.pop("env_http_headers", None), "env_http_headers").items():
        headers[header] = f"${{{_text(variable, 'env_http_headers')}}}"
    if (token := entry.pop("bearer_token_env_var", None)) is not None:
        headers["Authorization"] = f"Bearer ${{{_text(token, 'bearer_token_env_var')}}}"
    entry |= {"env": env, "headers": headers}
    times(entry, reading, "tool_timeout_sec", unit="s")
    times(entry, reading, "startup_timeout_ms", target="connect_timeout_s", unit="ms")
    times(entry, reading, "startup_timeout_sec", target="connect_timeout_s", unit="s")
    tool_lists(entry, include=("enabled_tools",), exclude=("disabled_tools",), reading=reading)
    _codex_approvals(entry, reading)
    logins(entry, reading, ("oauth", "scopes", "oauth_resource"))
    drop(entry, ("required",))
    return entry


def _codex_approvals(entry: Raw, reading: Reading) -> None:
    if entry.pop("default_tools_approval_mode", None) in _ASK_NOBODY:
        reading.proposed.append(ProposedRule(tools=("*",), key="default_tools_approval_mode"))
    tools = _table(entry.pop("tools", None), "tools")
    free = [name for name, tool in tools.items() if isinstance(tool, dict) and tool.get("approval_mode") in _ASK_NOBODY]
    if free:
        reading.proposed.append(ProposedRule(tools=tuple(free), key="tools.NAME.approval_mode"))


def _goose(entry: Raw, reading: Reading) -> Raw:
    kind = entry.get("type")
    if kind in ("builtin", "platform", "frontend", "inline_python"):
        raise UnusableEntry(f"type {kind!r} is a part of Goose, and no server")
    if kind == "sse":
        raise UnusableEntry("type 'sse' is no longer started by Goose", hint="give it type streamable_http")
    env = _table(entry.pop("envs", None), "envs")
    refused = [name for name in env if name in _GOOSE_REFUSES or name.startswith("LD_")]
    for name in refused:
        del env[name]
    if refused:
        reading.notes.append(f"envs: {', '.join(refused)} left out, as Goose does")
    for name in names(entry.pop("env_keys", None) or [], "env_keys"):
        env[name] = OwnText(f"${{secret:{reading.ask(name, f'{name}, which Goose keeps in its keyring')}}}")
    entry |= {"command": entry.pop("cmd", None), "url": entry.pop("uri", None), "env": env}
    times(entry, reading, "timeout", unit="s")
    tool_lists(entry, include=("available_tools",) if entry.get("available_tools") else (), exclude=(), reading=reading)
    drop(entry, ("name", "display_name", "description", "bundled", "available_tools"))
    return entry


def _opencode(entry: Raw, reading: Reading) -> Raw:
    if set(entry) <= {"enabled"}:
        raise UnusableEntry("it only switches a server of another file on or off")
    command = entry.get("command")
    if isinstance(command, list):
        if not command:
            raise UnusableEntry("command is empty")
        entry |= {"command": command[0], "args": command[1:]}
    entry["env"] = entry.pop("environment", None)
    times(entry, reading, "timeout", target="connect_timeout_s", unit="ms")
    logins(entry, reading, ("oauth",))
    return entry


def _continue(entry: Raw, reading: Reading) -> Raw:
    options = _table(entry.pop("requestOptions", None), "requestOptions")
    headers = _table(options.get("headers"), "requestOptions.headers") | _table(entry.pop("headers", None), "headers")
    if (key := entry.pop("apiKey", None)) is not None:
        headers.setdefault("Authorization", f"Bearer {_text(key, 'apiKey')}")
    entry["headers"] = headers
    times(entry, reading, "connectionTimeout", target="connect_timeout_s", unit="ms")
    drop(entry, ("sourceFile", "faviconUrl"))
    return common(entry, reading)


def _fastmcp(entry: Raw, reading: Reading) -> Raw:
    auth = entry.pop("auth", None)
    if isinstance(auth, str) and auth != "oauth":
        entry["headers"] = {"Authorization": f"Bearer {auth}"} | _table(entry.get("headers"), "headers")
    elif auth is not None:
        entry["auth"] = auth
    for key in ("include_tags", "exclude_tags"):
        if entry.pop(key, None):
            raise UnusableEntry(f"{key} chooses tools by tags, which the gateway does not know")
    kind = first(entry, "transport", "type")
    url = entry.get("url")
    if kind is None and isinstance(url, str):
        kind = "sse" if url.partition("?")[0].rstrip("/").endswith("/sse") else "http"
    entry["type"] = kind
    return common(entry, reading)


def _anything(entry: Raw, reading: Reading) -> Raw:
    """Take every key that means the same with each client that has it."""
    command = entry.get("command")
    if isinstance(command, list) and command and not entry.get("args"):
        entry |= {"command": command[0], "args": command[1:]}
    elif isinstance(command, dict):
        entry |= {"command": command.get("path"), "args": command.get("args"), "env": command.get("env")}
    transport = entry.get("transport")
    if isinstance(transport, dict):
        entry.pop("transport")
        entry |= transport
    if entry.get("env") is None and isinstance(entry.get("environment"), dict):
        entry["env"] = entry.pop("environment")
    propose(entry, reading, "autoapprove")
    drop(entry, ("source", "remote"))
    return common(entry, reading)


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise UnusableEntry(f"{key} must be a text")
    return value


def _table(value: Any, key: str) -> Raw:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnusableEntry(f"{key} must be a table")
    return dict(value)


ROWS = (
    ClientRow(name="zed", title="Zed", tables=(("context_servers",),), adapt=_zed, unit="s"),
    ClientRow(name="codex", title="Codex", tables=(("mcp_servers",),), adapt=_codex),
    ClientRow(name="goose", title="Goose", tables=(("extensions",),), adapt=_goose),
    ClientRow(
        name="opencode",
        title="opencode",
        tables=(("mcp",),),
        adapt=_opencode,
        syntaxes=Syntaxes(braces=True),
        untyped_url="auto",
    ),
    ClientRow(
        name="continue",
        title="Continue",
        adapt=_continue,
        syntaxes=Syntaxes(secrets=True),
        unit="ms",
        untyped_url="auto",
    ),
    ClientRow(name="fastmcp", title="fastmcp", tables=(("mcpServers",), ()), adapt=_fastmcp, unit="ms"),
)

ANY = ClientRow(
    name="any",
    title="a client that is not known",
    tables=(
        ("mcpServers",),
        ("servers",),
        ("mcp", "servers"),
        ("context_servers",),
        ("mcp_servers",),
        ("amp.mcpServers",),
    ),
    adapt=_anything,
    syntaxes=Syntaxes(braces=True, secrets=True, files=True),
    untyped_url="auto",
)
"""For a file that no client is recognised by."""
