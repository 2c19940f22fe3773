"""Which tools a model is told of, and in how many words: what it never needs costs tokens in every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.models_io import Command
    from lg_orch.tools import ToolInfo

MAX_DESCRIPTION = 2_000
REPLAN, DISCOVER, EXECUTE, RESULT = "replan", "mcp_discover", "mcp_execute", "mcp_result"
# Some providers refuse these at the top of a tool's schema; the gateway checks the arguments by the whole one.
_DROPPED = ("oneOf", "anyOf", "allOf", "not", "enum", "$schema", "$id")
# Of our own tools: what the server checks and its error explains need not be told beforehand.
_LIMITS = frozenset(
    ("maxLength", "minLength", "maxItems", "minItems", "maximum", "minimum", "exclusiveMinimum", "format", "pattern",
     "additionalProperties", "propertyNames", "title", "default"),
)  # fmt: skip
_NEVER_NEEDED = frozenset(("revert_patch", "list_changes", "list_commands"))
_HIDDEN: Mapping[str, frozenset[str]] = {
    "apply_patch": frozenset(("changes", "dry_run", "expected_sha256")),
    "list_files": frozenset(("cursor", "include_ignored", "limit", "totals")),
    "search_files": frozenset(("cursor", "include_ignored", "limit", "multiline")),
    "exec": frozenset(("env", "stdin", "timeout_s")),
}
"""Arguments of our own tools that a model seldom needs; they work when it names them."""
_OWN_WORDS = {
    "apply_patch": "Change files: all of the patch is applied or nothing is. Answers with the resulting diff.",
}
_TEXT = {"type": "string"}
_LOCAL: Mapping[str, dict[str, Any]] = {
    REPLAN: {
        "description": "Only when what you found contradicts the plan: says why, and gets you a new one.",
        "parameters": {"type": "object", "properties": {"reason": _TEXT}, "required": ["reason"]},
    },
    RESULT: {
        "description": "Read a result that was left out or cut, by its id.",
        "parameters": {
            "type": "object",
            "properties": {"result_id": _TEXT, "offset": {"type": "integer"}, "limit": {"type": "integer"}},
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


def chosen(tools: Sequence[ToolInfo], at_once: int) -> tuple[list[ToolInfo], bool]:
    """The tools a model is told of, and whether there are others that it has to discover."""
    useful = [tool for tool in tools if not (tool.builtin and tool.original in _NEVER_NEEDED) and tool.name != RESULT]
    if len(useful) <= at_once:
        return useful, False
    return [tool for tool in useful if tool.builtin], True


def offer(
    tools: Sequence[ToolInfo], commands: Sequence[Command], at_once: int, *, replan: bool = False, results: bool = False
) -> list[dict[str, Any]]:
    """The tools as a provider's tool calling wants them, in an order that stays the same from request to request."""
    told, more = chosen(tools, at_once)
    schemas = [_function(tool.name, _description(tool, commands), parameters(tool, commands)) for tool in told]
    names = [DISCOVER, EXECUTE] if more else []
    names += [RESULT] if results else []
    names += [REPLAN] if replan else []
    return schemas + [_function(name, _LOCAL[name]["description"], _LOCAL[name]["parameters"]) for name in names]


def parameters(tool: ToolInfo, commands: Sequence[Command] = ()) -> dict[str, Any]:
    """The schema of a tool's arguments, in words that every provider takes."""
    schema = {key: value for key, value in tool.input_schema.items() if key not in _DROPPED}
    whole = {
        "type": "object",
        "properties": {},
        **_plain(schema, frozenset(("lg-path",)) if not tool.builtin else None),
    }
    if not tool.builtin:
        return whole
    hidden = _HIDDEN.get(tool.original, frozenset())
    properties = {name: value for name, value in whole["properties"].items() if name not in hidden}
    if tool.original == "exec" and commands and "cmd" in properties:
        properties["cmd"] = {"type": "string", "enum": [command.name for command in commands]}
    return {**whole, "properties": properties}


def _description(tool: ToolInfo, commands: Sequence[Command]) -> str:
    if tool.builtin and tool.original == "exec" and commands:
        listed = "; ".join(f"{command.name}: {command.description}" for command in commands)
        return f"Run a named command below the root; what it writes is thrown away. {listed}"
    if tool.builtin and tool.original in _OWN_WORDS:
        return _OWN_WORDS[tool.original]
    return tool.description[:MAX_DESCRIPTION]


def _function(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _plain(value: Any, formats: frozenset[str] | None) -> Any:
    """Without our own formats, which some providers refuse; for our own tools (`None`) without all limits."""
    if isinstance(value, list):
        return [_plain(inner, formats) for inner in value]
    if not isinstance(value, dict):
        return value
    if formats is not None:
        return {
            key: _plain(inner, formats) for key, inner in value.items() if not (key == "format" and inner in formats)
        }
    return {
        key: {name: _plain(inner, None) for name, inner in content.items()}
        if key == "properties"
        else _plain(content, None)
        for key, content in value.items()
        if key == "properties" or key not in _LIMITS
    }
