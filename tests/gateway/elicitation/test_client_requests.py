"""What servers ask of clients besides forms, and what they tell them, in both eras on both sides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import mcp_types as t
import pytest
from conformance.probing.prober import Seen
from mcp.shared.exceptions import MCPError

from tests.gateway.elicitation.clients_of_servers import ALLOWED, answering, whole_protocol
from tests.gateway.elicitation.server_questions import CLIENTS
from tests.gateway.rig import ALLOW_ALL, gateway_of, records, text_of, until

pytestmark = pytest.mark.anyio
SERVERS = pytest.mark.parametrize("era", ["2025", "2026"])
ASKED = pytest.mark.parametrize("tool", ["fx_sample", "fx_roots"])


@CLIENTS
@SERVERS
@ASKED
async def test_a_request_for_a_message_or_roots_is_refused_unless_the_settings_allow_it(
    tmp_path: Path, mode: str, era: str, tool: str
) -> None:
    seen = Seen()
    async with (
        gateway_of(tmp_path, whole_protocol(era), ALLOW_ALL) as gateway,
        answering(gateway, mode, seen) as client,
    ):
        result = await client.call_tool(f"a__{tool}", {})

    assert seen.prompts == []
    assert seen.roots == 0
    assert "failed" in text_of(result) or result.is_error
    assert result.is_error is (era == "2026")
    if era == "2026":
        assert 'gateway.servers.a.sampling = "client"' in text_of(result) or "roots" in text_of(result)


@CLIENTS
@SERVERS
@ASKED
async def test_an_allowed_request_reaches_the_client_and_the_ledger_notes_it_without_the_answer(
    tmp_path: Path, mode: str, era: str, tool: str
) -> None:
    seen = Seen()
    parts = (whole_protocol(era, **ALLOWED), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen) as client:
        result = await client.call_tool(f"a__{tool}", {})
        notes = [note["detail"] for note in records(gateway, notes=True) if note["outcome"] == "server question"]

    assert text_of(result) in ("SAMPLED", "file:///probe/root")
    assert [note.rpartition(" ")[2] for note in notes] == ["answered"]
    assert "SAMPLED" not in str(notes)
    assert "probe/root" not in str(notes)
    marks = [prompt.meta for prompt in seen.prompts]
    shown = {"lg/server": "a", "lg/untrusted": True} if mode == "legacy" else None  # a round of 2026 has no `_meta`
    assert marks == ([shown] if tool == "fx_sample" else [])


@CLIENTS
@SERVERS
@ASKED
async def test_a_client_that_cannot_answer_is_not_asked(tmp_path: Path, mode: str, era: str, tool: str) -> None:
    seen = Seen()
    nothing: dict[str, Any] = {"sampling_callback": None, "list_roots_callback": None}
    parts = (whole_protocol(era, **ALLOWED), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen, **nothing) as client:
        result = await client.call_tool(f"a__{tool}", {})

    assert "cannot answer" in str(result.content)


@SERVERS
async def test_a_client_that_refuses_ends_the_request(tmp_path: Path, era: str) -> None:
    async def no(context: Any, params: Any) -> t.ErrorData:
        return t.ErrorData(code=-1, message="User rejected sampling request")

    parts = (whole_protocol(era, **ALLOWED), ALLOW_ALL)
    async with (
        gateway_of(tmp_path, *parts) as gateway,
        answering(gateway, "legacy", Seen(), sampling_callback=no) as client,
    ):
        result = await client.call_tool("a__fx_sample", {})

    assert "User rejected sampling request" in text_of(result)
    assert "failed: -1" in text_of(result) if era == "2025" else result.is_error


@SERVERS
async def test_a_message_asked_for_and_answered_as_a_form_ends_the_call_with_an_error(tmp_path: Path, era: str) -> None:
    parts = (whole_protocol(era, **ALLOWED), ALLOW_ALL)
    async with (
        gateway_of(tmp_path, *parts) as gateway,
        answering(gateway, "2026-07-28", Seen()) as client,
    ):
        asked = await client.session.call_tool("a__fx_sample", {}, allow_input_required=True)
        assert isinstance(asked, t.InputRequiredResult)
        (key,) = asked.input_requests or {}
        wrong: dict[str, Any] = {key: t.ElicitResult(action="accept", content={"a": "b"})}
        result = await client.session.call_tool(
            "a__fx_sample", {}, input_responses=wrong, request_state=asked.request_state
        )

    assert isinstance(result, t.CallToolResult)
    assert result.is_error
    assert "the answer to sampling/createMessage is not a message" in text_of(result)


@CLIENTS
@SERVERS
async def test_a_page_is_shown_with_its_host_and_never_fetched(tmp_path: Path, mode: str, era: str) -> None:
    seen = Seen()
    async with (
        gateway_of(tmp_path, whole_protocol(era), ALLOW_ALL) as gateway,
        answering(gateway, mode, seen) as client,
    ):
        result = await client.call_tool("a__fx_url", {})

    (page,) = seen.pages
    assert "action=accept" in text_of(result)
    assert page.url == "https://example.com/x"
    assert page.message.splitlines()[:4] == [
        "A server asks you to open a web page. Its words stand behind |.",
        "server: a (third party)",
        "while running: fx_url",
        "host: example.com",
    ]
    assert "| Open this" in page.message


@CLIENTS
async def test_a_2025_server_that_refuses_a_call_until_a_page_is_opened_gets_it_opened(
    tmp_path: Path, mode: str
) -> None:
    seen = Seen()
    parts = (whole_protocol("2025"), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen) as client:
        result = await client.call_tool("a__fx_url_required", {})

    assert text_of(result) == "opened"
    assert [page.url for page in seen.pages] == ["https://example.com/x"]


async def test_a_2025_client_is_told_that_a_page_is_done_with(tmp_path: Path) -> None:
    shown, told = list[str](), list[str]()

    async def open_page(_context: Any, params: Any) -> t.ElicitResult:
        shown.append(params.elicitation_id)
        return t.ElicitResult(action="accept")

    async def heard(message: Any) -> None:
        if isinstance(message, t.ElicitCompleteNotification):
            told.append(message.params.elicitation_id)

    own: dict[str, Any] = {"elicitation_callback": open_page, "message_handler": heard}
    async with (
        gateway_of(tmp_path, whole_protocol("2025"), ALLOW_ALL) as gateway,
        answering(gateway, "legacy", Seen(), **own) as client,
    ):
        result = await client.call_tool("a__fx_url_required", {})
        await until(lambda: bool(told))

    assert text_of(result).startswith("opened")
    assert told == shown
    assert shown != ["e1"], "the client knows the page by an id of the gateway"


@CLIENTS
async def test_a_page_that_nobody_opens_ends_the_call(tmp_path: Path, mode: str) -> None:
    async def no(context: Any, params: Any) -> t.ElicitResult:
        return t.ElicitResult(action="decline")

    parts = (whole_protocol("2025"), ALLOW_ALL)
    async with (
        gateway_of(tmp_path, *parts) as gateway,
        answering(gateway, mode, Seen(), elicitation_callback=no) as client,
    ):
        result = await client.call_tool("a__fx_url_required", {})

    assert result.is_error
    assert "only after you have opened its page" in text_of(result)


@SERVERS
async def test_log_messages_say_which_server_they_come_from_and_show_no_secret(tmp_path: Path, era: str) -> None:
    seen = Seen()
    parts = (whole_protocol(era), ALLOW_ALL, '[gateway.secret_patterns]\nword = "processing"\n')
    for mode in ("legacy", "2026-07-28"):
        async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, seen) as client:
            await client.call_tool("a__fx_log", {})

    assert [message.logger for message in seen.logs] == ["a/fixture"] * 6
    assert [str(message.data).split()[-1] for message in seen.logs] == ["started", "data", "completed"] * 2
    assert "processing" not in str(seen.logs)
    assert seen.logs[0].meta == {"lg/server": "a", "lg/untrusted": True}


@SERVERS
async def test_a_client_gets_log_messages_from_its_own_level_on(tmp_path: Path, era: str) -> None:
    quiet, silent, loud = Seen(), Seen(), Seen()
    async with gateway_of(tmp_path, whole_protocol(era), ALLOW_ALL) as gateway:
        async with answering(gateway, "legacy", quiet) as client:
            params = t.SetLevelRequestParams(level="error")
            await client.session.send_request(t.SetLevelRequest(params=params), t.EmptyResult)
            await client.call_tool("a__fx_log", {})
            status = json.loads(text_of(await client.call_tool("a__fx_status", {})))
        async with answering(gateway, "2026-07-28", silent, log_level=None) as client:
            await client.call_tool("a__fx_log", {})
        async with answering(gateway, "2026-07-28", loud, log_level="info") as client:
            await client.call_tool("a__fx_log", {})

    assert quiet.logs == []
    assert silent.logs == []
    assert len(loud.logs) == 3
    assert status["level"] == ("error" if era == "2025" else None)


async def test_a_2026_server_is_told_what_the_client_of_each_call_can_answer(tmp_path: Path) -> None:
    told = []
    owns: list[dict[str, Any]] = [
        {}, {"sampling_callback": None}, {"elicitation_callback": None, "sampling_callback": None},
    ]  # fmt: skip
    parts = (whole_protocol("2026", sampling="client"), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway:
        for own in owns:
            async with answering(gateway, "2026-07-28", Seen(), **own) as client:
                told.append(json.loads(text_of(await client.call_tool("a__fx_meta", {})))["caps"])

    forms: dict[str, Any] = {"form": {}, "url": {}}
    assert told == [{"elicitation": forms, "sampling": {}}, {"elicitation": forms}, {}]


async def test_a_2026_client_learns_from_the_servers_own_error_what_it_must_declare(tmp_path: Path) -> None:
    parts = (whole_protocol("2026", sampling="client"), ALLOW_ALL)
    async with (
        gateway_of(tmp_path, *parts) as gateway,
        answering(gateway, "2026-07-28", Seen(), sampling_callback=None) as client,
    ):
        with pytest.raises(MCPError) as raised:
            await client.call_tool("a__test_missing_capability", {})

    assert raised.value.code == t.MISSING_REQUIRED_CLIENT_CAPABILITY
    assert raised.value.error.data == {"requiredCapabilities": {"sampling": {}}}


@CLIENTS
async def test_a_servers_own_error_reaches_the_client_with_its_code_and_data(tmp_path: Path, mode: str) -> None:
    """A run of lg-orch gets it as a failed result, which its model can read."""
    parts, run = (whole_protocol("2026"), ALLOW_ALL), cast(Any, {"lg/run": {"run_id": "r1"}})
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, mode, Seen()) as client:
        with pytest.raises(MCPError) as raised:
            await client.call_tool("a__fx_protocol_error", {})
        result = await client.call_tool("a__fx_protocol_error", {}, meta=run)
        ends = [row for row in records(gateway) if row["phase"] == "ended"]

    kept = (result.meta or {})["lg/server-error"]
    assert (raised.value.code, raised.value.error.data) == (-32050, {"why": "because"})
    assert result.is_error
    assert (kept["code"], kept["data"]) == (-32050, {"why": "because"})
    assert [(row["outcome"], row["error_code"]) for row in ends] == [("error", "internal")] * 2


async def test_a_server_shown_as_it_is_keeps_its_schemas_and_the_keys_of_its_questions(tmp_path: Path) -> None:
    parts = (whole_protocol("2026", naming="none", schemas="own"), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, answering(gateway, "2026-07-28", Seen()) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        asked = await client.session.call_tool("test_input_required_result_elicitation", {}, allow_input_required=True)

    assert "$defs" in tools["json_schema_2020_12_tool"].input_schema
    assert isinstance(asked, t.InputRequiredResult)
    assert list(asked.input_requests or {}) == ["user_name"]
