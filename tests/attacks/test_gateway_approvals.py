"""Attempts to get a call approved that no human approved."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.exceptions import MCPError

from lg_gateway.approvals.question import Frame, compose
from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.store.interface import StoreError, Tx
from lg_policy.errors import ApprovalRequired, Conflict
from lg_policy.printing import display_width, visible
from lg_policy.terminal_rows import WIDTH
from tests.gateway.approvals.support_approvals import NO_HOLD, accept, approve, asked_client, first_round, question, yes
from tests.gateway.calls.support_fs import PATCH, fs_gateway, patch
from tests.gateway.commands.support_commands import pins
from tests.gateway.ledger.support_ledger import KEY, open_ledger
from tests.gateway.rig import gateway_of, journal, program_environment, records, send, server, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


async def answer(client: Any, arguments: dict[str, Any], responses: Any, state: str | None, **options: Any) -> Any:
    return await client.session.call_tool(
        "a__echo", arguments, input_responses=responses, request_state=state, allow_input_required=True, **options
    )


@pytest.mark.attack("Approvals", "the answer of one question sent with the other's state")
async def test_answers_of_two_calls_in_flight_cannot_be_swapped(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log))) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        one = await first_round(client, {"text": "one"})
        two = await first_round(client, {"text": "two"})
        with pytest.raises(MCPError, match="requestState"):
            await answer(client, {"text": "two"}, accept(one), one.request_state)
        crossed = await answer(client, {"text": "two"}, accept(one), two.request_state)

    assert isinstance(crossed, t.InputRequiredResult)  # the answer has another key: asked again, nothing done
    assert journal(log) == []


@pytest.mark.attack("Approvals", "another directory moved to the root's path after the yes")
async def test_a_yes_for_a_root_is_none_for_a_directory_that_was_put_in_its_place(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    for directory in (root, other):
        directory.mkdir()
        (directory / "note.txt").write_text("one\n")
    meta = {"lg/run": {"run_id": "r1"}}
    async with fs_gateway(tmp_path, root, state=tmp_path / "state") as gateway:
        await gateway.settled()
        first = (await send(gateway, "fs__apply_patch", {"patch": PATCH}, meta=meta)).structured_content["error"][
            "approval_id"
        ]
        await approve(gateway, first)
    root.rename(tmp_path / "moved")
    other.rename(root)
    async with fs_gateway(tmp_path, root, state=tmp_path / "state") as gateway:
        await gateway.settled()
        second = await send(gateway, "fs__apply_patch", {"patch": PATCH}, meta=meta)

    assert second.structured_content["error"]["code"] == "approval_required"
    assert second.structured_content["error"]["approval_id"] != first
    assert (root / "note.txt").read_text() == "one\n"


@pytest.mark.attack("Approvals", "a yes without a question, with a made-up state")
async def test_an_answer_without_the_question_is_only_asked_about(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log))) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        question = await first_round(client, {"text": "x"})
        unasked = await answer(client, {"text": "x"}, accept(question), None)
        with pytest.raises(MCPError, match="requestState"):
            await answer(client, {"text": "x"}, accept(question), "made up")

    assert isinstance(unasked, t.InputRequiredResult)
    assert journal(log) == []


@pytest.mark.attack("Approvals", "the same yes twice")
async def test_a_replayed_answer_does_not_make_the_call_again(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log))) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        question = await first_round(client, {"text": "x"})
        first = await answer(client, {"text": "x"}, accept(question), question.request_state)
        again = await answer(client, {"text": "x"}, accept(question), question.request_state)

    assert first.content[0].text == "x"
    assert again.is_error
    assert len(journal(log)) == 1


@pytest.mark.attack("Approvals", "a yes for one call given for another key or other arguments")
async def test_an_answer_does_not_fit_the_same_call_under_another_key_or_changed_arguments(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log))) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        question = await first_round(client, {"text": "x"}, meta={"lg/idempotency-key": "k1"})
        with pytest.raises(MCPError, match="requestState"):
            await answer(client, {"text": "x "}, accept(question), question.request_state)
        other = await answer(
            client, {"text": "x"}, accept(question), question.request_state, meta={"lg/idempotency-key": "k2"}
        )

    assert isinstance(other, t.InputRequiredResult) or other.is_error
    assert journal(log) == []


@pytest.mark.attack("Approvals", "another identity that repeats an approved call")
async def test_a_yes_for_one_caller_is_none_for_another(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        await approve(gateway, first.structured_content["error"]["approval_id"])
        other = await send(gateway, "a__echo", {"text": "x"}, identity="local:other")

    assert other.structured_content["error"]["code"] == "approval_required"


@pytest.mark.attack("Approvals", "a forged approval in the store")
async def test_a_yes_written_into_the_store_without_the_keys_is_not_believed(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        forger = sqlite3.connect(gateway.setup.store_place.path)
        forger.execute(
            "UPDATE approvals SET state = 'approved', body = replace(body, '\"pending\"', '\"approved\"') WHERE id = ?",
            (asked,),
        )
        forger.commit()
        forger.close()
        second = await send(gateway, "a__echo", {"text": "x"})

    assert second.is_error
    assert journal(log) == []


@pytest.mark.attack("Approvals", "a tool that changes its definition after it was approved")
async def test_a_yes_does_not_survive_a_changed_definition_of_the_tool(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a", "--describe", "one"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        await approve(gateway, first.structured_content["error"]["approval_id"])
    async with gateway_of(tmp_path, server("a", "--describe", "two"), NO_HOLD) as gateway:
        with pytest.raises(MCPError, match="Unknown tool"):  # held back until somebody accepts it
            await send(gateway, "a__echo", {"text": "x"})
        assert pins(tmp_path, "accept", "a", "echo").returncode == 0
        await until(lambda: gateway.catalog.find("a__echo") is not None)
        second = await send(gateway, "a__echo", {"text": "x"})

    assert second.is_error
    assert second.structured_content["error"]["code"] == "approval_required"


@pytest.mark.attack("Approvals", "a call that only asks")
async def test_asking_and_refusing_leave_records_without_an_effect(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        await send(gateway, "a__echo", {"text": "x"})
        phases = [record["phase"] for record in records(gateway)]

    assert "begun" not in phases


FRAME = Frame(
    server="s", builtin=False, tool="t", effect="because", identity="local:me", client="c", run_id=None, approver="user"
)


@pytest.mark.attack("Display", "any text as argument name and value")
@given(name=st.text(), value=st.text())
def test_no_argument_can_redraw_or_reframe_the_question(name: str, value: str) -> None:
    shown = compose(FRAME, {name: value}, None)
    lines = (shown.full or shown.text).split("\n")
    frame, body = lines[: lines.index("arguments:") + 1], lines[lines.index("arguments:") + 1 :]

    assert frame == compose(FRAME, {"a": 1}, None).text.split("\n")[:-1]
    assert all(line.startswith(("| ", "|>")) for line in body)
    assert all(visible(line) == line and display_width(line) <= WIDTH for line in lines)


@pytest.mark.attack("Display", "escape sequences, bidirectional and invisible characters")
@pytest.mark.parametrize("sneaky", ["\x1b[2J", "\u202e", "\u200b", "\u2066", "\x00", "\r", "\u2028", "\u3164"])
def test_characters_that_move_hide_or_turn_text_are_spelled_out(sneaky: str) -> None:
    shown = compose(FRAME, {"cmd": f"ls{sneaky}\ntool: harmless"}, f"diff{sneaky}\nserver: fs").text

    assert sneaky not in shown.replace("\n", "")
    assert f"\\u{{{ord(sneaky[0]):x}}}" in shown or sneaky == "\r"
    assert "\ntool: harmless" not in shown
    assert "\nserver: fs" not in shown


@pytest.mark.attack("Approvals", "an agent that knows the id, runs the command and feeds it a yes")
async def test_an_agent_that_reads_the_approval_id_cannot_approve_itself(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        assert "lg-gateway" not in str(first)  # the answer names no command that would approve
        command = [sys.executable, "-m", "lg_gateway", "approvals", "approve", asked]
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(
                [*command, "--config", str(tmp_path / "gateway.toml")],
                input="yes\n",
                text=True,
                capture_output=True,
                start_new_session=True,
                env=program_environment(),
            )
        )
        second = await send(gateway, "a__echo", {"text": "x"})

    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert second.structured_content["error"]["code"] == ApprovalRequired.code


@pytest.mark.attack("Approvals", "a clock set far ahead and back again")
async def test_a_clock_that_jumps_ahead_expires_a_yes_and_one_that_jumps_back_does_not_revive_a_used_one(
    tmp_path: Path,
) -> None:
    store, ledger = open_ledger(tmp_path)
    book = ApprovalTable(KEY, ledger)
    asked = question(lifetime_s=10)
    first = await store.write(lambda tx: book.ask(tx, asked, 1000))
    await store.write(lambda tx: book.move(tx, first, "approve"))
    with pytest.raises(Conflict, match="expired"):
        await store.write(lambda tx: book.use(tx, first.id, asked.binding, 10**9))
    await store.write(lambda tx: book.use(tx, first.id, asked.binding, 1001))
    with pytest.raises(Conflict, match="used"):
        await store.write(lambda tx: book.use(tx, first.id, asked.binding, 0))
    store.close()


@pytest.mark.attack("Approvals", "more questions than anybody can read")
async def test_of_the_waiting_questions_of_one_caller_the_thirty_first_is_refused(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        answers = [await send(gateway, "a__echo", {"text": str(n)}) for n in range(31)]
        other = await send(gateway, "a__echo", {"text": "x"}, identity="local:other")

    codes = [answer.structured_content["error"]["code"] for answer in answers]
    assert codes == ["approval_required"] * 30 + ["limit_exceeded"]
    assert other.structured_content["error"]["code"] == "approval_required"


@pytest.mark.attack("Approvals", "an older copy of an approval put back into the store after it was used")
async def test_a_yes_that_was_used_cannot_be_put_back(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        await approve(gateway, first.structured_content["error"]["approval_id"])
        copied = "SELECT state, body, mac, id FROM approvals"
        (row,) = gateway.store.read_now(lambda tx: tx.execute(copied))
        await send(gateway, "a__echo", {"text": "x"})
        forger = sqlite3.connect(gateway.setup.store_place.path)
        forger.execute("UPDATE approvals SET state = ?, body = ?, mac = ? WHERE id = ?", row)
        forger.commit()
        forger.close()
        again = await send(gateway, "a__echo", {"text": "x"})

    assert again.structured_content["error"]["code"] == "conflict"
    assert len(journal(log)) == 1


@pytest.mark.attack("Approvals", "a question's own row is copied to where grants for a run are kept")
async def test_a_question_that_is_copied_among_the_grants_grants_nothing(tmp_path: Path) -> None:
    run: Any = {"lg/run": {"run_id": "r1"}}
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), NO_HOLD) as gateway:
        await send(gateway, "a__echo", {"text": "x"}, meta=run)
        await gateway.store.write(
            lambda tx: tx.execute(
                "INSERT INTO grants (id, identity, run_id, tool, expires, body, mac)"
                " SELECT 'gr-' || substr(id, 4), identity, 'r1', 'a__echo', expires, body, mac FROM approvals"
            )
        )
        second = await send(gateway, "a__echo", {"text": "another"}, meta=run)

    assert second.is_error
    assert journal(log) == []


@pytest.mark.attack("Approvals", "a key written into the store as that of a call that was begun and lost")
@pytest.mark.parametrize("as_request", ["the question's", "another call's", "none"])
async def test_a_key_that_somebody_wrote_into_the_store_saves_no_question(tmp_path: Path, as_request: str) -> None:
    log = tmp_path / "journal"
    asks = '[[gateway.rules]]\ntools = ["a__peek"]\neffect = "approve"\n'
    allows = '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "allow"\n'
    peek: dict[str, Any] = {"name": "a__peek", "arguments": {"text": "x"}, "meta": {"lg/idempotency-key": "k"}}
    part = server("a", "--journal", str(log), trusted=True)
    async with gateway_of(tmp_path, part, asks, allows, NO_HOLD) as gateway:
        assert (await send(gateway, **peek)).is_error
        asked = records(gateway)[-1]
        await send(gateway, "a__echo", {"text": "x"})
        request = {"the question's": asked["request_id"], "another call's": records(gateway)[-1]["request_id"]}
        values = ("a__peek", asked["arguments_digest"], request.get(as_request, "none"))
        await gateway.store.write(
            lambda tx: tx.execute(
                "INSERT INTO effects (scope, key, tool, arguments_digest, request_id, holder, ended, created)"
                """ VALUES ('["local:me", null]', 'k', ?, ?, ?, '', 0, 0)""",
                values,
            )
        )
        taken = await send(gateway, **peek)

    assert taken.structured_content["error"]["code"] in ("outcome_unknown", "internal")
    assert [line["tool"] for line in journal(log)] == ["echo"]


@pytest.mark.attack("Approvals", "a question of one caller put in the place of another caller's, or under its number")
@pytest.mark.parametrize(
    "moved", ["binding = (SELECT binding FROM mine), id = 'ap-other'", "id = (SELECT id FROM mine)"]
)
async def test_a_caller_is_not_asked_about_the_call_of_another(tmp_path: Path, moved: str) -> None:
    def move(tx: Tx) -> None:
        tx.execute("CREATE TEMP TABLE mine AS SELECT id, binding FROM approvals WHERE identity = 'local:me'")
        tx.execute("DELETE FROM approvals WHERE identity = 'local:me'")
        tx.execute(f"UPDATE approvals SET {moved}")

    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        await send(gateway, "a__echo", {"text": "theirs"}, identity="local:other")
        asked = (await send(gateway, "a__echo", {"text": "mine"})).structured_content["error"]["approval_id"]
        await gateway.store.write(move)
        if "binding" in moved:
            again = await send(gateway, "a__echo", {"text": "mine"})
            assert again.structured_content["error"]["code"] == "internal"
        else:
            with pytest.raises(StoreError):
                gateway.store.read_now(lambda tx: gateway.approvals.get(tx, asked, 0))


@pytest.mark.attack(
    "Approvals", "a link on the way to a file that is turned elsewhere after the difference was approved"
)
@pytest.mark.parametrize("op", ["update", "add"])
async def test_what_was_approved_is_not_done_to_another_file(tmp_path: Path, op: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("docs", "src"):
        (root / name).mkdir()
        (root / name / "a.txt").write_text("one\n")
    (root / "way").symlink_to("docs")
    name = "way/a.txt" if op == "update" else "way/new.txt"
    body = "*** Update File: {}\n@@\n-one\n+two\n" if op == "update" else "*** Add File: {}\n+two\n"
    text = f"*** Begin Patch\n{body.format(name)}*** End Patch\n"
    async with fs_gateway(tmp_path, root) as gateway:
        await gateway.settled()
        first = await patch(gateway, patch=text)
        await approve(gateway, first.structured_content["error"]["approval_id"])
        (root / "way").unlink()
        (root / "way").symlink_to("src")
        second = await patch(gateway, patch=text)

    assert second.structured_content["error"]["code"] == "conflict", second
    assert "src/" in second.structured_content["error"]["message"]
    assert sorted(path.name for path in (root / "src").iterdir()) == ["a.txt"]
    assert (root / "src" / "a.txt").read_text() == "one\n"


@pytest.mark.attack("Approvals", "a yes for one root used by a gateway of a copy of it that shares the state directory")
async def test_a_yes_for_one_root_is_none_for_another_that_shares_the_state(tmp_path: Path) -> None:
    roots = [tmp_path / "first", tmp_path / "second"]
    for root in roots:
        root.mkdir()
        (root / "note.txt").write_text("one\n")
    meta = {"lg/run": {"run_id": "r1", "epoch": 1, "step": "s"}}
    with anyio.fail_after(60):
        async with fs_gateway(tmp_path, roots[0], state=tmp_path / "state") as gateway:
            await gateway.settled()
            asked = await patch(gateway)
            await approve(gateway, asked.structured_content["error"]["approval_id"])
            asked = await send(gateway, "fs__apply_patch", {"patch": PATCH}, meta=meta)
            given = await approve(gateway, asked.structured_content["error"]["approval_id"])
            await gateway.store.write(lambda tx: gateway.approvals.grant(tx, given, time.time()))
        async with fs_gateway(tmp_path, roots[1], state=tmp_path / "state") as gateway:
            await gateway.settled()
            elsewhere = [await patch(gateway), await send(gateway, "fs__apply_patch", {"patch": PATCH}, meta=meta)]

    assert [answer.structured_content["error"]["code"] for answer in elsewhere] == ["approval_required"] * 2
    assert [(root / "note.txt").read_text() for root in roots] == ["one\n"] * 2
