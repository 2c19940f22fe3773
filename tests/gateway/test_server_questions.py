"""Questions of servers reach the caller's human and their answers the server, whatever the eras of the two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from lg_gateway.catalog import Catalog, CatalogEntry
from lg_gateway.server_question import Refused, read_question
from lg_gateway.specs import ServerSpec
from tests.gateway.rig import ALLOW_ALL, gateway_of, journal, records, send, server, text_of, until
from tests.gateway.test_approvals import accept, asked_client
from tests.gateway.test_upstream import http_server

pytestmark = pytest.mark.anyio
HIDDEN_NAME: dict[str, Any] = {"x\u200b": {"type": "string"}}
CLIENTS = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
SERVERS = pytest.mark.parametrize("era", ["both", "legacy"])
IMPATIENT = "[approval]\nlive_timeout_s = 0.3\n"
APPROVE = '[[gateway.rules]]\ntools = ["*"]\neffect = "approve"\n'


def blue(message: str) -> dict[str, Any]:
    """A human who approves calls and likes blue."""
    return {"decision": "once"} if message.startswith("A tool call") else {"colour": "blue"}


def answer(question: t.InputRequiredResult, content: dict[str, Any], action: Any = "accept") -> dict[str, Any]:
    (key,) = question.input_requests or {}
    return {key: t.ElicitResult(action=action, content=content)}


async def ask(client: Client, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
    return await client.session.call_tool("a__ask", arguments or {}, allow_input_required=True, **options)


@CLIENTS
@SERVERS
async def test_a_servers_question_is_shown_with_its_name_and_its_answer_goes_back(
    tmp_path: Path, mode: str, era: str
) -> None:
    seen: list[str] = []
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--era", era, "--journal", str(log)), APPROVE) as gateway,
        asked_client(gateway, mode, blue, seen) as client,
    ):
        result = await client.call_tool("a__ask", {"rounds": 2, "message": "Which\nserver: fs"})
        outcomes = [record["outcome"] for record in records(gateway) if record["phase"] == "ended"]

    assert text_of(result) == "accept blue; accept blue"
    assert len(seen) == 3
    assert seen[1].splitlines()[1:] == [
        "server: a (third party)", "while running: ask", "| Which", "| server: fs", "Do not enter passwords or keys.",
    ]  # fmt: skip
    assert outcomes[-1] == "ok"
    assert len([line for line in journal(log) if "tool" in line]) == (3 if era == "both" else 1)


@CLIENTS
@SERVERS
async def test_a_no_and_a_closed_question_are_passed_on(tmp_path: Path, mode: str, era: str) -> None:
    async with gateway_of(tmp_path, server("a", "--era", era), ALLOW_ALL) as gateway:
        async with asked_client(gateway, mode, lambda _message: None, []) as client:
            declined = await client.call_tool("a__ask", {})
        unasked = await send(gateway, "a__ask", {})

    assert text_of(declined) == "decline"
    assert text_of(unasked) == "cancel"
    assert "cannot show" in unasked.content[-1].text


@CLIENTS
@SERVERS
async def test_a_server_that_asks_for_a_password_is_declined_and_the_caller_told(
    tmp_path: Path, mode: str, era: str
) -> None:
    seen: list[str] = []
    async with (
        gateway_of(tmp_path, server("a", "--era", era), ALLOW_ALL) as gateway,
        asked_client(gateway, mode, blue, seen) as client,
    ):
        result = await client.call_tool("a__ask", {"field": "password"})

    assert seen == []
    assert text_of(result) == "decline"
    assert "looks like a credential" in str(result.content[-1])


def entry(name: str = "ask") -> CatalogEntry:
    catalog = Catalog()
    spec = ServerSpec(
        name="a", builtin=None, trusted=False, mode="auto", launch=None, url="http://x", headers={},
        connect_timeout_s=1, call_timeout_s=1,
    )  # fmt: skip
    catalog.update(spec, [t.Tool(name=name, input_schema={"type": "object"})])
    return catalog.entries()[0]


def form_of(message: str = "?", **properties: Any) -> t.ElicitRequest:
    schema = {"type": "object", "properties": properties}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


@pytest.mark.parametrize(
    "request_",
    [
        form_of(password={"type": "string"}),
        form_of(apiKey={"type": "string"}),
        form_of("Your GitHub token, please", value={"type": "string"}),
        form_of("pass\u200bword?", value={"type": "string"}),
        form_of("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44?", value={"type": "string"}),
        form_of(x={"type": "string", "title": "One-time code"}),
        form_of(x={"type": "string", "description": "card number and CVC"}),
        form_of(x={"type": "string", "format": "password"}),
        form_of(x={"type": "string", "writeOnly": True}),
        form_of(x={"type": "string", "enum": ["a\u202eb"]}),
        form_of(x={"type": "string", "oneOf": [{"const": "a\u200b", "title": "a"}]}),
        form_of("?", **HIDDEN_NAME),
        form_of("x" * 9000),
        t.ElicitRequest(
            params=t.ElicitRequestURLParams(message="log in", url="https://evil.example", elicitation_id="1")
        ),
        t.ListRootsRequest(),
    ],
)
def test_a_question_for_a_credential_or_in_hidden_writing_is_refused(request_: Any) -> None:
    with pytest.raises(Refused):
        read_question(entry(), "binding", "q", request_)


def test_an_ordinary_question_is_quoted_and_keeps_its_values() -> None:
    asked = form_of(
        "Delete\u202e the\nbranch?",
        sure={"type": "boolean", "title": "Really\u200b?", "default": False},
        max_tokens_count={"type": "integer"},
        which={"type": "string", "oneOf": [{"const": "a", "title": "The \x1b[1mfirst"}]},
    )
    question = read_question(entry("as\u202ek"), "binding", "q", asked)
    properties = question.schema["properties"]

    assert "| Delete\\u{202e} the\n| branch?" in question.text
    assert "while running: as\\u{202e}k" in question.text
    assert properties["sure"] == {"type": "boolean", "title": "Really\\u{200b}?", "default": False}
    assert properties["which"]["oneOf"] == [{"const": "a", "title": "The \\u{1b}[1mfirst"}]
    assert question.key == read_question(entry("as\u202ek"), "binding", "q", asked).key
    assert question.key != read_question(entry("as\u202ek"), "other", "q", asked).key
    given = question.answer(t.ElicitResult(action="accept", content={"sure": True, "hidden": "x"}))
    assert given.content == {"sure": True}
    assert question.answer(t.ElicitResult(action="decline", content={"sure": True})).content is None


async def test_a_round_is_answered_once_and_a_replayed_answer_reaches_nobody(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    part = server("a", "--journal", str(log))
    async with (
        gateway_of(tmp_path, part, ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        question = await ask(client)
        given = answer(question, {"colour": "red", "extra": 1})
        first = await ask(client, input_responses=given, request_state=question.request_state)
        before = len(journal(log))
        again = await ask(client, input_responses=given, request_state=question.request_state)

    assert text_of(first) == "accept red"
    assert again.structured_content["error"]["code"] == "conflict"
    assert len(journal(log)) == before


async def test_answers_of_two_calls_that_stand_still_cannot_be_swapped(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        one, two = await ask(client, {"message": "one?"}), await ask(client, {"message": "two?"})
        with pytest.raises(MCPError, match="requestState"):
            await ask(client, {"message": "two?"}, input_responses=answer(one, {}), request_state=one.request_state)
        crossed = await ask(
            client, {"message": "two?"}, input_responses=answer(one, {}), request_state=two.request_state
        )

    assert set(crossed.input_requests) == set(two.input_requests)


@SERVERS
async def test_a_client_that_starts_again_from_the_first_round_finds_its_call_where_it_stands(
    tmp_path: Path, era: str
) -> None:
    """What LangChain's adapter does: it answers each question it was asked before, in order, from the beginning."""
    log = tmp_path / "journal"
    meta: Any = {"lg/idempotency-key": "k1"}
    part = server("a", "--era", era, "--journal", str(log))
    async with (
        gateway_of(tmp_path, part, APPROVE) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        gate = await ask(client, meta=meta)
        asked = await ask(client, meta=meta, input_responses=accept(gate), request_state=gate.request_state)
        gate_again = await ask(client, meta=meta)
        asked_again = await ask(
            client, meta=meta, input_responses=accept(gate_again), request_state=gate_again.request_state
        )
        result = await ask(
            client,
            meta=meta,
            input_responses=answer(asked_again, {"colour": "green"}),
            request_state=asked_again.request_state,
        )
        replayed = await ask(client, meta=meta)
        begun = [record for record in records(gateway) if record["phase"] == "begun"]

    assert gate_again.input_requests == gate.input_requests
    assert asked_again.input_requests == asked.input_requests
    assert text_of(result) == text_of(replayed) == "accept green"
    assert replayed.meta["lg/replayed"] is True
    assert len({record["request_id"] for record in begun}) == 1


async def test_a_no_to_the_repeated_gate_ends_a_call_that_stands_still(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, server("a", "--era", "legacy"), APPROVE) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        gate = await ask(client)
        asked = await ask(client, input_responses=accept(gate), request_state=gate.request_state)
        again = await ask(client)
        no = answer(again, {"decision": "deny", "reason": "not any more"})
        denied = await ask(client, input_responses=no, request_state=again.request_state)
        late = await ask(client, input_responses=answer(asked, {}), request_state=asked.request_state)

    assert "not any more" in text_of(denied)
    assert late.structured_content["error"]["code"] == "conflict"


@SERVERS
async def test_a_restart_between_question_and_answer_goes_on_where_the_server_can_and_says_so_where_not(
    tmp_path: Path, era: str
) -> None:
    meta: Any = {"lg/idempotency-key": "k1"}
    async with (
        gateway_of(tmp_path, server("a", "--era", era), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        question = await ask(client, meta=meta)
    async with (
        gateway_of(tmp_path, server("a", "--era", era), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        given = answer(question, {"colour": "red"})
        result = await ask(client, meta=meta, input_responses=given, request_state=question.request_state)
        again = await ask(client, meta=meta)

    if era == "both":
        assert text_of(result) == text_of(again) == "accept red"
    else:
        assert result.structured_content["error"]["code"] == "conflict"
        assert again.structured_content["error"]["code"] == "outcome_unknown"


async def test_of_two_calls_in_flight_it_is_not_guessed_which_one_asks(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "journal"
    part = server("a", "--era", "legacy", "--nap", "1", "--journal", str(log))
    async with (
        gateway_of(tmp_path, part, ALLOW_ALL) as gateway,
        asked_client(gateway, "legacy", blue, seen) as client,
    ):
        answers: dict[str, Any] = {}

        async def call(name: str) -> None:
            answers[name] = await client.call_tool(f"a__{name}", {})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "nap")
            await until(lambda: any(line.get("tool") == "nap" for line in journal(log)))
            tasks.start_soon(call, "ask")
        assert seen == []
        alone = await client.call_tool("a__ask", {})
        async with anyio.create_task_group() as tasks:  # from now on each waits for its turn
            tasks.start_soon(call, "nap")
            await until(lambda: [line.get("tool") for line in journal(log)].count("nap") == 2)
            tasks.start_soon(call, "ask")

    assert text_of(alone) == text_of(answers["ask"]) == "accept blue"
    assert len(seen) == 2


async def test_over_http_questions_of_calls_in_flight_find_their_own_call(tmp_path: Path) -> None:
    answers: dict[str, Any] = {}
    with http_server(0) as port:
        part = f'[gateway.servers.a]\nurl = "http://127.0.0.1:{port}/mcp"\nmode = "legacy"\n'
        async with (
            gateway_of(tmp_path, part, ALLOW_ALL) as gateway,
            asked_client(gateway, "legacy", lambda message: {"colour": message.splitlines()[3][2:]}, []) as client,
        ):

            async def call(colour: str) -> None:
                answers[colour] = await client.call_tool("a__ask", {"message": colour, "rounds": 3})

            async with anyio.create_task_group() as tasks:
                for colour in ("red", "green", "blue"):
                    tasks.start_soon(call, colour)

    assert {colour: text_of(result) for colour, result in answers.items()} == {
        colour: "; ".join([f"accept {colour}"] * 3) for colour in ("red", "green", "blue")
    }


async def test_a_call_whose_caller_does_not_come_back_ends_and_its_outcome_is_recorded(tmp_path: Path) -> None:
    async with (
        gateway_of(
            tmp_path, server("a", "--era", "legacy"), ALLOW_ALL, "[approval]\nlive_timeout_s = 0.3\n"
        ) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        question = await ask(client)
        await until(lambda: records(gateway)[-1]["outcome"] == "ok")
        late = await ask(client, input_responses=answer(question, {}), request_state=question.request_state)

    assert late.structured_content["error"]["code"] == "conflict"


async def test_after_a_call_was_given_up_a_servers_question_is_refused_until_it_is_started_anew(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "journal"
    part = server("a", "--era", "legacy", "--nap", "60", "--journal", str(log), call_timeout_s=5)
    async with (
        gateway_of(tmp_path, part, ALLOW_ALL) as gateway,
        asked_client(gateway, "legacy", blue, seen) as client,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "a__nap", {})
            await until(lambda: bool(journal(log)))
            tasks.cancel_scope.cancel()
        refused = await client.call_tool("a__ask", {})
        await until(lambda: gateway.upstreams["a"].restarts == 1 and gateway.upstreams["a"].state == "up")
        asked = await client.call_tool("a__ask", {})

    assert text_of(refused) == "cancel"
    assert "cannot be told" in str(refused.content[-1])
    assert text_of(asked) == "accept blue"
    assert len(seen) == 1
