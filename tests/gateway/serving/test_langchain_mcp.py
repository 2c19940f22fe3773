"""LangChain's own adapter before the gateway: it starts again from the first round each time it is resumed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.gateway.approvals.support_approvals import APPROVE
from tests.gateway.rig import gateway_command, journal, server, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


async def step(config: Path, saver: Any, given: Any) -> Any:
    """Run one turn of a graph with one tool call, each time with a new gateway process; return its state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fastmcp.client import Client
        from fastmcp.client.transports import StdioTransport
        from langchain.mcp import MCPAdapter
        from langchain_core.messages import AIMessage
        from langgraph.graph import START, MessagesState, StateGraph
        from langgraph.prebuilt import ToolNode

    launch = gateway_command("--config", str(config))
    transport = StdioTransport(launch.command, launch.args, env=launch.env)
    with anyio.fail_after(90):
        async with MCPAdapter(Client(transport, mode="2026-07-28")) as adapter:
            tools = await adapter.list_tools()
            graph = StateGraph(MessagesState)
            graph.add_node("tools", ToolNode(tools))
            graph.add_edge(START, "tools")
            compiled = graph.compile(checkpointer=saver)
            calls = [{"name": "a__ask", "args": {"message": "Which?"}, "id": "c1", "type": "tool_call"}]
            first: Any = {"messages": [AIMessage(content="", tool_calls=calls)]}
            return await compiled.ainvoke(first if given is None else given, {"configurable": {"thread_id": "t"}})


async def test_a_run_is_approved_and_answers_a_servers_question_each_time_from_a_new_process(tmp_path: Path) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    log = tmp_path / "journal"
    config = write_config(tmp_path, server("a", "--journal", str(log)), APPROVE)
    saver = InMemorySaver()
    asked = await step(config, saver, None)
    (gate,) = asked["__interrupt__"][0].value["requests"]
    asked = await step(config, saver, Command(resume={"responses": {gate["key"]: yes({"decision": "once"})}}))
    (question,) = asked["__interrupt__"][0].value["requests"]
    done = await step(config, saver, Command(resume={"responses": {question["key"]: yes({"colour": "red"})}}))

    assert gate["message"].startswith("A tool call needs your approval.")
    assert "| Which?" in question["message"]
    assert "accept red" in str(done["messages"][-1].content)
    assert [line["answer"] for line in journal(log) if "answer" in line] == ["accept"]


def yes(content: dict[str, Any]) -> dict[str, Any]:
    return {"action": "accept", "content": content}
