"""Marks the parts of a request for Anthropic's cache, which caches only marked parts and allows four marks.

The first stands after the rules, and so after the tools, which come before them on the wire: the same in every run.
The second stands after the task, which stays when old results give way. The third stands where the request before this
one ended, the fourth at this one's end: so each request reads what the one before it wrote, however many results lie
between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, SystemMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

_MARK = {"cache_control": {"type": "ephemeral"}}


def marked_for_cache(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages of a continuing conversation, with marks.

    All become blocks, also those without a mark: what was sent before must look the same when the marks moved on.
    """
    places = _places(messages)
    return [
        message if isinstance(message, AIMessage) else _in_blocks(message, marked=place in places)
        for place, message in enumerate(messages)
    ]


def _places(messages: Sequence[BaseMessage]) -> set[int]:
    rules = [place for place, message in enumerate(messages) if isinstance(message, SystemMessage)][-1:]
    task = [place for place, message in enumerate(messages) if not isinstance(message, SystemMessage)][:1]
    said = [place for place, message in enumerate(messages) if isinstance(message, AIMessage)]
    before = [said[-1] - 1] if said and said[-1] > 0 else []
    return {*rules, *task, *before, len(messages) - 1}


def _in_blocks(message: BaseMessage, *, marked: bool) -> BaseMessage:
    if not isinstance(message.content, str):
        return message
    block: dict[str, Any] = {"type": "text", "text": message.content} | (_MARK if marked else {})
    return message.model_copy(update={"content": [block]})
