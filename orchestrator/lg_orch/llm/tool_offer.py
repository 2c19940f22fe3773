"""Chooses the tools that a model is offered, and describes them briefly: each word costs tokens in every request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.check_commands import runnable
from lg_orch.tools.effects import PATCHING
from lg_orch.tools.tool_info import EXECUTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.contracts.repository import RepoContext
    from lg_orch.tools.tool_info import ToolInfo

MAX_DESCRIPTION = 2_000
REPLAN, DISCOVER, RESULT = "replan", "mcp_discover", "mcp_result"
# Some providers refuse these at the top of a tool's schema; the gateway checks the arguments by the whole one.
_DROPPED = ("oneOf", "anyOf", "allOf", "not", "enum", "$schema", "$id")
_NEVER_NEEDED = frozenset(("revert_patch", "list_changes", "list_commands", "repo_map", "find_symbol", "outline"))
"""Each is of no use to a model, or another tool does it too: `read_symbol` finds a name and shows all of it."""

_OF_CODE = frozenset(("read_symbol", "references", "search_code", "tests_for"))
SMALL_LINES = 5_000
"""In a project of no more lines, of which all files are named, these tools cost more tokens than they save."""


@dataclass(frozen=True, kw_only=True)
class _Form:
    """One of our own tools in few words: what its server checks and its error explains need not be told beforehand."""

    says: str
    shows: Mapping[str, str]
    """Arguments that a model is offered, each with a description or none; the others work if it names them."""


_FORMS: Mapping[str, _Form] = {
    "apply_patch": _Form(says="Change files; answers with the resulting diff.", shows={"patch": ""}),
    "read_file": _Form(says="Read a text file.", shows={"path": "", "start_line": "from 1", "line_count": ""}),
    "list_files": _Form(says="List a directory.", shows={"path": "", "recursive": "", "glob": ""}),
    "search_files": _Form(
        says="Search file contents.", shows={"regex": "RE2", "path": "", "glob": "*.py", "context_lines": ""}
    ),
    "exec": _Form(
        says="Run a command at the root; what it writes is thrown away.",
        shows={"cmd": "", "args": "", "timeout_s": ""},
    ),
    "read_symbol": _Form(says="Read a whole definition, with its place.", shows={"name": "Name or Class.method"}),
    "references": _Form(says="Where a name is used.", shows={"name": ""}),
    "search_code": _Form(says="Find code by words.", shows={"query": ""}),
    "tests_for": _Form(says="Tests of a file or symbol.", shows={"path": "", "symbol": ""}),
}
TRY_OUT = "Throw-away code: python, args -c CODE."
_LIMITS = ("maximum", "maxItems", "maxLength", "pattern")
MAX_PATTERN = 80
MAX_LIMIT = 10_000
"""A number's limit above this is one that no sensible call reaches, and a text's above a tenth of it."""
_TEXT = {"type": "string"}
_LOCAL: Mapping[str, dict[str, Any]] = {
    REPLAN: {
        "description": "Only when what you found contradicts the plan: says why, and gets you a new one.",
        "parameters": {"type": "object", "properties": {"reason": _TEXT}, "required": ["reason"]},
    },
    RESULT: {
        "description": "Read a result that was cut or left out.",
        "parameters": {
            "type": "object",
            "properties": {"result_id": _TEXT, "offset": {"type": "integer"}},
            "required": ["result_id"],
        },
    },
    DISCOVER: {
        "description": f"Find further tools by what they do; call one with {EXECUTE}.",
        "parameters": {"type": "object", "properties": {"query": _TEXT}, "required": ["query"]},
    },
    EXECUTE: {
        "description": f"Call a tool by a name that {DISCOVER} returned.",
        "parameters": {
            "type": "object",
            "properties": {"tool": _TEXT, "arguments": {"type": "object"}},
            "required": ["tool", "arguments"],
        },
    },
}


def chosen(
    tools: Sequence[ToolInfo], context: RepoContext, at_once: int, *, changes: bool = True
) -> tuple[list[ToolInfo], bool]:
    """Return the tools a model is told of, and whether there are others that it has to discover.

    Without `changes` the request asks for no change, so nothing that changes files is offered.
    """
    hidden = (
        _NEVER_NEEDED
        | (frozenset() if changes else frozenset(PATCHING))
        | (frozenset(("list_files",)) if context.paths else frozenset())
        | (_OF_CODE if _is_small(context) else frozenset())
    )
    if context.commands and not runnable(context):
        hidden |= {"exec"}
    useful = [tool for tool in tools if not (tool.builtin and tool.original in hidden) and tool.name != RESULT]
    if len(useful) <= at_once:
        return useful, False
    return [tool for tool in useful if tool.builtin], True


def _is_small(context: RepoContext) -> bool:
    return bool(context.paths) and context.totals is not None and context.totals.lines <= SMALL_LINES


def offer(
    tools: Sequence[ToolInfo],
    context: RepoContext,
    at_once: int,
    *,
    replan: bool = False,
    changes: bool = True,
) -> list[dict[str, Any]]:
    """Return the tools as a provider's tool calling wants them, in the same order for every request."""
    told, more = chosen(tools, context, at_once, changes=changes)
    schemas = [_function(tool.name, _says(tool, context), parameters(tool, context)) for tool in told]
    names = [DISCOVER, EXECUTE] if more else []
    names += [RESULT]
    names += [REPLAN] if replan else []
    return schemas + [_function(name, _LOCAL[name]["description"], _LOCAL[name]["parameters"]) for name in names]


