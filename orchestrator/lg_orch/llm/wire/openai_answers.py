"""Makes standard chunks and answers of what servers that imitate OpenAI send. Pure.

What is certain is taken: `choices` or `delta` that are null, a call without `id`, `index` or `function`, arguments as
an object, the older `function_call`, a call that is repeated in its last chunk. What is an error, whatever it looks
like, becomes one that says what came.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from lg_orch.llm.wire.call_arguments import arguments_object

MAX_SHOWN = 200
"""Characters of an unexpected answer in an error."""


class AnswerError(Exception):
    """The server answered an error, or nothing that could be an answer. `body` is what came."""

    def __init__(self, message: str, body: Any = None) -> None:
        super().__init__(message)
        self.body = body


@dataclass(kw_only=True)
class _Call:
    """One call of a stream so far."""

    number: int
    id: str
    arguments: str = ""


@dataclass(kw_only=True)
class CallNumbers:
    """Tells which call of a stream a piece belongs to, also where the server does not number them."""

    calls: list[_Call] = field(default_factory=list)
    by_index: dict[int, _Call] = field(default_factory=dict)

    def piece(self, call: dict[str, Any]) -> dict[str, Any] | None:
        """Return the piece with a number; `None` for one that only says again what was said."""
        function = call["function"]
        name, arguments = function["name"], function["arguments"]
        index = _number(call.get("index"))
        known = self.by_index.get(index) if index is not None else self.calls[-1] if self.calls else None
        identity = str(call.get("id") or "")
        if known is None or _is_another(known, identity, name, arguments, numbered=index is not None):
            known = _Call(number=len(self.calls), id=identity or f"call_{len(self.calls)}")
            self.calls.append(known)
            told = {"id": known.id, "name": name}
        else:
            told = {}
            if arguments and arguments == known.arguments and _is_object(arguments):
                return None
        if index is not None:
            self.by_index[index] = known
        known.arguments += arguments
        piece: dict[str, Any] = {"index": known.number, "type": "function", "function": {"arguments": arguments}}
        if told:
            piece |= {"id": told["id"]}
            piece["function"]["name"] = told["name"]
        return piece


def standard_chunk(said: Any, numbers: CallNumbers) -> dict[str, Any]:
    """Return a chunk as the standard has it. Raises `AnswerError`."""
    chunk = _without_error(said, chunk=True)
    choices = chunk.get("choices")
    chunk["choices"] = [_chunk_choice(choice, numbers) for choice in choices or () if isinstance(choice, dict)]
    return chunk


def standard_answer(said: Any) -> dict[str, Any]:
    """Return a whole answer as the standard has it. Raises `AnswerError`."""
    answer = _without_error(said, chunk=False)
    choices = [choice for choice in answer.get("choices") or () if isinstance(choice, dict)]
    if not choices:
        raise AnswerError(f"the server's answer has no `choices`: {_shown(said)}", said)
    answer["choices"] = [_answer_choice(choice) for choice in choices]
    return answer


def _without_error(said: Any, *, chunk: bool) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise AnswerError(f"the server answered no completion: {_shown(said)}", said)
    error = said.get("error")
    for choice in said.get("choices") or ():
        error = error or (choice.get("error") if isinstance(choice, dict) else None)
    if error:
        raise AnswerError(f"the server answered an error: {_message(error)}", said)
    named = said.get("object") == "error" or "detail" in said or ("message" in said and "id" not in said)
    if named and not said.get("choices"):
        raise AnswerError(f"the server answered an error: {_message(said)}", said)
    if chunk and not {"choices", "id", "usage", "object"} & said.keys():
        # A sign of life, such as `{}` or `{"type": "ping"}`.
        return {"choices": []}
    return {name: _usage(value) if name == "usage" else value for name, value in said.items()}


def _usage(told: Any) -> Any:
    """The figures as numbers; what is none is left out."""
    if not isinstance(told, dict):
        return None
    kept: dict[str, Any] = {}
    for name, value in told.items():
        number = _usage(value) if isinstance(value, dict) else _number(value)
        if number is not None:
            kept[name] = number
    return kept


def _chunk_choice(choice: dict[str, Any], numbers: CallNumbers) -> dict[str, Any]:
    delta = choice.get("delta")
    message = delta if isinstance(delta, dict) else choice.get("message")
    message = _standard_message(message if isinstance(message, dict) else {})
    refusal = message.pop("refusal", None)
    if refusal and isinstance(refusal, str) and not message.get("content"):
        message["content"] = refusal  # the package leaves it out of a stream
    calls = [numbers.piece(call) for call in message.pop("tool_calls", ())]
    if calls:
        message["tool_calls"] = [call for call in calls if call is not None]
    kept = {name: value for name, value in choice.items() if name != "message"}
    return kept | {"delta": message, "finish_reason": _reason(choice)}


def _answer_choice(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message") or choice.get("delta")
    if not isinstance(message, dict):
        raise AnswerError(f"the server's answer has no message: {_shown(choice)}", choice)
    message = {"role": "assistant", **_standard_message(message)}
    message["role"] = message["role"] or "assistant"
    for number, call in enumerate(message.get("tool_calls", ())):
        call["id"] = str(call.get("id") or f"call_{number}")
        call.pop("index", None)
    return choice | {"message": message, "finish_reason": _reason(choice)}


def _standard_message(message: dict[str, Any]) -> dict[str, Any]:
    """The message with text as a text and calls as a list; the older `function_call` is one call."""
    kept = {name: value for name, value in message.items() if name not in ("tool_calls", "function_call")}
    content = kept.get("content")
    if isinstance(content, list):
        kept["content"] = "".join(map(_text_of, content))
    elif content is not None and not isinstance(content, str):
        kept["content"] = json.dumps(content)
    older, calls = message.get("function_call"), message.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    if not calls and isinstance(older, dict):
        calls = [{"index": 0, "function": older}]
    found = [_standard_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return kept | ({"tool_calls": found} if found else {})


def _standard_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"] if isinstance(call.get("function"), dict) else call
    name, arguments = function.get("name"), function.get("arguments")
    if isinstance(arguments, dict | list):
        arguments = json.dumps(arguments)
    return {
        "id": call.get("id"), "index": call.get("index"), "type": "function",
        "function": {"name": str(name or ""), "arguments": str(arguments) if arguments is not None else ""},
    }  # fmt: skip


def _is_another(known: _Call, identity: str, name: str, arguments: str, *, numbered: bool) -> bool:
    """Whether a piece that names a tool begins a further call, although the server gave it the place of a known one."""
    if not name:
        return not numbered and bool(identity) and identity != known.id
    if identity and identity != known.id:
        return True
    # Both are whole and they differ: two calls without names of their own.
    return not identity and arguments != known.arguments and _is_object(arguments) and _is_object(known.arguments)


def _is_object(text: str) -> bool:
    try:
        return bool(text) and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _number(index: Any) -> int | None:
    if isinstance(index, str) and index.isascii() and index.isdigit():
        return int(index[:9])
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _reason(choice: dict[str, Any]) -> Any:
    reason = choice.get("finish_reason")
    return "tool_calls" if reason == "function_call" else reason


def _text_of(part: Any) -> str:
    return str(part.get("text") or "") if isinstance(part, dict) else part if isinstance(part, str) else ""


def _message(error: Any) -> str:
    """What an error object says."""
    if not isinstance(error, dict):
        return str(error)[:MAX_SHOWN]
    told = next((error[name] for name in ("message", "detail", "msg") if error.get(name)), None)
    return told[: MAX_SHOWN * 2] if isinstance(told, str) else _shown(told if told is not None else error)


def _shown(said: Any) -> str:
    text = said if isinstance(said, str) else json.dumps(said)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def with_whole_arguments(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a standard answer in which the arguments of each call are JSON objects, as far as they mean one."""
    for choice in answer["choices"]:
        for call in choice["message"].get("tool_calls", ()):
            try:
                call["function"]["arguments"] = json.dumps(arguments_object(call["function"]["arguments"]))
            except ValueError:
                # What they are instead is said where calls are read.
                continue
    return answer
