"""What a model is told, in one line, about a reply that cannot be used; told once, then the run says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.errors import ThinkingFailed
from lg_orch.llm.text_calls import ASK_FOR_CALL, SERVER_SETTING, before_calls, looks_like_calls

if TYPE_CHECKING:
    from lg_orch.llm.replies import Reply

_WORDS, _BROKEN, _CUT, _EMPTY = "words", "broken", "cut", "empty"
_TELL_CUT = (
    "Your reply was cut off at its limit, before a tool call. Make the next call at once, or say in one sentence that "
    "the work is done."
)
_TELL_EMPTY = "Your reply was empty. Make the next tool call, or say in one sentence what was done."


def wrong_with(reply: Reply, *, in_words: bool) -> tuple[str, str]:
    """Return the kind of fault that a reply has, and what to tell the model; empty for a reply that can be used."""
    if in_words and not reply.calls:
        return _WORDS, ASK_FOR_CALL
    if reply.broken:
        return _BROKEN, f"Unreadable call: {'; '.join(reply.broken)}"
    if reply.calls:
        return "", ""
    if reply.cut:
        return _CUT, _TELL_CUT
    return ("", "") if reply.text.strip() else (_EMPTY, _TELL_EMPTY)


def refuse_second(problem: str, reply: Reply) -> None:
    """Raise `ThinkingFailed` for a reply that has the same fault as the one before it, unless it can be used."""
    if reply.calls:
        return
    if problem == _WORDS and looks_like_calls(reply.text) and not before_calls(reply.text):
        raise ThinkingFailed(SERVER_SETTING)
    if problem == _BROKEN:
        raise ThinkingFailed(f"the model's tool calls could not be read, twice in a row: {'; '.join(reply.broken)}")
    if problem == _CUT:
        raise ThinkingFailed("the model reached the reply limit without making a call (models.*.max_reply_tokens)")
    if problem == _EMPTY:
        raise ThinkingFailed("the model gave an empty answer, twice in a row")
