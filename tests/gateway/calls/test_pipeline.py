"""One call from arrival to ledger, with real servers."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from tests.gateway.rig import ALLOW_ALL, call, gateway_of, journal, records, send, server, text_of, until

pytestmark = pytest.mark.anyio


async def test_an_allowed_call_is_answered_and_leaves_a_begun_and_an_ended_record(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        result = await call(gateway, "a__echo", text="hello")
        begun, ended = records(gateway)

    assert result.content[0].text == "hello"
    assert (begun["phase"], ended["phase"]) == ("begun", "ended")
    assert begun["request_id"] == ended["request_id"]
    assert begun["arguments"] == '{"text": "hello"}'
    assert begun["rule"] == "gateway.rules[0]"
    assert ended["outcome"] == "ok"
    assert ended["result_digest"]


async def test_a_call_that_needs_approval_does_not_reach_the_server(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), "[approval]\nhold_s = 0\n") as gateway:
        result = await call(gateway, "a__echo", text="x")
        record = records(gateway)[-1]

    assert result.is_error
    assert result.structured_content["error"]["code"] == "approval_required"
    assert journal(log) == []
    assert (record["outcome"], record["error_code"]) == ("refused", "approval_required")


async def test_a_denied_call_names_the_rule_and_the_reason(tmp_path: Path) -> None:
    rule = (
        '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "deny"\nreason = "not today"\n'
        'when = { properties = { text = { const = "no" } } }\n'
    )
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, rule) as gateway:
        refused = await call(gateway, "a__echo", text="no")
        allowed = await call(gateway, "a__echo", text="yes")

    assert refused.structured_content["error"]["code"] == "policy_denied"
    assert "not today" in refused.content[0].text
    assert allowed.content[0].text == "yes"


async def test_a_tool_that_is_denied_altogether_is_neither_listed_nor_known(tmp_path: Path) -> None:
    rule = '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "deny"\n'
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, rule) as gateway:
        names = [entry.name for entry in gateway.pipeline.decisions.tools("local:me")]
        with pytest.raises(MCPError, match="Unknown tool"):
            await call(gateway, "a__echo", text="x")
        record = records(gateway)[-1]

    assert "a__echo" not in names
    assert "a__peek" in names
    assert record["error_code"] == "not_found"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'text' is a required property"),
        ({"text": 5}, "text: 5 is not of type 'string'"),
        ({"text": "x", "more": 1}, "'more' was unexpected"),
        ({"text": "x", "count": 0}, "count: 0 is less than the minimum of 1"),
    ],
)
async def test_arguments_that_do_not_fit_the_schema_are_refused_by_name(
    tmp_path: Path, arguments: dict[str, object], words: str
) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        result = await call(gateway, "a__echo", **arguments)

    error = result.structured_content["error"]
    assert error["code"] == "invalid_arguments"
    assert words in error["message"]
    assert "text, count?" in error["hint"]
    assert journal(log) == []


async def test_a_mask_in_the_arguments_is_refused_so_that_it_is_never_written(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        result = await call(gateway, "a__echo", text="key = [secret:github_token:0123abcd]")

    assert result.structured_content["error"]["code"] == "invalid_arguments"
    assert "[secret:github_token:0123abcd]" in result.content[0].text


async def test_secrets_in_arguments_are_masked_before_a_record_exists(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        await call(gateway, "a__echo", text=f"use {token}")
        written = str(records(gateway))
        raw = b"".join(path.read_bytes() for path in gateway.setup.state.path.glob("gateway.sqlite*"))

    assert token not in written
    assert re.search(r"\[secret:github_token:[0-9a-f]{8}\]", written)
    assert token.encode() not in raw


async def test_an_answer_over_the_limit_is_cut_and_says_so(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, "[gateway]\nresult_max_bytes = 10_000\n") as gateway:
        result = await call(gateway, "a__big")

    assert sum(len(block.text) for block in result.content) < 10_000
    assert "cut by the gateway" in result.content[-1].text
    assert result.meta["lg/cut"]["limit"] == 10_000


async def test_an_answer_that_breaks_its_own_schema_is_an_error_result_where_the_settings_are_strict(
    tmp_path: Path,
) -> None:
    async with gateway_of(tmp_path, server("a", strict_results=True), ALLOW_ALL) as gateway:
        result = await call(gateway, "a__lie")

    assert result.structured_content["error"]["code"] == "internal"
    assert "does not fit the tool's own schema" in text_of(result)


async def test_a_servers_own_failure_passes_through_and_a_crash_leaks_nothing(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        failed = await call(gateway, "a__fail")
        crashed = await call(gateway, "a__crash")

    assert failed.is_error
    assert failed.content[0].text == "fail"
    assert crashed.is_error
    assert "inner secret detail" not in str(crashed)


async def test_a_cancelled_call_is_cancelled_at_the_server_and_recorded(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: call(gateway, "a__slow"))
            await until(lambda: len(journal(log)) == 1)
            tasks.cancel_scope.cancel()
        await until(lambda: {"cancelled": "slow"} in journal(log))
        record = records(gateway)[-1]

    assert (record["phase"], record["outcome"]) == ("ended", "cancelled")


async def test_a_call_that_takes_too_long_is_ended_with_timeout(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    part = server("a", "--journal", str(log), call_timeout_s=1.0)
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        result = await call(gateway, "a__slow")
        await until(lambda: {"cancelled": "slow"} in journal(log))

    assert result.structured_content["error"]["code"] == "timeout"
    assert "may have taken effect" in result.content[0].text


async def test_progress_of_a_server_reaches_the_caller(tmp_path: Path) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        await send(gateway, "a__progress", {}, progress=note)

    assert seen == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_run_and_key_are_recorded_and_stripped_before_an_untrusted_server(tmp_path: Path) -> None:
    meta = {
        "lg/run": {"run_id": "r1", "epoch": 2, "step": "s"},
        "baggage": "other=1",
        "io.modelcontextprotocol/clientInfo": {"name": "x"},
        "vendor/key": "kept",
    }
    async with gateway_of(tmp_path, server("a"), server("b", trusted=True), ALLOW_ALL) as gateway:
        seen = {}
        for name in ("a", "b"):
            marked = meta | {"baggage": f"idempotency-key=r1%3A{name},other=1"}
            answer = await send(gateway, f"{name}__meta", {}, meta=marked)
            seen[name] = answer.structured_content["meta"]
        record = records(gateway)[0]

    assert (record["run_id"], record["idempotency_key"]) == ("r1", "r1:a")
    assert seen["a"]["vendor/key"] == "kept"
    assert seen["a"]["baggage"] == "other=1"
    assert not {"lg/run", "lg/idempotency-key"} & seen["a"].keys()
    assert seen["b"]["lg/run"] == {"run_id": "r1", "epoch": 2, "step": "s"}
    assert len(seen["b"]["lg/idempotency-key"]) == 64, "the key of this caller in this run, and nobody else's"
    assert seen["b"]["baggage"] == "other=1"


async def test_marks_that_disagree_are_refused(tmp_path: Path) -> None:
    meta = {"lg/idempotency-key": "one", "baggage": "idempotency-key=two"}
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        answer = await send(gateway, "a__echo", {"text": "x"}, meta=meta)

    assert answer.structured_content["error"]["code"] == "invalid_arguments"
