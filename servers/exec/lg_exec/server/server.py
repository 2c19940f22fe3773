"""The two tools that a client sees: `exec` and `list_commands`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

import mcp_types as t

from lg_exec.process.worker_thread import in_thread
from lg_exec.server.executor import Executor, Outcome, Request
from lg_policy.errors import InvalidArguments, PolicyDenied
from lg_policy.wire.call_metadata import POLICY, ROOT, SANDBOX
from lg_policy.wire.command_lines import COMMAND_FORMAT, fit, meant_command
from lg_policy.wire.tool_server import CallContext, Reply, ToolDef, build_server, without_nulls

if TYPE_CHECKING:
    from mcp.server.lowlevel.server import Server

    from lg_exec.sandbox.interface import RootDirectory
    from lg_policy.config.settings import Settings

SHOWN_PATHS = 200
"""Changed names in the text of an answer; the structured content has more of them."""
MAX_STDIN = 1_000_000
MAX_TIMEOUT_S = 86_400

_INSTRUCTIONS = (
    "Runs build, test and lint commands by name, below one directory. There is no shell. `cmd` is a name from "
    "list_commands; `args` is a list with one string for each argument. Each command allows certain arguments only."
)

_NULL_INT = {"type": ["integer", "null"]}
_NULL_STRING = {"type": ["string", "null"]}
_ERROR_SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "hint": {"type": "string"}},
}
_EXEC_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ok": {"type": "boolean", "description": "the exit code is 0 and no limit was reached"},
        "exit_code": _NULL_INT,
        "signal": _NULL_STRING,
        "stdout": {"type": "string"},
        "stderr": {"type": "string"},
        "truncated": {"type": "boolean", "description": "stdout or stderr was too long, and its middle was dropped"},
        "timing_ms": {"type": "integer"},
        "cpu_ms": {"type": "integer"},
        "peak_memory_mb": {"type": "number"},
        "sandbox": {
            "type": "object",
            "properties": {
                "active": {"type": "boolean"},
                "backend": {"type": "string"},
                "enforced": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["active", "backend"],
        },
        "limit_hit": _NULL_STRING,
        "changed_paths": {"type": ["array", "null"], "items": {"type": "string"}},
        "change_id": {"type": "string", "description": "what `revert_patch` of the file server takes back"},
        "files": {"type": "array", "items": {"type": "object"}, "description": "the first files of that change set"},
        "hint": {"type": "string"},
        "error": _ERROR_SCHEMA,
    },
    "required": ["ok", "exit_code", "signal", "stdout", "stderr", "truncated", "timing_ms", "sandbox", "limit_hit"],
}
_LIST_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "commands": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "available": {"type": "boolean"},
                    "reason": {"type": "string", "description": "why the command cannot run now"},
                    "args_allow": {"type": "array", "items": {"type": "string"}},
                    "args_deny": {"type": "array", "items": {"type": "string"}},
                    "env": {"type": "array", "items": {"type": "string"}},
                    "root": {
                        "type": "string",
                        "description": "overlay: changes are thrown away; ro: read-only; rw: changes are kept",
                    },
                    "network": {"type": "boolean"},
                    "environment": {"type": "string", "description": "the project's environment that it comes from"},
                    "approval": {"type": "boolean"},
                    "timeout_s": {"type": "number", "description": "seconds after which the command is ended"},
                    "rerun": {"type": "boolean"},
                },
                "required": ["name", "description", "available", "reason", "args_allow"],
            },
        }
    },
    "required": ["commands"],
}


def make_server(
    root: RootDirectory,
    settings: Settings,
    executor: Executor,
    lifespan: Callable[[Server[Any]], AbstractAsyncContextManager[Any]] | None = None,
) -> Server[Any]:
    """Build the MCP server around an executor."""
    meta = {ROOT: {"id": root.id, "name": root.name}, POLICY: settings.policy_digest()}
    return build_server(
        "lg-exec",
        [_exec_tool(executor, settings, meta), _list_tool(executor, meta)],
        instructions=_INSTRUCTIONS,
        lifespan=lifespan,
    )


def _exec_tool(executor: Executor, settings: Settings, meta: dict[str, Any]) -> ToolDef:
    report = executor.backend.report

    async def handler(arguments: dict[str, Any], context: CallContext) -> Reply:
        request = Request(
            cmd=arguments["cmd"],
            args=tuple(arguments.get("args", ())),
            cwd=arguments.get("cwd", ""),
            timeout_s=arguments.get("timeout_s"),
            stdin=arguments.get("stdin", ""),
            env=arguments.get("env", {}),
        )
        sent = 0

        async def on_output(text: str) -> None:
            nonlocal sent
            sent += 1
            await context.progress(sent, None, text)

        outcome = await context.while_connected(lambda: executor.execute(request, on_output, client=context.client))
        return await in_thread(lambda _: reply(outcome)) if outcome.large else reply(outcome)

    return ToolDef(
        name="exec",
        title="Run a command",
        description=describe(executor, settings),
        input_schema=_exec_input(settings),
        output_schema=_EXEC_OUTPUT,
        annotations=t.ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
        ),
        meta={**meta, SANDBOX: {"active": report.active, "backend": report.backend}},
        handler=handler,
        adapt=partial(_fitted, commands=frozenset(enabled(settings)), configured=frozenset(settings.exec.commands)),
    )


def _fitted(arguments: dict[str, Any], commands: frozenset[str], configured: frozenset[str]) -> dict[str, Any]:
    """Return the arguments as they are meant. Raises `InvalidArguments`, and `PolicyDenied` for one switched off."""
    try:
        return fit(arguments, commands)
    except InvalidArguments:
        off = meant_command(arguments, configured)
        if off is not None and off not in commands:
            raise PolicyDenied(
                f"the command {off!r} is switched off in the settings",
                hint=f"cmd is one of: {', '.join(sorted(commands))}; `enabled = true` below [exec.commands.{off}] "
                "switches it on",
            ) from None
        raise


def describe(executor: Executor, settings: Settings) -> str:
    """Return the tool's description: the commands, and what contains them."""
    report = executor.backend.report
    lines = [f"Run a command by name and return its output. Commands: {', '.join(enabled(settings))}."]
    if report.active:
        lines.append(f"Commands run in a sandbox ({report.backend}). Unless list_commands says otherwise, a command")
        lines.append("has no network, and its changes to files are thrown away.")
    elif report.backend == "off":
        lines.append("WARNING: the sandbox is switched off. Commands run unconfined, with the rights of this server.")
    else:
        lines.append("No sandbox works on this machine, so every call answers sandbox_unavailable.")
    return "\n".join(lines)


