"""Google's Gemini API. A request that it would refuse is refused, in its words as far as they are known.

It has no arguments that are not an object: a model's torn call ends the reply with `MALFORMED_FUNCTION_CALL`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lg_orch.testing.wire import WireRequest, arguments_of, chars_of, chunks, event, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lg_orch.testing.script import Scripted
    from lg_orch.testing.wire import WireAnswer

_ENDS = {"stop": "STOP", "calls": "STOP", "length": "MAX_TOKENS", "refused": "SAFETY"}
_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_PATH = re.compile(r"/v1(?:alpha|beta)?/models/([^:/]+):(generateContent|streamGenerateContent)(?:\?.*)?")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
_KEYWORDS = frozenset((
    "type", "format", "title", "description", "nullable", "enum", "items", "maxItems", "minItems", "properties",
    "required", "minProperties", "maxProperties", "minimum", "maximum", "minLength", "maxLength", "pattern", "example",
    "anyOf", "propertyOrdering", "default",
))  # fmt: skip
SIGNATURE = "c2NyaXB0ZWQgdGhvdWdodA=="
_SIGNED = re.compile(r"gemini-(?:[3-9]|\d\d)")
"""Models that want a signature with the calls of a turn."""


class GoogleWire:
    """`POST /v1beta/models/MODEL:generateContent` and `:streamGenerateContent`."""

    provider = "google_genai"
    key_headers: tuple[str, ...] = ("x-goog-api-key",)
    stream_type = "text/event-stream"

    def base_url(self, origin: str) -> str:
        """The origin; the client adds the version."""
        return origin

    def asked(self, path: str, body: Mapping[str, Any]) -> WireRequest | None:
        """Read a request."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        limit = (body.get("generationConfig") or {}).get("maxOutputTokens")
        said = [body.get("systemInstruction", ""), body.get("contents", [])]
        return WireRequest(
            model=found[1],
            stream=found[2] == "streamGenerateContent",
            limit=limit if isinstance(limit, int) else None,
            chars=chars_of(said) + len(json.dumps(body.get("tools") or "")),
            problem=_problem(found[1], body),
        )

    def possible(self, given: Scripted) -> Scripted:
        """Everything is."""
        return given

    def error(self, given: Scripted) -> tuple[dict[str, Any], dict[str, str]]:
        """Google's form of an error; a pause is asked for in its body."""
        code = 503 if given.status == 200 else given.status
        error: dict[str, Any] = {"code": code, "message": given.error, "status": _STATUS.get(code, "UNKNOWN")}
        if given.retry_after is not None:
            retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{given.retry_after}s"}
            error["details"] = [retry]
        return {"error": error}, {}

    def whole(self, answer: WireAnswer) -> dict[str, Any]:
        """One response."""
        return _response(answer, list(_parts(answer)), last=True)

    def pieces(self, answer: WireAnswer) -> Iterator[bytes]:
        """The same in events; each has the figures so far."""
        for part in _parts(answer):
            texts = chunks(part["text"]) if "text" in part else ()
            for text in texts:
                yield event(_response(answer, [part | {"text": text}]))
                if answer.given.fails_midway:
                    yield event(self.error(answer.given)[0])
                    return
            if "text" not in part:
                yield event(_response(answer, [part]))
        yield event(_response(answer, [{"text": ""}], last=True))


def _parts(answer: WireAnswer) -> Iterator[dict[str, Any]]:
    given = answer.given
    if given.thinking:
        yield {"text": given.thinking, "thought": True}
    if given.content:
        yield {"text": given.content}
    if _malformed(given):
        return
    for place, (name, arguments) in enumerate(given.calls):
        call = {"functionCall": {"name": name, "args": arguments_of(arguments)}}
        # Only the first call of a turn is signed.
        yield call | ({"thoughtSignature": SIGNATURE} if place == 0 and given.thinking else {})


