"""Reads what a model answered: chunks as they come, then one message, then a reply that has not been validated yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from lg_orch.contracts.errors import ThinkingFailed
from lg_orch.llm.wire.call_arguments import arguments_object, too_deep, whole_characters

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_orch.llm.ports import RunPorts

SHOWN_CHARS = 400
"""Of the newest text, as progress."""
SHOW_EVERY = 40
"""Characters between two showings."""
SLACK = 8
"""Tokens by which a reply may pass its limit before it is ended here."""
MAX_NAME = 200
"""Characters of a tool's name."""
_THOUGHT = re.compile(r"\s*<(?P<tag>think|thinking|thought|reasoning)>", re.IGNORECASE)
_CALL_MARK = "tool_call"
"""A call within a thought is not lost: it is told to the model that it cannot be read there."""
# In the words of OpenAI, Anthropic and Google; Ollama speaks as OpenAI does.
_CUT = ("length", "max_output_tokens", "max_tokens", "model_context_window_exceeded", "MAX_TOKENS")
_MALFORMED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE")
_REFUSED = (
    "content_filter", "refusal", "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
    "IMAGE_SAFETY", "MODEL_ARMOR",
)  # fmt: skip
_ENDS = ("finish_reason", "stop_reason", "done_reason")


@dataclass(frozen=True, kw_only=True)
class ReplyCall:
    """A tool call as the model made it; nothing of it is checked yet."""

    tool: str
    input: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model answered."""

    text: str
    calls: tuple[ReplyCall, ...] = ()
    broken: tuple[str, ...] = ()
    """Why tool calls could not be read."""
    cut: bool = False
    """It reached the limit of a reply."""
    refused: str = ""
    """Why the provider gave no answer, or withdrew what it had begun to say; empty when it answered."""


class Stream:
    """Takes the chunks of one reply and shows the text so far, masked as a whole, up to the last space in it."""

    def __init__(self, ports: RunPorts, model: str, role: str, room: int, count: Callable[[str], int]) -> None:
        self._ports = ports
        self._model = model
        self._role = role
        self._chunks: list[AIMessageChunk] = []
        self._text = ""
        self._shown = 0
        self._said: list[str] = []
        self._length = 0
        # Whoever keeps to the limit ends before this; who does not is ended by it.
        self._limit = room * 9 // 8 + SLACK
        self._count = count
        self._next_count = self._limit
        self.too_long = False
        """The reply is longer than it was allowed to be: it is to be ended here."""

    def take(self, chunk: Any) -> None:
        """Take one chunk; once the reply is too long, no more of it."""
        if self.too_long:
            return
        self._chunks.append(chunk)
        self._text += str(chunk.text)
        self._measure(
            whole_characters(str(chunk.text)) + "".join(part["args"] or "" for part in chunk.tool_call_chunks)
        )
        if len(self._text) - self._shown < SHOW_EVERY:
            return
        self._shown = len(self._text)
        whole = self._text[: max(self._text.rfind(" "), self._text.rfind("\n"), 0)]
        self._ports.journal.progress(
            self._model, {"role": self._role, "text": self._ports.mask(whole_characters(whole))[-SHOWN_CHARS:]}
        )

    @property
    def begun(self) -> bool:
        """Whether anything came."""
        return bool(self._chunks)

    def _measure(self, said: str) -> None:
        """A token is at least one character; how many it is can only be estimated."""
        self._said.append(said)
        self._length += len(said.encode("utf-8", "surrogatepass"))
        if self._length < self._next_count:
            return
        self._next_count = self._length * 17 // 16
        self.too_long = self._count("".join(self._said)) > self._limit

    def message(self) -> AIMessage:
        """Return the whole reply. Raises `ThinkingFailed` when nothing came."""
        if not self._chunks:
            raise ThinkingFailed("the reply was empty")
        first, *rest = self._chunks
        # Added up at once: one by one each sum would read the arguments of all tool calls again.
        whole = first + rest if rest else first
        calls, broken = _strict(whole)
        facts = {**whole.response_metadata, **_ends(self._chunks)}
        return AIMessage(
            content=whole.content,
            tool_calls=calls,
            invalid_tool_calls=broken,
            additional_kwargs=whole.additional_kwargs,
            usage_metadata=whole.usage_metadata,
            response_metadata={**facts, "finish_reason": _CUT[0]} if self.too_long else facts,
        )


def _ends(chunks: list[AIMessageChunk]) -> dict[str, str]:
    """Why a reply ended whose chunks say so more than once: LangChain joins what they say to one word.

    A refusal counts most, then a cut; else the last word.
    """
    ends: dict[str, str] = {}
    for name in _ENDS:
        told = [str(chunk.response_metadata[name]) for chunk in chunks if chunk.response_metadata.get(name)]
        if len(told) > 1:
            grave = (reason for known in (_REFUSED, _CUT, _MALFORMED) for reason in told if reason in known)
            ends[name] = next(grave, told[-1])
    return ends


def _strict(whole: AIMessageChunk) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """The calls whose arguments are whole JSON objects, and the others.

    LangChain completes torn arguments of a stream by guessing; what was cut off must not be called.
    """
    if not whole.tool_call_chunks:
        return whole.tool_calls, whole.invalid_tool_calls  # a client that hands over whole calls
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for number, chunk in enumerate(whole.tool_call_chunks):
        name, identity = chunk["name"] or "", chunk["id"] or f"call_{number}"
        try:
            calls.append(tool_call(name=name, args=arguments_object(chunk["args"] or ""), id=identity))
        except ValueError as error:
            broken.append(invalid_tool_call(name=name, args=chunk["args"], id=identity, error=str(error)))
    return calls, broken


def read_reply(message: AIMessage, mask: Callable[[str], str]) -> Reply:
    """Take apart what a provider's client made of the answer.

    A known secret in it, such as a key that a server repeats, is hidden before anything is stored. The gateway refuses
    a call with a hidden value.
    """
    calls = tuple(
        ReplyCall(tool=whole_characters(str(call["name"])), input=dict(_hidden(call["args"] or {}, mask)))
        for call in message.tool_calls
        if 0 < len(call["name"]) <= MAX_NAME and not too_deep(call["args"])
    )
    broken = tuple(
        mask(f"{call.get('name')}: {call.get('error') or 'its arguments are not a JSON object'}")
        for call in message.invalid_tool_calls
    )
    if len(calls) < len(message.tool_calls):
        broken = (*broken, "a call does not name its tool by a usable name, or its arguments are nested too deeply")
    reason = finish_reason(message)
    if reason in _MALFORMED and not calls:
        broken = (*broken, f"the provider could not read the call that the model made ({reason})")
    return Reply(
        text=mask(_said(whole_characters(str(message.text)))),
        calls=calls,
        broken=broken,
        cut=reason in _CUT,
        refused=mask(_refusal(message)),
    )


def _said(text: str) -> str:
    """The text without the thoughts before it, which some servers leave in it; a thought that does not end is all."""
    begun = _THOUGHT.match(text)
    if begun is None:
        return text
    closing = f"</{begun['tag']}>"
    thought, ended, after = text.partition(closing)
    return after if ended and (after.strip() or _CALL_MARK not in thought) else text if _CALL_MARK in thought else ""


def _hidden(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(whole_characters(value))
    if isinstance(value, dict):
        return {whole_characters(key): _hidden(inner, mask) for key, inner in value.items()}
    return [_hidden(inner, mask) for inner in value] if isinstance(value, list) else value


def finish_reason(message: AIMessage) -> str:
    """Return why the reply ended, in the provider's word; empty when it gave none."""
    facts = message.response_metadata or {}
    reason = facts.get("finish_reason") or facts.get("stop_reason") or facts.get("done_reason")
    if not reason and facts.get("incomplete_details"):  # OpenAI's Responses API
        reason = facts["incomplete_details"].get("reason")
    # Ollama's older servers say that they are done, and not why.
    done = "stop" if facts.get("done") is True else ""
    return str(reason or facts.get("status") or _blocked(facts) or done)


def _refusal(message: AIMessage) -> str:
    """Why there is no answer, in the provider's words."""
    facts, reason = message.response_metadata or {}, finish_reason(message)
    if reason not in _REFUSED and not _blocked(facts):
        parts = message.content if isinstance(message.content, list) else []
        told = "".join(str(part.get("refusal") or "") for part in parts if isinstance(part, dict))
        return str(message.additional_kwargs.get("refusal") or told)
    details = facts.get("stop_details")
    why = details.get("explanation") if isinstance(details, dict) else None
    return f"{reason}: {why}" if why else reason


def _blocked(facts: dict[str, Any]) -> str:
    """Why Google did not even ask the model; empty when it did."""
    feedback = facts.get("prompt_feedback")
    reason = feedback.get("block_reason") if isinstance(feedback, dict) else None
    return str(getattr(reason, "name", None) or reason or "")