def enabled(settings: Settings) -> dict[str, str]:
    """Return the commands that may be called, each with a line that describes it."""
    commands = settings.exec.commands
    return {name: commands[name].description for name in sorted(commands) if commands[name].enabled}


def _exec_input(settings: Settings) -> dict[str, Any]:
    names = enabled(settings)
    listed = "\n".join(f"- {name}: {line}" if line else f"- {name}" for name, line in names.items())
    return {
        "type": "object",
        "properties": {
            "cmd": {
                "type": "string",
                "format": COMMAND_FORMAT,
                "enum": list(names),
                "description": f"one of:\n{listed}",
            },
            "args": {
                "type": "array",
                "items": {"type": "string"},
                "description": "a list with one string for each argument; list_commands says which are allowed",
            },
            "cwd": {
                "type": "string",
                "format": "lg-path",
                "description": "working directory, relative to the root; leave it out for the root itself",
            },
            "timeout_s": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": MAX_TIMEOUT_S,
                "description": "seconds after which the command is ended; the most, and the default, is its own limit, "
                f"mostly {settings.exec.limits.timeout_s:g}",
            },
            "stdin": {
                "type": "string",
                "maxLength": MAX_STDIN,
                "description": "what the command reads from its standard input",
            },
            "env": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "environment variables; list_commands says which are allowed",
            },
        },
        "required": ["cmd"],
        "additionalProperties": False,
    }


