"""Speeds up LangChain's OpenAI client: work done for the previous request is not done again.

OpenAI's own package walks every message and every tool of a request in Python before it sends them, and LangChain
turns each message into a dictionary anew; after a hundred messages both take longer than everything else of a step.
What is passed as `extra_body` goes onto the wire as it is, and a message that was in the request before is not turned
again: the messages of a conversation are the same objects from request to request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr, model_validator

from lg_orch.llm.wire.openai_answers import standard_answer, with_whole_arguments
from lg_orch.llm.wire.openai_server_habits import WatchedCompletions

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

LARGE = ("messages", "tools")


class DirectChatOpenAI(ChatOpenAI):
    """The same requests, but for the name of a reply's limit what LangChain makes of them. A message that was sent must
    not be changed."""

    limit_name: str = "max_completion_tokens"
    """LangChain always says this one, which many servers that imitate OpenAI do not know."""

    _turned: dict[int, tuple[BaseMessage, dict[str, Any]]] = PrivateAttr(default_factory=dict)
    """The messages of the last request by identity, each with what LangChain made of it; an entry keeps its message
    alive, so that no other can have its identity."""

    @model_validator(mode="after")
    def _watch_streams(self) -> Self:
        self.async_client = WatchedCompletions(self.async_client)
        return self

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        said = response if isinstance(response, dict) or response is None else _plain(response)
        return super()._create_chat_result(with_whole_arguments(standard_answer(said)), generation_info)

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        messages = self._convert_input(input_).to_messages()
        new = [message for message in messages if id(message) not in self._turned]
        # The last one always, so that LangChain sees a conversation.
        asked = new if new and new[-1] is messages[-1] else [*new, messages[-1]]
        payload: dict[str, Any] = super()._get_request_payload(asked, stop=stop, **kwargs)
        if "messages" not in payload:  # the Responses API, which has other names
            return super()._get_request_payload(input_, stop=stop, **kwargs)
        known = self._turned | {
            id(message): (message, made) for message, made in zip(asked, payload["messages"], strict=True)
        }
        self._turned = {id(message): known[id(message)] for message in messages}
        payload["messages"] = [known[id(message)][1] for message in messages]
        if "max_completion_tokens" in payload:
            payload[self.limit_name] = payload.pop("max_completion_tokens")
        large = {name: payload.pop(name) for name in LARGE if name in payload}
        return {**payload, "messages": [], "extra_body": {**(payload.get("extra_body") or {}), **large}}


def _plain(response: Any) -> Any:
    """What the package made of an answer, as JSON values; it warns of values that it did not expect."""
    dump = getattr(response, "model_dump", None)
    return dump(warnings=False) if dump is not None else response
