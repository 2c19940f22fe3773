"""Attempts of servers and clients to misuse the questions that a server may ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp.shared.exceptions import MCPError

from lg_gateway.elicitation.refusals import Refused
from lg_gateway.elicitation.server_question import read_question
from tests.gateway.approvals.support_approvals import asked_client
from tests.gateway.elicitation.server_questions import CLIENTS, SERVERS, answer, ask, asking, blue, form_of
from tests.gateway.rig import ALLOW_ALL, gateway_of, journal, server, text_of, until

pytestmark = pytest.mark.anyio
HIDDEN_NAME: dict[str, Any] = {"x\u200b": {"type": "string"}}


@pytest.mark.attack("Server questions", "a server that asks for a password while its tool runs, in both eras")
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


@pytest.mark.attack(
    "Server questions",
    "credentials asked for in many places, disguised letters, hidden characters",
)
@pytest.mark.parametrize(
    "request_",
    [
        form_of(password={"type": "string"}),
        form_of(token={"type": "string"}),
        form_of(x={"type": "string", "title": "PIN"}),
        form_of("Enter the client secret", value={"type": "string"}),
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
    ],
)
def test_a_question_for_a_credential_or_in_hidden_writing_is_refused(request_: Any) -> None:
    with pytest.raises(Refused):
        read_question(asking(), "q", request_)


@pytest.mark.attack("Server questions", "pages whose address hides its host, is no web address, or is endless")
@pytest.mark.parametrize(
    "url",
    [
        "https://good.example@evil.example/",
        "https://good.example\\@evil.example/",
        "https://g\u043e\u043ed.example/",
        "https://good.example/\u202eevil",
        "https://good.example/ evil",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,hello",
        "https:///path",
        "https://[::1/",
        "https://good.example:99999999/",
        "https://%65vil.example/",
        "https://good.example;evil.example/",
        "https://" + "good.example." * 20 + "evil.example/",
        "https://good.example/" + "x" * 2_000,
        "",
    ],
)
def test_a_page_whose_host_cannot_be_shown_is_refused(url: str) -> None:
    page = t.ElicitRequestURLParams(message="log in", url=url, elicitation_id="1")

    with pytest.raises(Refused):
        read_question(asking(), "q", t.ElicitRequest(params=page))


@pytest.mark.attack(
    "Server questions", "a page whose host is so long that its end, and so its owner, would not be shown"
)
def test_the_end_of_a_long_host_is_shown() -> None:
    host = "login.good.example." + "a" * 60 + "." + "b" * 60 + ".evil.example"
    page = t.ElicitRequestURLParams(message="log in", url=f"https://{host}/", elicitation_id="1")

    assert f"host: {host}" in read_question(asking(), "q", t.ElicitRequest(params=page)).text.splitlines()


@pytest.mark.attack("Server questions", "the same sealed state and answer sent twice to a server that keeps nothing")
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


@pytest.mark.attack("Server questions", "the answer to one server question sent for another, with either state")
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


@pytest.mark.attack("Server questions", "a live question over stdio with two calls in flight")
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


@pytest.mark.attack("Server questions", "a live question after a call that its caller gave up")
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
    assert "did not say for which call" in str(refused.content[-1])
    assert text_of(asked) == "accept blue"
    assert len(seen) == 1


@pytest.mark.attack("Server questions", "the row of a call that waits for its server, put where a call waits for a yes")
async def test_a_call_that_waits_for_a_yes_does_not_go_on_as_one_that_was_begun(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    only_ask = '[[gateway.rules]]\ntools = ["a__ask"]\neffect = "allow"\n'
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log)), only_ask) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):

        async def echo(**options: Any) -> Any:
            return await client.session.call_tool("a__echo", {"text": "x"}, allow_input_required=True, **options)

        await ask(client)
        await echo()
        moved = "UPDATE dialogues SET binding = (SELECT binding FROM approvals)"
        await gateway.store.write(lambda tx: tx.execute(moved))
        taken = await echo()
        if isinstance(taken, t.InputRequiredResult):
            await echo(input_responses=answer(taken, {"colour": "blue"}), request_state=taken.request_state)

    assert [line["tool"] for line in journal(log)] == ["ask"]
    assert taken.structured_content["error"]["code"] == "internal"
