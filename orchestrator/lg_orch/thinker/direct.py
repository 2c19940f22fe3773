"""LangChain's OpenAI client without the copy that OpenAI's own package makes of a conversation.

That package walks every message and every tool of a request in Python before it sends them, which after a hundred
messages takes longer than everything else of a step. What is passed as `extra_body` goes onto the wire as it is; the
messages are plain JSON already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_openai import ChatOpenAI

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput

LARGE = ("messages", "tools")


class DirectChatOpenAI(ChatOpenAI):
    """The same requests, byte for byte what LangChain made of them."""

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "messages" not in payload:  # the Responses API, which has other names
            return payload
        large = {name: payload.pop(name) for name in LARGE if name in payload}
        return {**payload, "messages": [], "extra_body": {**(payload.get("extra_body") or {}), **large}}
