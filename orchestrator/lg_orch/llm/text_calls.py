"""Reads tool calls that a model wrote as text, because its server does not turn them into calls of the API.

Servers do that when their tool parser is off. The call is plain to read in the forms that models are trained on: a mark
followed by JSON, a mark with the tool's name followed by its arguments, or a reply that is nothing but calls in JSON or
in Python's notation.
"""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

from lg_orch.llm.python_calls import python_calls, python_value
from lg_orch.llm.replies import ReplyCall
from lg_orch.llm.wire.loose_json import loose_value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

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
_LONGEST_WORD = 20
_BAR, _LOW = "[|\uff5c]", "[_\u2581]"
"""DeepSeek's marks have a wide bar and a low block where others have `|` and `_`."""


def _name(group: str) -> str:
    return rf"(?:functions\.)?(?P<{group}>[\w.-]{{1,200}}?)(?::\d{{1,4}})?"


def _wide(words: str) -> str:
    return f"<{_BAR}{words.replace('_', _LOW)}{_BAR}>"


_NAMED = (
    (
        rf"{_wide('tool_call_begin')}\s*(?:function{_wide('tool_sep')})?\s*{_name('deepseek')}\s*"
        rf"(?:{_wide('tool_(?:sep|call_argument_begin)')})?\s*(?:```(?:json)?\s*)?(?=\{{)"
    ),
    rf"<\|channel\|>\s*(?:commentary|analysis)\s+to={_name('harmony')}\s[^{{\n]{{0,80}}<\|message\|>\s*(?=\{{)",
    rf"(?:assistant|^(?:assistant)?commentary)\s+to={_name('recipient')}(?:<\||\s)[^{{\n]{{0,80}}(?=\{{)",
    rf"\[TOOL_CALLS\]\s*{_name('mistral')}\s*(?:\[CALL_ID\]\w{{1,40}})?(?:\[ARGS\])?\s*(?=\{{)",
    rf"(?:^|\n)\**Action:\**\s*{_name('react')}[ \t]*\n\s*\**Action Input:\**\s*(?:```(?:json)?\s*)?(?=\{{)",
    rf"^>>>{_name('functionary')}[ \t]*\n\s*(?=\{{)",
    rf"<\|tool_call:name\|>{_name('solar')}<\|tool_call:args\|>\s*(?=\{{)",
    rf"<tool_call>\s*{_name('glm')}\s*(?=<arg_key>|</tool_call>|\{{)",
    (
        r"<(?:tool_use|tool_call|function_call|tool|use_mcp_tool)>\s*(?:<server_name>[^<>]{0,200}</server_name>\s*)?"
        rf"<(?:tool_)?name>\s*{_name('xml')}\s*</(?:tool_)?name>\s*<(?:arguments|parameters|input|args)>\s*(?=\{{)"
    ),
    rf"<(?:function|tool_call)(?:=|\s+name=\"){_name('function')}\"?>",
    rf"<invoke\s+name=\"{_name('invoke')}\">",
)
_MARK = re.compile(
    rf"(?<!`)(?:{'|'.join(_NAMED)}"
    r"|<(?:\w{1,20}_)?(?:tool_?calls?|function_?calls?|tool_use|tools|start_function_call)>|\[TOOL_CALLS\]"
    r"|<\|python_(?:tag|start)\|>|<\|tool_call(?:_start|s_section_begin|_begin|:begin)?\|>|<\|START_ACTION\|>"
    r"|<\|action_start\|>\s*<\|plugin\|>|\bfunctools(?=\[)|(?:^|\n)\**Action:\**\s*(?=```|[{\[]|[\w.-]{1,200}\()"
    r"|\[TOOL_REQUEST\])",
    re.IGNORECASE,
)
_NAMESPACE = re.compile(
    rf"(?<=[</])(?:[\w.-]{{1,40}}:|{_BAR}\w{{1,40}}{_BAR})(?=(?:function_calls|tool_calls?|invoke|parameter)\b)"
)
"""What models put before the names of tags: `minimax:`, `antml:`, `\uff5cDSML\uff5c`."""
_LAST_WORD = re.compile(
    r"(?:</s>|<\|(?:im_end|eot_id|eom_id|end|call|endoftext|return|end_of_text)\|>|<end_of_turn>|<eos>)\Z"
)
_PARAMETER = re.compile(
    r"<parameter(?:=|\s+name=\")(?P<tag>[\w.-]{1,200})\"?(?: string=\"(?P<text>true|false)\")?>\n?"
    r"|<arg_key>\s{0,9}(?P<key>[\w.-]{1,200})\s{0,9}</arg_key>\s{0,9}<arg_value>"
)
_ENDS = ("</function>", "</invoke>", "</tool_call>")
_FENCED = ("```", "```json", "```tool_call", "```tool_code", "```python")
_OPENED = re.compile(r"\s*(?:```(?:json)?\s*)?")
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_PLAIN = re.compile(r"-?\d{1,15}|true|false|null")
_NAMES = ("name", "tool", "tool_name", "function", "action")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "action_input")
_DECODER = json.JSONDecoder(strict=False)
"""Takes line breaks inside texts, too."""
_BESIDE_ARGUMENTS = re.compile(
    r"[\s\"'`:,=*]{0,20}(?:\w{1,20}[\s\"'`:,=*]{1,20})?(?:```(?:json)?\s*)?(?:\{|\(\s*\w{1,40}\s*=)"
)


