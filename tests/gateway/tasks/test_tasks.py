"""A call that its server makes a task of stays a call of the gateway until the task ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from conformance.programs import fixture_url
from mcp.shared.exceptions import MCPError

from lg_gateway.ledger.halt import write_continue, write_halt
from tests.gateway.offers_rig import client_to, refused
from tests.gateway.rig import gateway_of, records, until
from tests.gateway.tasks.tasks_rig import CHILD, EXTENSION, about, called, stands, taking_tasks, tasks_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fixture_url(tmp_path_factory.mktemp("fixture")) as url:
        yield url


def ended(gateway: Any, tool: str, server: str = "fx") -> list[str]:
    ends = [row for row in records(gateway) if row["tool"] == f"{server}__{tool}" and row["phase"] == "ended"]
    return [row["outcome"] for row in ends]


async def test_a_call_that_becomes_a_task_is_over_when_the_task_is(tmp_path: Path, fixture: str) -> None:
    async with gateway_of(tmp_path, tasks_server(fixture)) as gateway, taking_tasks(gateway) as client:
        offered = (await client.session.send_discover("2026-07-28"))["capabilities"]["extensions"]
        task = await called(client, "fx__slow_compute", key="k1", seconds=1, label="x")
        again = await called(client, "fx__slow_compute", key="k1", seconds=1, label="x")
        before = ended(gateway, "slow_compute")
        done = await stands(client, task["taskId"], "completed")
        replayed = await called(client, "fx__slow_compute", key="k1", seconds=1, label="x")

        assert offered == {EXTENSION: {}}
        assert (task["resultType"], task["status"], task["statusMessage"]) == ("task", "working", "at it")
        assert again["taskId"] == task["taskId"]
        assert before == []
        assert done["result"]["content"] == [{"type": "text", "text": "computed x"}]
        assert done["result"]["_meta"]["com.example/task"] == 1
        assert done["result"]["_meta"]["lg/untrusted"] is True
        assert replayed["content"] == done["result"]["content"]
        assert ended(gateway, "slow_compute") == ["ok", "replayed"]


async def test_failures_and_cancellations_of_tasks_are_what_the_record_says(tmp_path: Path, fixture: str) -> None:
    async with gateway_of(tmp_path, tasks_server(fixture)) as gateway, taking_tasks(gateway) as client:
        failing, broken, slow, lost = [
            (await called(client, f"fx__{tool}", seconds=600))["taskId"]
            for tool in ("failing_job", "protocol_error_job", "slow_compute", "fx_lost_task")
        ]
        await about(client, "tasks/cancel", slow)
        failed = await stands(client, failing, "completed")
        error = await stands(client, broken, "failed")
        cancelled = await stands(client, slow, "cancelled")
        unknown = await stands(client, lost, "failed")

        assert failed["result"]["isError"] is True
        assert error["error"] == {"code": -32050, "message": "the job broke", "data": {"why": "because"}}
        assert "result" not in cancelled
        assert unknown["error"]["data"]["error"]["code"] == "outcome_unknown"
        outcomes = {tool: ended(gateway, tool) for tool in ("failing_job", "protocol_error_job", "slow_compute")}
        assert outcomes == {"failing_job": ["error"], "protocol_error_job": ["error"], "slow_compute": ["cancelled"]}
        assert ended(gateway, "fx_lost_task") == ["unknown"]


async def test_questions_of_a_task_are_quoted_and_answered_under_our_keys(tmp_path: Path, fixture: str) -> None:
    async with gateway_of(tmp_path, tasks_server(fixture)) as gateway, taking_tasks(gateway) as client:
        task = (await called(client, "fx__confirm_delete", filename="f"))["taskId"]
        asked = (await stands(client, task, "input_required"))["inputRequests"]
        ((key, question),) = asked.items()
        yes = {"action": "accept", "content": {"confirm": True, "extra": 1}}
        await about(client, "tasks/update", task, inputResponses={key: yes, "nobody-asked": yes})
        await about(client, "tasks/update", task, inputResponses={key: yes})
        done = await stands(client, task, "completed")

        assert key.startswith("ask.")
        assert "| Delete it?" in question["params"]["message"]
        assert done["result"]["content"][0]["text"] == "f: accept {'confirm': True}"
        notes = [note["detail"] for note in records(gateway, notes=True) if note["outcome"] == "server question"]
        assert [note.partition(" (")[0] for note in notes] == ["fx asked during fx__confirm_delete"]


async def test_while_calls_are_halted_a_task_gets_no_answer(tmp_path: Path, fixture: str) -> None:
    async with gateway_of(tmp_path, tasks_server(fixture)) as gateway, taking_tasks(gateway) as client:
        task = (await called(client, "fx__confirm_delete", filename="f"))["taskId"]
        (key,) = (await stands(client, task, "input_required"))["inputRequests"]
        answers = {key: {"action": "accept", "content": {"confirm": True}}}
        await gateway.store.write(lambda tx: write_halt(gateway.ledger, tx, by="ada", reason="enough"))
        with pytest.raises(MCPError, match="by ada: enough"):
            await about(client, "tasks/update", task, inputResponses=answers)
        await gateway.store.write(lambda tx: write_continue(gateway.ledger, tx, by="ada"))
        await about(client, "tasks/update", task, inputResponses=answers)
        await stands(client, task, "completed")


async def test_a_stream_tells_of_the_callers_own_tasks(tmp_path: Path, fixture: str) -> None:
    told: list[dict[str, Any]] = []
    acknowledged: list[Any] = []

    async def heard(message: Any) -> None:
        if isinstance(message, t.SubscriptionsAcknowledgedNotification):
            acknowledged.append(message.params.notifications.model_dump(by_alias=True, exclude_none=True))

    async with (
        gateway_of(tmp_path, tasks_server(fixture)) as gateway,
        taking_tasks(gateway, told=told, message_handler=heard) as client,
        anyio.create_task_group() as streams,
    ):
        task = (await called(client, "fx__slow_compute", seconds=600))["taskId"]
        wanted = t.SubscriptionFilter.model_validate({"taskIds": [task, "tk-" + "0" * 32]})
        listening = t.SubscriptionsListenRequest(params=t.SubscriptionsListenRequestParams(notifications=wanted))
        streams.start_soon(client.session.send_request, listening, t.SubscriptionsListenResult)
        await until(lambda: len(told) == 1)
        await about(client, "tasks/cancel", task)
        await until(lambda: len(told) > 1)
        streams.cancel_scope.cancel()

    assert acknowledged == [{"taskIds": [task]}]
    assert [(state["taskId"], state["status"]) for state in told] == [(task, "working"), (task, "cancelled")]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_cannot_take_tasks_gets_the_plain_result(tmp_path: Path, fixture: str, mode: str) -> None:
    """Also of a tool that its server, of 2026 or of 2025, runs only as a task."""
    async with gateway_of(tmp_path, tasks_server(fixture, mode)) as gateway, client_to(gateway, "legacy") as client:
        needed = await client.call_tool("fx__failing_job", {})
        plain = await client.call_tool("fx__slow_compute", {"seconds": 0, "label": "y"})

        assert needed.is_error is True
        assert [block.text for block in needed.content if isinstance(block, t.TextContent)] == ["the job failed"]
        assert plain.content == [t.TextContent(type="text", text="computed y")]
        assert ended(gateway, "failing_job") == ["error"]


async def test_tasks_of_a_2025_server_are_tasks_for_a_2026_client(tmp_path: Path, fixture: str) -> None:
    async with gateway_of(tmp_path, tasks_server(fixture, "legacy")) as gateway, taking_tasks(gateway) as client:
        slow, broken = [
            (await called(client, f"fx__{tool}", seconds=1, label="z"))["taskId"]
            for tool in ("slow_compute", "protocol_error_job")
        ]
        working = await about(client, "tasks/get", slow)
        done, failed = await stands(client, slow, "completed"), await stands(client, broken, "failed")

        assert (working["status"], working["pollIntervalMs"]) == ("working", 300)
        assert done["result"]["content"] == [{"type": "text", "text": "computed z"}]
        assert failed["error"]["code"] == -32050


async def test_at_the_limit_calls_are_made_without_tasks(tmp_path: Path, fixture: str) -> None:
    settings = tasks_server(fixture, tasks_at_once=1)
    async with gateway_of(tmp_path, settings) as gateway, taking_tasks(gateway) as client:
        task = (await called(client, "fx__slow_compute", seconds=600))["taskId"]
        plain = await called(client, "fx__slow_compute", seconds=0, label="p")
        needed = await called(client, "fx__failing_job")
        await about(client, "tasks/cancel", task)
        await stands(client, task, "cancelled")
        after = await called(client, "fx__failing_job")

        assert plain["content"] == [{"type": "text", "text": "computed p"}]
        assert needed["structuredContent"]["error"]["code"] == "limit_exceeded"
        assert after["resultType"] == "task"


async def test_a_task_outlives_its_gateway_where_its_server_does(tmp_path: Path, fixture: str) -> None:
    """What another gateway finds of it: of a server over HTTP its result, of a child that ended with it nothing."""
    settings = tasks_server(fixture) + CHILD
    async with gateway_of(tmp_path, settings) as gateway, taking_tasks(gateway) as client:
        kept = (await called(client, "fx__slow_compute", seconds=1, label="k"))["taskId"]
        lost = (await called(client, "child__slow_compute", seconds=1))["taskId"]
    async with gateway_of(tmp_path, settings) as gateway, taking_tasks(gateway) as client:
        done, unknown = await stands(client, kept, "completed"), await stands(client, lost, "failed")

        assert done["result"]["content"] == [{"type": "text", "text": "computed k"}]
        assert unknown["error"]["data"]["error"]["code"] == "outcome_unknown"
        assert ended(gateway, "slow_compute") == ["ok"]
        assert ended(gateway, "slow_compute", "child") == ["unknown"]


async def test_a_task_that_takes_too_long_is_given_up(tmp_path: Path, fixture: str) -> None:
    settings = tasks_server(fixture, task_lifetime="1s")
    async with gateway_of(tmp_path, settings) as gateway, taking_tasks(gateway) as client:
        task = await called(client, "fx__slow_compute", seconds=600)
        await until(lambda: bool(ended(gateway, "slow_compute")))
        late = await about(client, "tasks/get", task["taskId"])

        assert task["ttlMs"] == 1000
        assert late["error"]["data"]["error"]["code"] == "outcome_unknown"
        assert ended(gateway, "slow_compute") == ["unknown"]


async def test_requests_about_tasks_need_the_extension_and_a_task_of_ones_own(tmp_path: Path, fixture: str) -> None:
    async with gateway_of(tmp_path, tasks_server(fixture)) as gateway, taking_tasks(gateway) as client:
        unknown = await refused(about(client, "tasks/get", "tk-" + "0" * 32))
        async with client_to(gateway) as plain:
            undeclared = await refused(about(plain, "tasks/get", "tk-" + "0" * 32))
            needed = await refused(called(plain, "fx__failing_job"))
        async with client_to(gateway, "legacy") as older:
            method = await refused(about(older, "tasks/get", "tk-" + "0" * 32))

        assert (unknown.code, undeclared.code, needed.code, method.code) == (-32602, -32021, -32021, -32601)
        assert needed.error.data == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
