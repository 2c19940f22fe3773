"""Reads tool calls that a model wrote as text, because its server does not turn them into calls of the API.

Servers do that when their tool parser is off. The call is plain to read in the usual forms: `<tool_call>`,
`<function=…>`, `[TOOL_CALLS]`, `<|python_tag|>`, or a reply that is one JSON object with a name and arguments.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lg_orch.llm.replies import ReplyCall

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER_SETTING = (
    "the model writes its tool calls as text, because its server does not read them. Start vLLM with "
    "`--enable-auto-tool-choice --tool-call-parser NAME`, llama.cpp with `--jinja`, and for Ollama choose a model "
    "whose page says `tools`"
)
ASK_FOR_CALL = (
    "You wrote a tool call as text, and it could not be read. Make it as a tool call of the API. If you cannot, write "
    '<tool_call>{"name": "TOOL", "arguments": {...}}</tool_call> and nothing after it.'
)
MAX_TEXT = 50_000
"""Characters of a reply that are read for calls."""
MAX_CALLS = 8
_MARK = re.compile(
    r"(?<!`)(?:<(?:tool_call|function_call|tool_use)>|\[TOOL_CALLS\](?:\s*(?P<before>[\w.-]+)\s*(?=\{))?|<\|python_tag\|>"
    r"|<function=(?P<name>[\w.-]+)>)"
)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\n?([^<]*(?:<(?!/parameter>)[^<]*)*)</parameter>")
_FENCE = re.compile(r"^```(?:json|tool_call)?\s*\n(.*)\n```$", re.DOTALL)
_PLAIN = re.compile(r"-?\d{1,15}|true|false|null")
_NAMES, _ARGUMENTS = ("name", "tool", "tool_name", "function"), ("arguments", "parameters", "args", "input")
_DECODER = json.JSONDecoder()


def looks_like_calls(text: str) -> bool:
    """Whether a reply in words means to call a tool."""
    return _MARK.search(text[:MAX_TEXT]) is not None or bool(calls_in_text(text))


def before_calls(text: str) -> str:
    """What a model says before its calls."""
    found = _MARK.search(text)
    return text[: found.start()].strip() if found is not None else ""


def calls_in_text(text: str) -> list[ReplyCall]:
    """The calls that a reply in words holds; none where they cannot be read."""
    text = text[:MAX_TEXT].strip()
    marks = list(_MARK.finditer(text))[:MAX_CALLS]
    if not marks:
        fenced = _FENCE.match(text)
        return _whole(fenced[1].strip() if fenced is not None else text)
    found: list[ReplyCall] = []
    for mark in marks:
        if mark["name"]:
            found.append(ReplyCall(tool=mark["name"], input=_parameters(text, mark.end())))
        elif mark["before"]:
            arguments, _ = _decoded(text, mark.end())
            found += [ReplyCall(tool=mark["before"], input=arguments)] if isinstance(arguments, dict) else []
        else:
            found += _calls_of(_decoded(text, mark.end())[0])
    return found[:MAX_CALLS]


def _whole(text: str) -> list[ReplyCall]:
    """Calls of a text that is JSON from its first to its last character."""
    if not text.startswith(("{", "[")):
        return []
    value, end = _decoded(text, 0)
    return list(_calls_of(value))[:MAX_CALLS] if end == len(text) else []


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins there, after white space, and where it ends; nothing where there is none."""
    while at < len(text) and text[at].isspace():
        at += 1
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, at


def _calls_of(value: Any) -> Iterator[ReplyCall]:
    """One call, or each of a list."""
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, dict):
            continue
        inner = entry["function"] if isinstance(entry.get("function"), dict) else entry
        name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), None)
        arguments = next((inner[key] for key in _ARGUMENTS if key in inner), None)
        if isinstance(arguments, str):
            arguments, _ = _decoded(arguments, 0)
        if name and isinstance(arguments, dict):
            yield ReplyCall(tool=name, input=arguments)


def _parameters(text: str, at: int) -> dict[str, Any]:
    end = text.find("</function>", at)
    part = text[at : end if end >= 0 else len(text)]
    return {name: _value(value.removesuffix("\n")) for name, value in _PARAMETER.findall(part)}


def _value(text: str) -> Any:
    return json.loads(text) if _PLAIN.fullmatch(text.strip()) else text
