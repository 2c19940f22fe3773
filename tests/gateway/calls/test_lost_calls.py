"""Repeated keys whose records are gone, out of reach, or of a gateway elsewhere; and calls that were never sent."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from lg_gateway.calls.idempotency_step import GRACE_S
from tests.gateway.approvals.support_approvals import approve
from tests.gateway.calls.support_fs import PATCH, fs_gateway
from tests.gateway.calls.support_lost_calls import lose_outcomes
from tests.gateway.misbehaving import misbehaving, named
from tests.gateway.rig import ALLOW_ALL, call, code_of, gateway_of, journal, send, server, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from lg_gateway.serving.gateway import Gateway

pytestmark = pytest.mark.anyio
KEY = {"lg/idempotency-key": "k"}


async def sql(gateway: Gateway, statement: str, *params: object) -> None:
    await gateway.store.write(lambda tx: tx.execute(statement, params))


async def test_a_call_that_was_not_sent_may_be_made_again_under_its_key(tmp_path: Path) -> None:
    part = misbehaving(tmp_path, settings="call_timeout_s = 1", tools=named("unread", "echo"))
    key = {"lg/run": {"run_id": "r1", "epoch": 1, "step": "s"}, "lg/idempotency-key": "r1:1"}
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        await call(gateway, "odd__unread")
        await call(gateway, "odd__echo", text="x" * 1_000_000)
        refused = await send(gateway, "odd__echo", {"n": 1}, meta=key)
        (tmp_path / "go").touch()
        with anyio.fail_after(60):
            while (answer := await send(gateway, "odd__echo", {"n": 1}, meta=key)).is_error:
                assert "outcome_unknown" not in text_of(answer)

    assert "the call was not sent" in text_of(refused)
    assert json.loads(text_of(answer))["arguments"] == {"n": 1}


async def test_a_call_whose_outcome_is_no_longer_kept_is_not_made_again(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        await send(gateway, "a__echo", {"text": "x"}, meta=KEY)
        await sql(gateway, "DELETE FROM outcomes")
        again = await send(gateway, "a__echo", {"text": "x"}, meta=KEY)

    assert text_of(again).startswith("outcome_unknown: this call took place, but its outcome is no longer kept")
    assert len(journal(log)) == 1


async def test_where_earlier_calls_cannot_be_looked_up_nothing_is_done(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        await sql(gateway, "ALTER TABLE effects RENAME TO elsewhere")
        refused = await send(gateway, "a__echo", {"text": "x"}, meta=KEY)
        await sql(gateway, "ALTER TABLE elsewhere RENAME TO effects")

    assert text_of(refused).startswith("internal: cannot read the record of earlier calls; nothing was done")
    assert journal(log) == []


@pytest.mark.parametrize(
    ("since_s", "code"), [(5, "conflict"), (20 + GRACE_S - 15, "conflict"), (20 + GRACE_S + 1, "outcome_unknown")]
)
async def test_a_call_of_a_gateway_on_another_machine_may_run_for_its_time_limit_and_a_little(
    tmp_path: Path, since_s: float, code: str
) -> None:
    log = tmp_path / "journal"
    own = "call_timeout_s = 20"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)) + own, ALLOW_ALL) as gateway:
        await send(gateway, "a__echo", {"text": "x"}, meta=KEY)
        lost = "UPDATE effects SET ended = 0, holder = 'x@elsewhere', created = ?"
        await sql(gateway, lost, time.time() - since_s)
        again = await send(gateway, "a__echo", {"text": "x"}, meta=KEY)

    assert code_of(again) == code, text_of(again)
    assert len(journal(log)) == 1


async def test_a_run_that_names_no_epoch_may_call(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        for run in ({"run_id": "r"}, {"run_id": "r", "epoch": 1}, {"run_id": "r"}):
            answer = await send(gateway, "a__echo", {"text": "x"}, meta={"lg/run": run})
            assert not answer.is_error, text_of(answer)


async def test_a_lost_change_that_was_approved_is_made_again_as_it_was_approved(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "note.txt").write_text("one\n")
    with anyio.fail_after(60):
        async with fs_gateway(tmp_path, root) as gateway:
            await gateway.settled()

            async def change() -> Any:
                arguments = {"patch": "*** Begin Patch\n*** Update File: note.txt\n@@\n-one\n+two\n*** End Patch\n"}
                return await send(gateway, "fs__apply_patch", arguments, meta=KEY)

            asked = await change()
            await approve(gateway, asked.structured_content["error"]["approval_id"])
            first = await change()
            await lose_outcomes(gateway)
            again = await change()

    assert not first.is_error, text_of(first)
    assert not again.is_error, text_of(again)
    assert first.structured_content["change_id"] == again.structured_content["change_id"]
    assert (root / "note.txt").read_text() == "two\n"


async def test_a_lost_change_is_not_made_again_where_its_file_is_another_than_the_one_that_was_approved(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "note.txt").write_text("one\n")
    with anyio.fail_after(60):
        async with fs_gateway(tmp_path, root) as gateway:
            await gateway.settled()
            asked = await send(gateway, "fs__apply_patch", {"patch": PATCH}, meta=KEY)
            await approve(gateway, asked.structured_content["error"]["approval_id"])
            assert not (await send(gateway, "fs__apply_patch", {"patch": PATCH}, meta=KEY)).is_error
            await lose_outcomes(gateway)
        for changes in Path(os.environ["XDG_STATE_HOME"]).rglob("changes"):
            shutil.rmtree(changes)  # as where the call never reached the server
        (root / "note.txt").write_text("one\nand somebody's own line\n")
        async with fs_gateway(tmp_path, root) as gateway:
            await gateway.settled()
            again = await send(gateway, "fs__apply_patch", {"patch": PATCH}, meta=KEY)

    assert code_of(again) == "conflict", text_of(again)
    assert "somebody" in (root / "note.txt").read_text()


async def test_a_replayed_outcome_keeps_what_its_server_said_beside_it(tmp_path: Path) -> None:
    own = '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"t"}],"_meta":{"own":1}}}'
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls={"x": own}), ALLOW_ALL) as gateway:
        first = await send(gateway, "odd__x", {}, meta=KEY)
        again = await send(gateway, "odd__x", {}, meta=KEY)

    assert (first.meta["own"], first.meta.get("lg/replayed")) == (1, None)
    assert (again.meta["own"], again.meta["lg/replayed"]) == (1, True)
