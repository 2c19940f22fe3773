"""What a model is shown: prompts, the task, and results as plain, size-limited, clearly marked data."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.models_io import Plan, RepoContext, ToolEnvelope
    from lg_orch.tools import ToolInfo

MAX_RESULT_CHARS = 12_000
MAX_RESULTS_CHARS = 120_000
"""Of all results together; the oldest give way."""
MAX_ENTRIES = 120
_TAG = "tool_result"
# Some providers refuse these at the top of a tool's schema; the gateway checks the arguments by the whole one.
_DROPPED = ("oneOf", "anyOf", "allOf", "not", "enum", "$schema", "$id")


@cache
def prompt(name: str) -> str:
    """The text of one prompt file."""
    return (files("lg_orch.prompts") / f"{name}.md").read_text("utf-8").strip()


def system(name: str) -> SystemMessage:
    """The rules that hold always, then those of this kind of request: the same bytes in every run."""
    return SystemMessage(f"{prompt('rules')}\n\n{prompt(name)}")


def tool_schemas(tools: Sequence[ToolInfo]) -> list[dict[str, Any]]:
    """The tools as a provider's tool calling wants them."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description[:4_000], "parameters": parameters(tool)},
        }
        for tool in tools
    ]


def parameters(tool: ToolInfo) -> dict[str, Any]:
    """The schema of a tool's arguments, in words that every provider takes."""
    schema = {key: value for key, value in tool.input_schema.items() if key not in _DROPPED}
    return {"type": "object", "properties": {}, **_plain(schema)}


def _plain(value: Any) -> Any:
    """Without our own formats, which some providers refuse."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if (key, inner) != ("format", "lg-path")}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def task(request: str, context: RepoContext, *parts: str) -> HumanMessage:
    """The request and what is known of the repository, then `parts`."""
    return HumanMessage("\n\n".join((f"<request>\n{request}\n</request>", _repository(context), *parts)))


def plan_text(plan: Plan) -> str:
    """The plan as the model wrote it."""
    return f"<plan>\n{plan.model_dump_json(exclude_defaults=True)}\n</plan>"


def _repository(context: RepoContext) -> str:
    lines = [f"Repository: {context.root_name}"]
    if context.totals is not None:
        kinds = ", ".join(f"{one.extension or 'none'} {one.lines}" for one in context.totals.extensions[:8])
        lines.append(f"{context.totals.files} files, {context.totals.lines} lines; lines by extension: {kinds}")
    names = [entry.path + ("/" if entry.type == "dir" else "") for entry in context.top_level[:MAX_ENTRIES]]
    lines.append(f"Top level: {' '.join(names)}")
    return wrapped("repository", "\n".join(lines))


def exchange(results: Sequence[ToolEnvelope]) -> list[BaseMessage]:
    """The calls so far and their results, as the provider's tool calling writes them."""
    messages: list[BaseMessage] = []
    for number, (result, text) in enumerate(_shown(results), start=1):
        # Our own ids hold characters that some providers refuse.
        identity = f"call_{number}"
        call = {"name": result.tool, "args": result.artifacts.input, "id": identity, "type": "tool_call"}
        messages.append(AIMessage(content="", tool_calls=[call]))
        messages.append(ToolMessage(content=text, tool_call_id=identity))
    return messages


def transcript(results: Sequence[ToolEnvelope]) -> str:
    """The same as one text, for requests that offer no tools."""
    parts = [
        f"Call: {result.tool} {json.dumps(result.artifacts.input, ensure_ascii=False)[:2_000]}\n{text}"
        for result, text in _shown(results)
    ]
    return "\n\n".join(parts) or "No calls were made."


def _shown(results: Sequence[ToolEnvelope]) -> list[tuple[ToolEnvelope, str]]:
    """Each result with its text; those that no longer fit, oldest first, only say that they are left out."""
    left, shown = MAX_RESULTS_CHARS, []
    for result in reversed(results):
        text = result_text(result)
        if len(text) > left:
            text = wrapped(_TAG, "(left out to save room; make the call again if it is needed)")
        left -= len(text)
        shown.append((result, text))
    return shown[::-1]


def result_text(result: ToolEnvelope) -> str:
    """One result as marked data."""
    if result.exit_code is not None:
        text = f"exit code {result.exit_code}\n{result.stdout}"
        text += f"\n--- standard error ---\n{result.stderr}" if result.stderr.strip() else ""
    elif result.ok:
        text = result.stdout
    else:
        text = f"failed: {result.stderr}" + (f"\n{result.stdout}" if result.stdout else "")
    return wrapped(_TAG, _middle_out(text))


def wrapped(tag: str, text: str) -> str:
    """`text` between tags that it cannot close itself."""
    inner = text.replace(f"</{tag}", f"<\\/{tag}")
    return f"<{tag}>\n{inner}\n</{tag}>"


def _middle_out(text: str) -> str:
    if len(text) <= MAX_RESULT_CHARS:
        return text
    half = MAX_RESULT_CHARS // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def size_of(messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]]) -> int:
    """Characters that a request has, about."""
    calls = sum(len(json.dumps(one.tool_calls)) for one in messages if isinstance(one, AIMessage) and one.tool_calls)
    return sum(len(str(one.content)) for one in messages) + calls + (len(json.dumps(list(tools))) if tools else 0)
