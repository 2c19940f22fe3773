"""Questions of servers reach the caller's human and their answers the server, whatever the eras of the two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest

from lg_gateway.elicitation.server_question import read_question
from tests.gateway.approvals.support_approvals import APPROVE, accept, asked_client
from tests.gateway.elicitation.server_questions import CLIENTS, SERVERS, answer, ask, asking, blue, form_of
from tests.gateway.rig import ALLOW_ALL, gateway_of, http_server, journal, records, send, server, text_of, until

pytestmark = pytest.mark.anyio
IMPATIENT = "[approval]\nlive_timeout_s = 0.3\n"


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
        notes = [note["detail"] for note in records(gateway, notes=True) if note["outcome"] == "server question"]

    assert text_of(result) == "accept blue; accept blue"
    assert len(seen) == 3
    assert seen[1].splitlines()[1:] == [
        "server: a (third party)", "while running: ask", "| Which", "| server: fs", "Do not enter passwords or keys.",
    ]  # fmt: skip
    assert outcomes[-1] == "ok"
    assert [note.rpartition(" ")[2] for note in notes] == ["accept", "accept"]
    assert "blue" not in str(notes)  # what was answered is the server's business
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


def test_an_ordinary_question_is_quoted_and_keeps_its_values() -> None:
    asked = form_of(
        "Delete\u202e the\nbranch?",
        sure={"type": "boolean", "title": "Really\u200b?", "default": False},
        max_tokens_count={"type": "integer"},
        number={"type": "integer", "description": "not your phone number or pin, and no secrets"},
        which={"type": "string", "oneOf": [{"const": "a", "title": "The \x1b[1mfirst"}]},
    )
    question = read_question(asking("as\u202ek"), "q", asked)
    properties = question.schema["properties"]

    assert "| Delete\\u{202e} the\n| branch?" in question.text
    assert 'while running: "as\\u{202e}k"' in question.text
    assert properties["sure"] == {"type": "boolean", "title": "Really\\u{200b}?", "default": False}
    assert properties["which"]["oneOf"] == [{"const": "a", "title": "The \\u{1b}[1mfirst"}]
    assert question.key == read_question(asking("as\u202ek"), "q", asked).key
    assert question.key != read_question(asking("as\u202ek", "other"), "q", asked).key
    given = question.answer(t.ElicitResult(action="accept", content={"sure": True, "hidden": "x"}))
    assert isinstance(given, t.ElicitResult)
    assert given.content == {"sure": True}
    assert question.answer(t.ElicitResult(action="decline", content={"sure": True})) == t.ElicitResult(action="decline")


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
