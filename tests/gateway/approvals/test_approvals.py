"""A human in the loop: asked by rounds, live, or from another terminal; bound to one call; used once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest

from lg_gateway.approvals.question import form, read_answer
from lg_gateway.store.interface import Tx
from lg_policy.errors import NotFound
from tests.gateway.approvals.support_approvals import (
    NO_HOLD,
    OPERATOR,
    accept,
    approve,
    asked_client,
    first_round,
    yes,
)
from tests.gateway.rig import gateway_of, journal, records, send, server, text_of, until

pytestmark = pytest.mark.anyio


BOTH = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])


@BOTH
async def test_an_approved_call_is_made_and_the_approval_is_on_its_record(tmp_path: Path, mode: str) -> None:
    seen: list[str] = []
    async with gateway_of(tmp_path, server("a")) as gateway, asked_client(gateway, mode, yes, seen) as client:
        result = await client.call_tool("a__echo", {"text": "hello"})
        begun = next(record for record in records(gateway) if record["phase"] == "begun")
        noted = records(gateway, notes=True)[-1]

    assert text_of(result) == "hello"
    assert len(seen) == 1
    assert '| text: "hello"' in seen[0]
    assert begun["approval_id"] == noted["approval_id"]
    assert noted["outcome"] == "approved"


@BOTH
@pytest.mark.parametrize("content", [None, {"decision": "deny", "reason": "too risky"}, {"decision": "maybe"}, {}])
async def test_anything_but_a_clear_yes_is_a_no_and_nothing_is_done(
    tmp_path: Path, mode: str, content: dict[str, Any] | None
) -> None:
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log))) as gateway,
        asked_client(gateway, mode, lambda _m: content, []) as client,
    ):
        result = await client.call_tool("a__echo", {"text": "x"})

    assert result.structured_content["error"]["code"] == "approval_denied"
    assert journal(log) == []
    if content and content.get("reason"):
        assert "too risky" in text_of(result)


@BOTH
async def test_a_yes_is_spent_by_one_call(tmp_path: Path, mode: str) -> None:
    seen: list[str] = []
    async with gateway_of(tmp_path, server("a")) as gateway, asked_client(gateway, mode, yes, seen) as client:
        await client.call_tool("a__echo", {"text": "x"})
        await client.call_tool("a__echo", {"text": "x"})

    assert len(seen) == 2


async def test_a_repeated_first_round_finds_the_same_question(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, server("a")) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        one = await first_round(client, {"text": "x"})
        two = await first_round(client, {"text": "x"})
        other = await first_round(client, {"text": "y"})
        waiting = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))

    assert one.input_requests == two.input_requests
    assert set(other.input_requests or {}).isdisjoint(one.input_requests or {})
    assert len(waiting) == 2


async def test_an_answer_survives_a_restart_of_the_gateway_between_question_and_answer(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, server("a")) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        question = await first_round(client, {"text": "x"})
    async with (
        gateway_of(tmp_path, server("a")) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        result = await client.session.call_tool(
            "a__echo", {"text": "x"}, input_responses=accept(question), request_state=question.request_state
        )

    assert text_of(result) == "x"


async def test_for_this_run_covers_the_tool_in_that_run_and_nothing_else(tmp_path: Path) -> None:
    seen: list[str] = []
    run: Any = {"lg/run": {"run_id": "r1"}}
    other: Any = {"lg/run": {"run_id": "r2"}}

    def for_run(_message: str) -> dict[str, Any]:
        return {"decision": "run"}

    async with (
        gateway_of(tmp_path, server("a")) as gateway,
        asked_client(gateway, "2026-07-28", for_run, seen) as client,
    ):
        for text in ("one", "two", "three"):
            await client.call_tool("a__echo", {"text": text}, meta=run)
        assert len(seen) == 1
        await client.call_tool("a__peek", {"text": "x"}, meta=run)
        await client.call_tool("a__echo", {"text": "x"}, meta=other)
        await client.call_tool("a__echo", {"text": "x"})

    assert len(seen) == 4


async def test_a_call_that_was_denied_stays_so_when_its_tool_is_allowed_for_the_run_afterwards(tmp_path: Path) -> None:
    run: Any = {"lg/run": {"run_id": "r1"}}
    async with (
        gateway_of(tmp_path, server("a"), NO_HOLD) as gateway,
        asked_client(gateway, "2026-07-28", lambda _message: {"decision": "run"}, []) as client,
    ):
        asked = await send(gateway, "a__echo", {"text": "no"}, meta=run)
        await approve(gateway, asked.structured_content["error"]["approval_id"], "deny")
        await client.call_tool("a__echo", {"text": "yes"}, meta=run)
        covered = await send(gateway, "a__echo", {"text": "also"}, meta=run)
        denied = await send(gateway, "a__echo", {"text": "no"}, meta=run)
    assert not covered.is_error
    assert denied.structured_content["error"]["code"] == "approval_denied"


async def test_a_revoked_grant_counts_for_nothing_not_even_for_a_call_that_is_about_to_leave(tmp_path: Path) -> None:
    seen: list[str] = []
    run: Any = {"lg/run": {"run_id": "r1"}}
    log = tmp_path / "journal"

    def revoke(tx: Tx) -> None:
        book = gateway.approvals.grants
        book.revoke(tx, book.all(tx)[0].id, now=time.time(), by="me")

    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log)), NO_HOLD) as gateway,
        asked_client(gateway, "2026-07-28", lambda _message: {"decision": "run"}, seen) as client,
    ):
        await client.call_tool("a__echo", {"text": "one"}, meta=run)
        covered = await send(gateway, "a__echo", {"text": "two"}, meta=run)
        in_between = await send(gateway, "a__echo", {"text": "three"}, meta=run, standing=revoke)
        await gateway.store.write(revoke)
        after = await send(gateway, "a__echo", {"text": "four"}, meta=run)
        notes = [(note["outcome"], note["approval_id"][:3]) for note in records(gateway, notes=True) if note["run_id"]]
        with pytest.raises(NotFound):
            await gateway.store.write(revoke)

    assert not covered.is_error
    assert in_between.structured_content["error"]["code"] == "conflict"
    assert after.structured_content["error"]["code"] == "approval_required"
    assert [line["arguments"]["text"] for line in journal(log)] == ["one", "two"]
    assert notes == [("approved", "ap-"), ("granted for the run", "gr-"), ("grant revoked", "gr-")]


async def test_a_client_that_cannot_be_asked_gets_an_id_and_the_same_call_works_once_approved(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        question = first.structured_content["error"]["approval_id"]
        await approve(gateway, question)
        second = await send(gateway, "a__echo", {"text": "x"})
        third = await send(gateway, "a__echo", {"text": "x"})

    assert first.structured_content["error"]["code"] == "approval_required"
    assert "approvals" not in first.content[0].text  # no command for a model to run
    assert second.content[0].text == "x"
    assert third.structured_content["error"]["code"] == "approval_required"
    assert third.structured_content["error"]["approval_id"] != question


async def test_a_waiting_call_goes_on_as_soon_as_another_terminal_answers(tmp_path: Path) -> None:
    beats: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        beats.append(message)

    async with gateway_of(tmp_path, server("a")) as gateway:
        answers: list[Any] = []

        async def wait() -> None:
            answers.append(await send(gateway, "a__echo", {"text": "x"}, progress=progress))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(
                lambda: bool(gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))) and bool(beats)
            )
            (pending,) = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))
            await approve(gateway, pending.id)

    assert answers[0].content[0].text == "x"
    assert "waiting" in str(beats[0])


@BOTH
async def test_a_question_for_an_operator_is_never_answered_by_the_client(tmp_path: Path, mode: str) -> None:
    seen: list[str] = []
    async with (
        gateway_of(tmp_path, server("a"), OPERATOR, NO_HOLD) as gateway,
        asked_client(gateway, mode, yes, seen) as client,
    ):
        result = await client.call_tool("a__echo", {"text": "x"})

    assert seen == []
    assert result.structured_content["error"]["code"] == "approval_required"


@BOTH
async def test_a_question_with_hidden_lines_is_never_answered_by_the_client(tmp_path: Path, mode: str) -> None:
    seen: list[str] = []
    text = "\n".join(f"line {n}" for n in range(300))
    async with (
        gateway_of(tmp_path, server("a"), NO_HOLD) as gateway,
        asked_client(gateway, mode, yes, seen) as client,
    ):
        result = await client.call_tool("a__echo", {"text": text})
        (pending,) = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))

    assert seen == []
    assert result.structured_content["error"]["code"] == "approval_required"
    assert pending.hidden_lines > 100
    assert "line 299" in pending.full


@BOTH
async def test_a_client_that_shows_questions_whole_is_shown_every_line_and_may_answer(
    tmp_path: Path, mode: str
) -> None:
    seen: list[str] = []
    text = "\n".join(f"line {n}" for n in range(300))
    async with (
        gateway_of(tmp_path, server("a"), NO_HOLD) as gateway,
        asked_client(gateway, mode, yes, seen) as client,
    ):
        whole: Any = {"lg/shows-whole": True}
        result = await client.call_tool("a__echo", {"text": text}, meta=whole)

    assert result.content == [t.TextContent(type="text", text=text)]
    assert [all(f"line {n}\n" in f"{question}\n" for n in range(300)) for question in seen] == [True]


@BOTH
async def test_a_caller_that_asks_nobody_is_refused_at_once_and_leaves_no_question(tmp_path: Path, mode: str) -> None:
    seen: list[str] = []
    nobody: Any = {"lg/asks-nobody": True}
    async with gateway_of(tmp_path, server("a")) as gateway, asked_client(gateway, mode, yes, seen) as client:
        refused = await client.call_tool("a__echo", {"text": "x"}, meta=nobody)
        open_now = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))
        done = await client.call_tool("a__echo", {"text": "x"})
    assert refused.structured_content["error"]["code"] == "approval_required"
    assert "does not ask anyone" in refused.structured_content["error"]["message"]
    assert open_now == []
    assert (len(seen), done.is_error) == (1, False)


async def test_a_caller_that_only_asks_gets_the_question_and_no_yes_is_used_up(tmp_path: Path) -> None:
    only: Any = {"lg/only-asks": True}
    allowed = '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "allow"\nreason = "r"\n'
    async with gateway_of(tmp_path, server("a"), allowed) as gateway:
        spared = await send(gateway, "a__echo", {"text": "x"}, meta=only)
    assert spared.structured_content["error"]["code"] == "conflict"
    assert "nothing was done" in str(spared.content)
    (tmp_path / "asks").mkdir()
    async with gateway_of(tmp_path / "asks", server("a"), NO_HOLD) as gateway:
        asked = await send(gateway, "a__echo", {"text": "x"}, meta=only)
        known = asked.structured_content["error"]["approval_id"]
        await approve(gateway, known)
        still = await send(gateway, "a__echo", {"text": "x"}, meta=only)
        done = await send(gateway, "a__echo", {"text": "x"})
        kept = gateway.store.read_now(lambda tx: gateway.approvals.get(tx, known, 0))
    assert still.structured_content["error"]["code"] == "conflict", "and the yes is not used up"
    assert not done.is_error
    assert kept is not None
    assert kept.state.value == "used"


async def test_a_caller_that_asks_nobody_uses_a_yes_that_was_given_and_waits_for_none(tmp_path: Path) -> None:
    nobody: Any = {"lg/asks-nobody": True}
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        waiting = await send(gateway, "a__echo", {"text": "x"}, meta=nobody)
        await approve(gateway, asked)
        done = await send(gateway, "a__echo", {"text": "x"}, meta=nobody)
    assert waiting.structured_content["error"]["approval_id"] == asked
    assert not done.is_error


async def test_a_call_that_needs_one_question_too_many_is_refused_by_the_settings_limit(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), f"{NO_HOLD}max_pending = 2\n") as gateway:
        answers = [await send(gateway, "a__echo", {"text": text}) for text in ("1", "2", "3", "1")]
    errors = [answer.structured_content["error"] for answer in answers]
    assert [error["code"] for error in errors] == ["approval_required"] * 2 + ["limit_exceeded", "approval_required"]
    assert "approval.max_pending" in errors[2]["message"]
    assert errors[2]["questions_waiting"] == "2"


async def test_a_denial_within_a_run_is_not_asked_again(tmp_path: Path) -> None:
    seen: list[str] = []
    run: Any = {"lg/run": {"run_id": "r1"}}
    async with (
        gateway_of(tmp_path, server("a")) as gateway,
        asked_client(gateway, "2026-07-28", lambda _m: {"decision": "deny", "reason": "no!"}, seen) as client,
    ):
        for _ in range(2):
            result = await client.call_tool("a__echo", {"text": "x"}, meta=run)
            assert result.structured_content["error"]["code"] == "approval_denied"

    assert len(seen) == 1


async def test_a_rule_that_comes_to_deny_wins_over_a_yes_that_was_given_before(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        await approve(gateway, first.structured_content["error"]["approval_id"])
    deny = '[[gateway.rules]]\ntools = ["*"]\neffect = "deny"\nwhen = { properties = { text = { const = "x" } } }\n'
    async with gateway_of(tmp_path, server("a"), NO_HOLD, deny) as gateway:
        second = await send(gateway, "a__echo", {"text": "x"})

    assert second.structured_content["error"]["code"] == "policy_denied"


async def test_a_users_yes_is_not_enough_once_a_rule_wants_an_operator(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        await approve(gateway, first.structured_content["error"]["approval_id"])
    async with gateway_of(tmp_path, server("a"), NO_HOLD, OPERATOR) as gateway:
        second = await send(gateway, "a__echo", {"text": "x"})
        (pending,) = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))

    assert second.structured_content["error"]["code"] == "approval_required"
    assert pending.approver == "operator"


async def test_a_caller_without_forms_and_progress_is_answered_at_once_and_its_repeat_finds_the_question(
    tmp_path: Path,
) -> None:
    async with gateway_of(tmp_path, server("a"), "[approval]\nhold_s = 3600\n") as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        again = await send(gateway, "a__echo", {"text": "x"})
        (waiting,) = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))
        await approve(gateway, waiting.id)
        done = await send(gateway, "a__echo", {"text": "x"})

    assert first.structured_content == again.structured_content
    assert waiting.id in text_of(first)
    assert text_of(done) == "x"


def test_the_reason_of_a_form_has_a_default_so_that_no_client_sends_null() -> None:
    assert form(in_run=False)["properties"]["reason"]["default"] == ""
    assert read_answer("accept", {"decision": "once", "reason": None}).approved
