"""What a conversation said before this run: messages exactly as they were sent, so that a provider's cache holds.

A run that follows another one begins its requests with the messages of the last request of that run. They are kept in
the run's directory, masked as they were sent. Where they take more than half of what a request may have, only the
requests and the closing words of earlier runs are told; the messages then stay so for the rest of the run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from lg_orch.prompts.loading import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = 1
MAX_EXCHANGES = 20
"""Earlier requests that are told where their messages are left out."""
MAX_REQUEST, MAX_WORDS = 1_000, 2_000
"""Characters of an earlier request and of the words that closed it, where they stand for its messages."""
LEFT_OUT = "Earlier in this conversation; the results were left out to save room:"
NO_WORDS = "(The run ended without an answer.)"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request of the user, and how it was answered."""

    request: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The conversation before a run."""

    messages: tuple[BaseMessage, ...] = ()
    """After the rules, which are the same in every run."""
    rules: tuple[str, ...] = ()
    """Names of the prompts that it begins with."""
    told: tuple[str, ...] = ()
    """Names of those that were told since, with a request."""
    calls: int = 0
    """Calls in it: numbers that the run's own calls must not have again."""
    exchanges: tuple[Exchange, ...] = ()

    def within(self, count: Callable[[str], int], room: int) -> Earlier:
        """Return the same, told in short if it needs more than `room` tokens."""
        if not self.messages or count("\n".join(_text(message) for message in self.messages)) <= room:
            return self
        return replace(self, messages=(HumanMessage(self.summary()),), told=())

    def summary(self) -> str:
        """Return the earlier requests and answers as one text; empty when there are none."""
        if not self.exchanges:
            return ""
        told = [
            f"<request>\n{exchange.request[:MAX_REQUEST]}\n</request>\nAnswer: {exchange.words[:MAX_WORDS]}"
            for exchange in self.exchanges[-MAX_EXCHANGES:]
        ]
        return "\n\n".join((LEFT_OUT, *told))


def continued(
    before: Earlier, sent: Sequence[BaseMessage], request: str, words: str, calls: int, mask: Callable[[str], str]
) -> Earlier:
    """Return the conversation after a run: the messages of its last request and its closing words."""
    said = words.strip() or NO_WORDS
    messages = (*sent, AIMessage(said))
    return Earlier(
        messages=tuple(_masked(message, mask) for message in messages),
        rules=before.rules,
        told=before.told,
        calls=before.calls + calls,
        exchanges=(*before.exchanges, Exchange(request=mask(request), words=mask(said)))[-MAX_EXCHANGES:],
    )


def dumped(earlier: Earlier) -> bytes:
    """Return a conversation as JSON."""
    return json.dumps({
        "version": VERSION,
        "rules": list(earlier.rules),
        "told": list(earlier.told),
        "calls": earlier.calls,
        "exchanges": [[exchange.request, exchange.words] for exchange in earlier.exchanges],
        "messages": [_plain(message) for message in earlier.messages],
    }, ensure_ascii=False).encode()  # fmt: skip


def loaded(data: bytes) -> Earlier:
    """Return a conversation from JSON. Raises `ValueError` for what is none."""
    kept: Any = json.loads(data)
    try:
        if kept["version"] != VERSION:
            raise ValueError(f"a conversation of version {kept['version']!r} cannot be read")
        return Earlier(
            messages=tuple(_message(plain) for plain in kept["messages"]),
            rules=tuple(name for name in kept["rules"] if name in NAMES),
            told=tuple(name for name in kept["told"] if name in NAMES),
            calls=int(kept["calls"]),
            exchanges=tuple(Exchange(request=str(one), words=str(other)) for one, other in kept["exchanges"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no conversation: {error!r}") from error


def _plain(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, ToolMessage):
        return {"role": "tool", "content": str(message.content), "id": message.tool_call_id}
    if isinstance(message, AIMessage):
        calls = [{"id": call["id"], "name": call["name"], "args": call["args"]} for call in message.tool_calls]
        return {"role": "assistant", "content": str(message.content)} | ({"calls": calls} if calls else {})
    return {"role": "user", "content": str(message.content)}


def _message(plain: dict[str, Any]) -> BaseMessage:
    content = str(plain["content"])
    if plain["role"] == "tool":
        return ToolMessage(content=content, tool_call_id=str(plain["id"]))
    if plain["role"] == "assistant":
        calls: list[Any] = [{**call, "type": "tool_call"} for call in plain.get("calls", ())]
        return AIMessage(content=content, tool_calls=calls)
    return HumanMessage(content)


def _masked(message: BaseMessage, mask: Callable[[str], str]) -> BaseMessage:
    hidden = message.model_copy(update={"content": mask(str(message.content))})
    if isinstance(hidden, AIMessage) and hidden.tool_calls:
        arguments = json.dumps(hidden.tool_calls, ensure_ascii=False)
        if mask(arguments) != arguments:
            calls: list[Any] = [{**call, "args": {"masked": True}} for call in hidden.tool_calls]
            return hidden.model_copy(update={"tool_calls": calls})
    return hidden


def _text(message: BaseMessage) -> str:
    calls = getattr(message, "tool_calls", None)
    return f"{message.content}{json.dumps(calls)}" if calls else str(message.content)