def looks_like_calls(text: str, tools: Collection[str] = ()) -> bool:
    """Tell whether a reply in words means to call a tool: in a known form, or one of the tools beside arguments."""
    plain = _without_thought(text) or text[:MAX_TEXT]
    return _MARK.search(plain) is not None or bool(calls_in_text(text)) or _names_with_arguments(plain, tools)


def _names_with_arguments(text: str, tools: Collection[str]) -> bool:
    for name in tools:
        at = text.find(name)
        for _ in range(MAX_CALLS):
            if at < 0:
                break
            end = at + len(name)
            if _BESIDE_ARGUMENTS.match(text, end) or text[at - 1 : end + 1] == f"<{name}>":
                return True
            if text.startswith("(", end) and text.rstrip("` \n").endswith(")"):
                return True  # a call in the notation of programs ends the reply
            at = text.find(name, at + len(name))
    return False


def before_calls(text: str) -> str:
    """Return what a model says before its calls."""
    plain = _without_thought(text)
    found = _MARK.search(plain)
    return plain[: found.start()].strip() if found is not None else ""


def calls_in_text(text: str) -> list[ReplyCall]:
    """Return the calls that a reply in words holds; none where they cannot be read."""
    text = _without_thought(text)
    marks = list(_MARK.finditer(text))
    if not marks:
        return _whole(_last_fence(text) or text)
    found: list[ReplyCall] = []
    for mark in marks[: MAX_CALLS * 2]:
        name = mark[mark.lastgroup] if mark.lastgroup is not None else ""
        if name:
            arguments = _arguments_after(text, mark.end())
            found += [ReplyCall(tool=name, input=arguments)] if arguments is not None else []
        else:
            found += _after_mark(text, mark.end())
    return found[:MAX_CALLS]


def _without_thought(text: str) -> str:
    text = text[:MAX_TEXT]
    thought = _THOUGHT.match(text)
    text = text[thought.end() :] if thought is not None else text.rpartition("</think>")[2] or text
    if "<" not in text and "&lt;" in text:
        text = html.unescape(text)
    text = _NAMESPACE.sub("", text).strip()
    while _LAST_WORD.search(text, max(0, len(text) - _LONGEST_WORD)):
        text = text[: text.rindex("<")].rstrip()
    return text