def _malformed(given: Scripted) -> bool:
    return not all(is_object(arguments) for _name, arguments in given.calls)


def _response(answer: WireAnswer, parts: Sequence[dict[str, Any]], *, last: bool = False) -> dict[str, Any]:
    given = answer.given
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if last:
        candidate["finishReason"] = "MALFORMED_FUNCTION_CALL" if _malformed(given) else _ENDS[answer.end]
    body: dict[str, Any] = {
        "candidates": [candidate], "modelVersion": answer.model, "responseId": f"scripted-{answer.number}",
    }  # fmt: skip
    if given.end == "refused" and given.content is None:
        body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": answer.model}
    return body | ({"usageMetadata": _usage(answer)} if given.usage else {})


def _usage(answer: WireAnswer) -> dict[str, int]:
    """Thinking is counted beside the candidates; the cached part of the prompt is a part of it."""
    thought = min(answer.completion, len(answer.given.thinking) // 4)
    return {
        "promptTokenCount": answer.prompt, "candidatesTokenCount": answer.completion - thought,
        "thoughtsTokenCount": thought, "cachedContentTokenCount": answer.given.cached,
        "totalTokenCount": answer.prompt + answer.completion,
    }  # fmt: skip


def _problem(model: str, body: Mapping[str, Any]) -> str:
    declarations = [
        declaration for tool in body.get("tools") or () for declaration in tool.get("functionDeclarations", ())
    ]
    for declaration in declarations:
        if not _NAME.fullmatch(declaration["name"]):
            return f"Invalid function name: {declaration['name']}"
        if problem := _schema_problem(declaration.get("parameters") or {"type": "OBJECT"}, declaration["name"]):
            return problem
    return _contents_problem(body.get("contents") or [], signed=_SIGNED.match(model) is not None)


def _schema_problem(schema: Mapping[str, Any], where: str) -> str:
    if unknown := sorted(schema.keys() - _KEYWORDS):
        return f'Invalid JSON payload received. Unknown name "{unknown[0]}" at {where}: Cannot find field.'
    if "anyOf" not in schema and str(schema.get("type", "")).upper() not in _TYPES:
        return f"{where}: schema has no valid type: {schema.get('type')}"
    if schema.get("type") == "ARRAY" and "items" not in schema:
        return f"{where}.items: missing field."
    if "enum" in schema and not all(isinstance(choice, str) for choice in schema["enum"]):
        return f"{where}.enum: only allowed for STRING type"
    inner = {**(schema.get("properties") or {}), **dict(enumerate(schema.get("anyOf") or ()))}
    if "items" in schema:
        inner["items"] = schema["items"]
    if missing := [name for name in schema.get("required") or () if name not in (schema.get("properties") or {})]:
        return f"{where}.required[0]: property is not defined: {missing[0]}"
    return next((found for name, part in inner.items() if (found := _schema_problem(part, f"{where}.{name}"))), "")


def _contents_problem(contents: Sequence[Mapping[str, Any]], *, signed: bool) -> str:
    if not contents or contents[0].get("role") != "user":
        return "Please ensure that the conversation begins with a user turn."
    waiting: list[str] = []
    for place, content in enumerate(contents):
        parts = content.get("parts") or []
        if not parts or any(part.get("text") == "" for part in parts):
            return f"contents[{place}].parts: contents must not be empty."
        answered = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        if answered != waiting:
            return "Please ensure that the number of function response parts is equal to the number of function calls."
        waiting = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
        first = next((part for part in parts if "functionCall" in part), None)
        if first is not None and signed and not first.get("thoughtSignature") and _is_current(contents, place):
            return f"Function call is missing a thought_signature in functionCall parts. Function call {waiting[0]}"
    return ""


def _is_current(contents: Sequence[Mapping[str, Any]], place: int) -> bool:
    """Whether no words of the user came after that turn."""
    return not any("text" in part for content in contents[place + 1 :] for part in content.get("parts") or ())