def _list_tool(executor: Executor, meta: dict[str, Any]) -> ToolDef:
    async def handler(_arguments: dict[str, Any], _context: CallContext) -> Reply:
        commands = await in_thread(lambda _: executor.catalogue())
        lines = [f"{entry['name']}: {entry['description']}{_state(entry)}" for entry in commands]
        return Reply(text="\n".join(lines), structured={"commands": commands})

    return ToolDef(
        name="list_commands",
        title="List commands",
        description="List the commands that exec can run, the arguments that each allows, and whether it can run now.",
        input_schema={"type": "object", "properties": {}, "additionalProperties": False},
        output_schema=_LIST_OUTPUT,
        annotations=t.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
        meta=meta,
        handler=handler,
        adapt=without_nulls,
    )


def _state(entry: dict[str, Any]) -> str:
    allowed = f"\n  arguments: {' '.join(entry['args_allow']) or 'none'}"
    return allowed if entry["available"] else f"{allowed}\n  not available: {entry['reason']}"


def reply(outcome: Outcome) -> Reply:
    """Turn an outcome into the tool's answer.

    The answer is an error when a limit was reached or changes could not be kept. A command that fails is no error.
    """
    structured = outcome.as_json()
    head = headline(outcome)
    parts = [head]
    outputs = [(name, structured[name].rstrip()) for name in ("stdout", "stderr")]
    parts += [f"--- {name} ---\n{text}" for name, text in outputs if text]
    if outcome.changed_paths:
        named = f" (change {structured['change_id']})" if "change_id" in structured else ""
        parts.append(f"--- changed{named} ---\n" + "\n".join(outcome.changed_paths[:SHOWN_PATHS]))
    if outcome.hint:
        parts.append(f"hint: {outcome.hint}")
    error = _error(outcome, head)
    if error is not None:
        structured["error"] = error
    return Reply(text="\n".join(parts), structured=structured, is_error=error is not None)


def _error(outcome: Outcome, head: str) -> dict[str, str] | None:
    """Return the error of a call whose command ran: a limit was reached, or its changes could not be kept."""
    hit, not_kept = outcome.finished.limit_hit, outcome.finished.not_kept
    if hit is not None:
        code = "timeout" if hit == "time" else "limit_exceeded"
        return {"code": code, "message": head, "hint": "select less, or raise the limit in [exec.limits]"}
    if not_kept is not None:
        return {"code": not_kept.code, "message": head, "hint": not_kept.hint or "look at the files and run it again"}
    return None


def headline(outcome: Outcome) -> str:
    """Return one line: how the command ended, how long it took, what contained it."""
    done, report = outcome.finished, outcome.sandbox
    ended = f"exit code {done.exit_code}" if done.signal is None else f"ended by {done.signal}"
    if done.limit_hit is not None:
        ended = f"limit_exceeded: {done.limit_hit} ({_limit_value(outcome)}), {ended}"
    contained = f"sandbox: {report.backend}" if report.active else "NO SANDBOX (switched off)"
    if done.not_kept is not None:
        ended = f"none of its changes were kept: {done.not_kept.message}; {ended}"
    return f"{outcome.request.cmd}: {ended} after {done.wall_ms / 1000:.1f} s [{contained}]"


def _limit_value(outcome: Outcome) -> str:
    limits = outcome.limits
    values = {
        "time": f"{limits.timeout_s:g} s",
        "cpu": f"{limits.cpu_s:g} s of CPU",
        "memory": f"{limits.memory_mb} MB",
        "processes": f"{limits.processes} processes",
        "disk": f"{limits.disk_mb} MB written",
        "file_size": f"{limits.file_mb} MB in one file",
        "open_files": f"{limits.open_files} open files",
    }
    return values.get(outcome.finished.limit_hit or "", "")