def _last_fence(text: str) -> str:
    """What is in the only fence of a text that ends with it; empty where there is none."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    if len(fences) != 2 or fences[1] != len(lines) - 1 or lines[fences[0]].rstrip() not in _FENCED:
        return ""
    return "\n".join(lines[fences[0] + 1 : -1]).strip()


def _whole(text: str) -> list[ReplyCall]:
    """Calls of a text that is JSON, one value after the other, or Python from its first to its last character."""
    at, found = 0, list[ReplyCall]()
    while at < len(text) and text[at] in "{[":
        value, end = _decoded(text, at)
        calls = list(_calls_of(value))
        if not calls:
            break
        found += calls
        at = end
        while at < len(text) and text[at] in " \t\r\n;,":
            at += 1
    return found[:MAX_CALLS] if found and at >= len(text) else python_calls(text)[:MAX_CALLS]


def _after_mark(text: str, at: int) -> list[ReplyCall]:
    """The calls behind a mark that does not name its tool: JSON, or what Python prints and reads."""
    opened = _OPENED.match(text, at)
    at = opened.end() if opened is not None else at
    value, _ = _decoded(text, at)
    if value is not None:
        return list(_calls_of(value, marked=True))
    end = min((found for mark in ("</", "<|", "\n```") if (found := text.find(mark, at)) >= 0), default=len(text))
    part = text[at:end].strip()
    if end < len(text) and part.startswith("{"):
        value, _ = _decoded(part + "}", 0)  # the mark at its end shows that only a brace is missing
        return list(_calls_of(value, marked=True))
    return python_calls(part) or list(_calls_of(python_value(part)))


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins there, after white space, and where it ends; nothing where there is none."""
    while at < len(text) and text[at].isspace():
        at += 1
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        pass
    try:
        return loose_value(text, at + 1 if text.startswith("{{", at) else at)
    except (ValueError, RecursionError):
        return None, at


def _calls_of(value: Any, *, marked: bool = False) -> Iterator[ReplyCall]:
    """One call, each of a list, or those of an object that has a list of them.

    Behind a mark, arguments may stand beside the name or below it: `{"name": X, "path": Y}`, `{X: {"path": Y}}`.
    """
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, dict):
            continue
        inner = next((entry[key] for key in ("function", "function_call") if isinstance(entry.get(key), dict)), entry)
        name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), None)
        arguments = next((inner[key] for key in _ARGUMENTS if key in inner), None)
        if isinstance(arguments, str):
            arguments, _ = _decoded(arguments, 0)
        if marked and not any(key in inner for key in _ARGUMENTS):
            name, arguments = _beside_name(inner, name)
        if name and isinstance(arguments, dict):
            yield ReplyCall(tool=name, input=arguments)


def _beside_name(value: dict[str, Any], name: str | None) -> tuple[str | None, Any]:
    if name is not None:
        return name, {key: inner for key, inner in value.items() if key not in (*_NAMES, *_ARGUMENTS, "id", "type")}
    return next(iter(value.items())) if len(value) == 1 else (None, None)


def _arguments_after(text: str, at: int) -> dict[str, Any] | None:
    """The arguments behind a mark that names its tool; `None` where they cannot be read."""
    if text[at:].lstrip()[:1] == "{":
        value, _ = _decoded(text, at)
        return value if isinstance(value, dict) else None
    end = min((place for mark in _ENDS if (place := text.find(mark, at)) >= 0), default=len(text))
    found: dict[str, Any] = {}
    while (part := _PARAMETER.search(text, at, end)) is not None:
        close = text.find("</parameter>" if part["tag"] else "</arg_value>", part.end(), end)
        if close < 0:
            return None
        found[part["tag"] or part["key"]] = _value(text[part.end() : close])
        at = close
    # What stands there and is no parameter is a call that cannot be read, not one without arguments.
    return found if found or not text[at:end].strip() else None


def _value(text: str) -> Any:
    text = text.removesuffix("\n")
    return json.loads(text) if _PLAIN.fullmatch(text.strip()) else text
