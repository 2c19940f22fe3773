"""The requests of our OpenAI client are those of LangChain's, however often parts of them were sent before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from lg_orch.llm.wire.openai_client import DirectChatOpenAI

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def sent_by(client: ChatOpenAI, messages: list[BaseMessage]) -> dict[str, Any]:
    payload = client._get_request_payload(messages, tools=TOOLS)
    body = {**payload, **payload.pop("extra_body", {})}
    body.pop("extra_body", None)
    return body


def a_turn(number: int) -> list[BaseMessage]:
    call = {"name": "look", "args": {"at": number}, "id": f"call_{number}", "type": "tool_call"}
    return [AIMessage("", tool_calls=[call]), ToolMessage(f"seen {number}", tool_call_id=f"call_{number}")]


def test_a_conversation_that_grows_shrinks_and_repeats_itself_is_sent_as_langchain_sends_it() -> None:
    ours = DirectChatOpenAI(model="o1", api_key=SecretStr("none"), use_responses_api=False)
    theirs = ChatOpenAI(model="o1", api_key=SecretStr("none"), use_responses_api=False)
    start: list[BaseMessage] = [SystemMessage("rules"), HumanMessage("request")]
    turns = [message for number in range(5) for message in a_turn(number)]
    for messages in (
        start,
        start + turns[:4],
        start + turns[:4],
        start + turns,
        start[:1] + turns[6:],
        [*start, HumanMessage("again"), start[1], *turns],
        [SystemMessage("other rules"), *turns],
    ):
        assert sent_by(ours, messages) == sent_by(theirs, messages)


def test_the_responses_interface_is_given_the_whole_conversation() -> None:
    ours = DirectChatOpenAI(model="gpt-x", api_key=SecretStr("none"), use_responses_api=True)
    theirs = ChatOpenAI(model="gpt-x", api_key=SecretStr("none"), use_responses_api=True)
    messages: list[BaseMessage] = [SystemMessage("rules"), HumanMessage("request"), *a_turn(1)]
    for given in (messages, [*messages, *a_turn(2)]):
        assert sent_by(ours, given) == sent_by(theirs, given)
        assert len(sent_by(ours, given)["input"]) == len(given)
