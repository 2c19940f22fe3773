"""`lg-gateway halt` and `continue`, as running gateways see them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_gateway.ledger.halt import HaltSwitch, write_continue, write_halt
from lg_gateway.ledger.ledger import LedgerEntry
from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import Tx
from lg_policy.errors import Halted
from tests.gateway.approvals.support_approvals import NO_HOLD, approve
from tests.gateway.calls.support_fs import PATCH, fs_gateway
from tests.gateway.commands.support_commands import run
from tests.gateway.commands.terminals import gateway_on_terminal
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, journal, make_setup, records, server, text_of, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


@contextmanager
def another_process(gateway: Gateway) -> Iterator[StoreAccess]:
    """Open the store as a command in another process does."""
    with closing(StoreAccess(gateway.setup)) as access:
        yield access


async def halt(gateway: Gateway, *, now: bool = False) -> None:
    with another_process(gateway) as access:
        await anyio.to_thread.run_sync(
            lambda: access.write(lambda tx: write_halt(access.ledger, tx, by="ada", reason="wrong files", now=now))
        )


async def let_continue(gateway: Gateway) -> None:
    with another_process(gateway) as access:
        await anyio.to_thread.run_sync(lambda: access.write(lambda tx: write_continue(access.ledger, tx, by="ada")))


def code_of(result: Any) -> str:
    return str(result.structured_content["error"]["code"]) if result.is_error else "ok"


async def test_after_a_halt_no_call_begins_and_the_refusal_says_who_and_how_to_go_on(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        assert code_of(await call(gateway, "a__echo", text="before")) == "ok"
        await halt(gateway)
        refused = await call(gateway, "a__echo", text="after")
        assert code_of(refused) == "halted"
        assert "by ada: wrong files" in text_of(refused)
        assert "lg-gateway continue" in text_of(refused)
        assert code_of(await call(gateway, "a__peek")) == "halted"
        await let_continue(gateway)
        assert code_of(await call(gateway, "a__echo", text="again")) == "ok"
        ended = [(record["outcome"], record["error_code"]) for record in records(gateway) if record["phase"] == "ended"]
        assert ended == [("ok", None), ("refused", "halted"), ("refused", "halted"), ("ok", None)]
    assert [entry["arguments"].get("text") for entry in journal(log) if entry.get("tool") == "echo"] == [
        "before",
        "again",
    ]


async def test_a_halt_outlives_the_gateway_and_is_known_from_the_first_call_on(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        await halt(gateway)
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        assert code_of(await call(gateway, "a__echo", text="x")) == "halted"


class _Meanwhile:
    """A transaction of the store in which something else happens before its first statement."""

    def __init__(self, tx: Tx, action: Callable[[], None]) -> None:
        self._tx = tx
        self._action = action

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        action, self._action = self._action, lambda: None
        action()
        return list(self._tx.execute(sql, params))


def test_a_call_that_begins_while_the_gateway_looks_for_halts_is_stopped_by_one(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, server("a"), ALLOW_ALL)
    with closing(StoreAccess(setup)) as ours, closing(StoreAccess(setup)) as others:
        switch = HaltSwitch(ours.ledger)
        begun = LedgerEntry(phase="begun", request_id="r")
        assert ours.write(switch.read) is None
        others.write(lambda tx: write_halt(others.ledger, tx, by="ada", reason=""))

        def begin_call(tx: Tx) -> None:
            ours.ledger.append(tx, begun)
            with pytest.raises(Halted):
                switch.read(_Meanwhile(tx, lambda: switch.check(tx)))

        ours.write(begin_call)


async def test_an_approval_is_not_spent_while_calls_are_halted(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        asked = await call(gateway, "a__echo", text="x")
        await approve(gateway, asked.structured_content["error"]["approval_id"])
        await halt(gateway)
        assert code_of(await call(gateway, "a__echo", text="x")) == "halted"
        await let_continue(gateway)
        assert code_of(await call(gateway, "a__echo", text="x")) == "ok"


@pytest.mark.parametrize("now", [False, True], ids=["may-end", "cut-off"])
async def test_a_call_that_runs_may_end_or_is_cut_off(tmp_path: Path, now: bool) -> None:
    part = server("a", "--nap", "600" if now else "1.5")
    answers: list[Any] = []
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:

        async def nap() -> None:
            answers.append(await call(gateway, "a__nap"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nap)
            await until(lambda: any(record["phase"] == "begun" for record in records(gateway)))
            await halt(gateway, now=now)
        assert code_of(answers[0]) == ("halted" if now else "ok")
        if now:
            assert "may have taken effect" in text_of(answers[0])
            assert [record["outcome"] for record in records(gateway) if record["phase"] == "ended"] == ["cancelled"]


async def test_a_preview_is_cut_off_too_and_nothing_was_done(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "note.txt").write_text("one\n")
    answers: list[Any] = []
    async with fs_gateway(tmp_path, root) as gateway:
        await gateway.settled()
        pid = gateway.upstreams["fs"].process_group()
        assert pid is not None

        async def change() -> None:
            answers.append(await call(gateway, "fs__apply_patch", patch=PATCH))

        os.killpg(pid, signal.SIGSTOP)  # it is still at its preview when all calls are stopped
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(change)
                await until(lambda: any(record["phase"] == "begun" for record in records(gateway)))
                await halt(gateway, now=True)
        finally:
            os.killpg(pid, signal.SIGCONT)
        ended = [record["outcome"] for record in records(gateway) if record["phase"] == "ended"]
    assert code_of(answers[0]) == "halted"
    assert "nothing was done" in text_of(answers[0])
    assert ended == ["cancelled", "refused"]


async def test_a_gateway_on_the_same_postgresql_store_sees_the_halt(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "b").mkdir()
    store = f'[store]\nurl = "{postgres_url}"\n'
    async with (
        gateway_of(tmp_path, server("a"), ALLOW_ALL, store) as first,
        gateway_of(tmp_path / "b", server("a"), ALLOW_ALL, store) as second,
    ):
        assert code_of(await call(second, "a__echo", text="x")) == "ok"
        await halt(first)
        assert code_of(await call(second, "a__echo", text="x")) == "halted"
        assert code_of(await call(first, "a__echo", text="x")) == "halted"


def test_the_commands_halt_for_everybody_and_continue_only_for_a_person_at_a_terminal(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, server("a"), ALLOW_ALL)
    with closing(StoreAccess(setup)):
        pass
    config = str(tmp_path / "gateway.toml")
    done = run("halt", "--reason", "enough", "--config", config)
    assert (done.returncode, "no new call begins" in done.stdout) == (0, True)
    refused = run("continue", "--config", config)
    assert refused.returncode == 2
    assert "terminal" in refused.stderr
    with gateway_on_terminal("continue", "--config", config) as shown:
        shown.wait("Type continue: ")
        shown.type("no\r")
        assert shown.end() == 1
    with gateway_on_terminal("continue", "--config", config) as shown:
        shown.wait("enough")
        shown.wait("Type continue: ")
        shown.type("continue\r")
        assert shown.end() == 0
    again = run("continue", "--config", config)
    assert (again.returncode, again.stderr.strip()) == (0, "nothing is halted")


def test_settings_with_a_mistake_do_not_keep_a_person_from_halting(tmp_path: Path, clean_environment: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert run("halt", "--root", str(root)).returncode == 0
    settings = clean_environment / "config" / "lg" / "config.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("broken = [")
    refused = run("halt", "--root", str(root))
    assert refused.returncode == 2
    assert "`lg-gateway halt` without --root" in refused.stderr
    done = run("halt")
    assert (done.returncode, done.stdout.startswith(f"halted {root}")) == (0, True)