def parameters(tool: ToolInfo, context: RepoContext | None = None) -> dict[str, Any]:
    """Return the schema of a tool's arguments, in words that every provider takes."""
    form = _FORMS.get(tool.original) if tool.builtin else None
    if form is None:
        schema = {key: value for key, value in tool.input_schema.items() if key not in _DROPPED}
        whole: dict[str, Any] = _without_our_formats(schema)
        return {"type": "object", "properties": {}, **whole}
    known: Mapping[str, Any] = tool.input_schema.get("properties") or {}
    properties = {name: _short(known[name], words) for name, words in form.shows.items() if name in known}
    if tool.original == "exec" and context is not None:
        if context.commands and "cmd" in properties:
            properties["cmd"] = {"type": "string", "enum": runnable(context)}
        most = max((command.timeout_s for command in context.commands if not command.reason), default=0.0)
        if most and "timeout_s" in properties:
            properties["timeout_s"] = {"type": "number", "description": f"at most {most:g}"}
        if any(package.path for package in context.packages) and "cwd" in known:
            properties["cwd"] = _short(known["cwd"], "a package's directory, instead of the root")
    required = [name for name in tool.input_schema.get("required", ()) if name in properties]
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _says(tool: ToolInfo, context: RepoContext) -> str:
    form = _FORMS.get(tool.original) if tool.builtin else None
    if form is None:
        return tool.description[:MAX_DESCRIPTION]
    return f"{form.says} {TRY_OUT}" if tool.original == "exec" and _takes_code(context) else form.says


def _takes_code(context: RepoContext) -> bool:
    """Whether `python -c` may be run here."""
    python = next((command for command in context.commands if command.name == "python"), None)
    if python is None or "python" not in runnable(context):
        return False
    return any(allowed.startswith("-c=") for allowed in python.args_allow)


def _short(schema: Mapping[str, Any], words: str) -> dict[str, Any]:
    """Type and words of one argument; of several types the first, which all of our tools take."""
    first = schema["anyOf"][0] if "anyOf" in schema else schema
    short = {key: first[key] for key in ("type", "enum") if key in first}
    short |= {key: first[key] for key in _LIMITS if key in first and _tells(key, first[key])}
    if "items" in first:
        short["items"] = {"type": first["items"].get("type", "string")}
    return short | ({"description": words} if words else {})


def _tells(key: str, limit: Any) -> bool:
    """Whether a call could break this limit without knowing of it."""
    if key == "pattern":
        return isinstance(limit, str) and len(limit) < MAX_PATTERN
    return isinstance(limit, int | float) and limit < (MAX_LIMIT if key == "maximum" else MAX_LIMIT // 10)


def _function(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _without_our_formats(value: Any) -> Any:
    """Formats of our own are refused by some providers."""
    if isinstance(value, list):
        return [_without_our_formats(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_our_formats(inner) for key, inner in value.items() if (key, inner) != ("format", "lg-path")}
