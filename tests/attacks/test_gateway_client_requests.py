"""Attempts of servers to flood clients, to ask those who did not call, and to ask when it is over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from conformance.probing.prober import Seen

from tests.gateway.elicitation.clients_of_servers import ALLOWED, answering, script, whole_protocol
from tests.gateway.elicitation.server_questions import CLIENTS
from tests.gateway.rig import ALLOW_ALL, gateway_of, text_of, until

pytestmark = pytest.mark.anyio
HOSTILE = "demanding_server.py"
QUESTIONS = 20
LOGS_AT_ONCE = 50


@pytest.mark.attack("Requests to clients", "3,000 log messages in one call")
@CLIENTS
async def test_a_server_that_floods_log_messages_gets_few_through_and_the_answer_comes(
    tmp_path: Path, mode: str
) -> None:
    seen = Seen()
    parts = (script(HOSTILE), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen) as client:
        result = await client.call_tool("a__flood_logs", {})

    assert "flooded" in text_of(result)
    assert 0 < len(seen.logs) <= 3 * LOGS_AT_ONCE


@pytest.mark.attack("Requests to clients", "log messages of a megabyte, as text and as nested data")
@CLIENTS
async def test_a_huge_log_message_is_cut_or_left_out(tmp_path: Path, mode: str) -> None:
    seen = Seen()
    parts = (script(HOSTILE), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen) as client:
        await client.call_tool("a__big_log", {})

    assert len(seen.logs) == 2
    assert all(len(json.dumps(message.data)) < 20_000 for message in seen.logs)
    assert "left out" in str(seen.logs[0].data)


@pytest.mark.attack("Requests to clients", "200 requests for a message at once")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_server_that_floods_requests_for_messages_reaches_the_client_a_few_times(
    tmp_path: Path, mode: str
) -> None:
    seen = Seen()
    parts = (script(HOSTILE, **ALLOWED), ALLOW_ALL)
    # A client of 2026 takes part in each round; this one in more than the gateway allows.
    rounds: dict[str, Any] = {"input_required_max_rounds": 10 * QUESTIONS} if mode != "legacy" else {}
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen, **rounds) as client:
        result = await client.call_tool("a__flood_sampling", {})

    assert 0 < len(seen.prompts) <= QUESTIONS
    assert result.is_error or json.loads(text_of(result))["error"] >= 200 - QUESTIONS


@pytest.mark.attack("Requests to clients", "a request for a message with a megabyte of prompt")
@CLIENTS
async def test_a_huge_prompt_is_refused(tmp_path: Path, mode: str) -> None:
    seen = Seen()
    parts = (script(HOSTILE, **ALLOWED), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen) as client:
        result = await client.call_tool("a__big_sampling", {})

    assert seen.prompts == []
    assert json.loads(text_of(result)) == {"result": 0, "error": 1}
    assert "more than 100000 characters" in str(result.content[-1])


@pytest.mark.attack("Requests to clients", "a question that may belong to the call of another identity")
async def test_a_server_that_asks_while_another_identity_calls_reaches_neither(tmp_path: Path) -> None:
    seen, other = Seen(), Seen()
    parts = (script(HOSTILE, **ALLOWED), ALLOW_ALL)
    async with (
        gateway_of(tmp_path, *parts) as gateway,
        answering(gateway, "legacy", seen) as client,
        answering(gateway, "legacy", other, identity="local:other") as stranger,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(stranger.call_tool, "a__hold", {})
        await until(lambda: gateway.upstreams["a"]._in_flight == 1)
        result = await client.call_tool("a__ask", {})
        tasks.cancel_scope.cancel()

    assert seen.prompts == []
    assert other.prompts == []
    assert json.loads(text_of(result)) == {"result": 0, "error": 1}
    assert "did not say for which call" in str(result.content[-1])


@pytest.mark.attack("Requests to clients", "a question after the answer, to whoever calls next")
async def test_a_server_that_asks_after_its_answer_reaches_nobody(tmp_path: Path) -> None:
    seen = Seen()
    parts = (script(HOSTILE, **ALLOWED), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, "legacy", seen) as client:
        await client.call_tool("a__ask_after", {})
        results = [text_of(await client.call_tool("a__flood_logs", {})) for _ in range(2)]

    assert seen.prompts == []
    assert all("flooded" in result for result in results)


@pytest.mark.attack("Requests to clients", "a question that is withdrawn and answered all the same")
@CLIENTS
async def test_a_question_that_its_server_withdraws_holds_nothing_up(tmp_path: Path, mode: str) -> None:
    parts = (script(HOSTILE, **ALLOWED), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, Seen()) as client:
        result = await client.call_tool("a__withdraw", {})

    assert "withdrawn" in text_of(result)


@pytest.mark.attack("Requests to clients", "a huge answer of a client to a request for a message or for roots")
@pytest.mark.parametrize("tool", ["fx_sample", "fx_roots"])
@pytest.mark.parametrize("era", ["2025", "2026"])
async def test_a_huge_answer_does_not_reach_the_server(tmp_path: Path, tool: str, era: str) -> None:
    async def long(context: Any, params: Any) -> t.CreateMessageResult:
        text = t.TextContent(type="text", text="x" * 2_000_000)
        return t.CreateMessageResult(role="assistant", content=text, model="m")

    async def many(context: Any) -> t.ListRootsResult:
        roots = [{"uri": f"file:///{number}{'x' * 100}"} for number in range(3_000)]
        return t.ListRootsResult.model_validate({"roots": roots})

    parts = (whole_protocol(era, **ALLOWED), ALLOW_ALL)
    own: dict[str, Any] = {"sampling_callback": long, "list_roots_callback": many}
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, "legacy", Seen(), **own) as client:
        result = await client.call_tool(f"a__{tool}", {})

    assert "more than 1" in str(result.content)
    assert len(str(result.content)) < 5_000
