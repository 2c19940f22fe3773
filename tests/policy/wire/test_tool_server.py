"""One error contract for all our servers, in both protocol eras."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest
from mcp import Client, MCPError
from mcp import types as t

from tests.policy.wire.support_server import server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["legacy", "auto"])
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_a_good_call_answers_text_and_structure_and_reports_progress(mode: Any) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    with anyio.fail_after(60):
        async with Client(server(), mode=mode) as client:
            result = await client.call_tool("half", {"n": 8}, progress_callback=on_progress)
            tool = (await client.list_tools()).tools[0]
    assert result.structured_content == {"half": 4, "key": None}
    assert isinstance(result.content[0], t.TextContent)
    assert result.content[0].text == "half is 4"
    assert seen == [1]
    assert tool.meta is not None
    assert tool.meta["lg/root"] == {"id": "1", "name": "x"}
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint is True


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ({"n": 0}, "not_found", "nothing is half of zero (try 2)"),
        ({"n": 1}, "internal", "half failed unexpectedly"),
        ({"n": "x"}, "invalid_arguments", "n: 'x' is not of type 'integer' (a whole number)"),
        ({}, "invalid_arguments", "arguments: n (required)"),
        ({"n": 2, "z": 1}, "invalid_arguments", "'z' was unexpected"),
    ],
)
async def test_a_refusal_is_an_error_result_with_code_message_and_hint(
    mode: Any, arguments: dict[str, Any], code: str, said: str
) -> None:
    with anyio.fail_after(60):
        async with Client(server(), mode=mode) as client:
            result = await client.call_tool("half", arguments)
    assert result.is_error
    assert result.structured_content["error"]["code"] == code
    assert isinstance(result.content[0], t.TextContent)
    assert said in result.content[0].text
    assert "internal detail" not in str(result)


async def test_an_unknown_tool_is_a_protocol_error(mode: Any) -> None:
    with anyio.fail_after(60):
        async with Client(server(), mode=mode) as client:
            with pytest.raises(MCPError, match="Unknown tool: nope"):
                await client.call_tool("nope", {})


async def test_the_idempotency_key_reaches_the_handler() -> None:
    meta = cast("t.RequestParamsMeta", {"lg/idempotency-key": "r:1"})
    with anyio.fail_after(60):
        async with Client(server()) as client:
            result = await client.call_tool("half", {"n": 4}, meta=meta)
    assert result.structured_content["key"] == "r:1"
