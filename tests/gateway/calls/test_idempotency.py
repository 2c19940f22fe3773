"""At most once: a repeated key is answered from the record, a lost outcome is never guessed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.gateway.approvals.support_approvals import asked_client
from tests.gateway.elicitation.server_questions import answer, ask, blue
from tests.gateway.rig import (
    ALLOW_ALL,
    client_of,
    gateway_of,
    http_gateway,
    journal,
    program_environment,
    records,
    send,
    server,
    text_of,
    until,
    write_config,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


def marked(key: str, **run: Any) -> dict[str, Any]:
    return {"lg/idempotency-key": key} | ({"lg/run": run} if run else {})


async def test_a_repeated_key_returns_the_recorded_outcome_and_does_nothing(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"}, meta=marked("k"))
        again = await send(gateway, "a__echo", {"text": "x"}, meta=marked("k"))
        outcomes = [record["outcome"] for record in records(gateway)]

    assert first.content == again.content
    assert again.meta["lg/replayed"] is True
    assert len(journal(log)) == 1
    assert outcomes == [None, "ok", "replayed"]


async def test_a_recorded_outcome_is_found_after_a_restart_and_a_failure_is_an_outcome_too(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    parts = (server("a", "--journal", str(log)), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway:
        await send(gateway, "a__fail", {}, meta=marked("k"))
    async with gateway_of(tmp_path, *parts) as gateway:
        again = await send(gateway, "a__fail", {}, meta=marked("k"))

    assert again.is_error
    assert again.meta["lg/replayed"] is True
    assert len(journal(log)) == 1


async def test_a_key_repeated_while_its_call_still_runs_waits_for_that_outcome(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    answers: list[Any] = []

    async with gateway_of(tmp_path, server("a", "--journal", str(log), "--nap", "0.5"), ALLOW_ALL) as gateway:

        async def call() -> None:
            answers.append(await send(gateway, "a__nap", {"text": "x"}, meta=marked("k")))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(lambda: len(journal(log)) == 1)
            group.start_soon(call)

    first, second = answers
    assert first.content == second.content
    assert second.meta["lg/replayed"] is True
    assert len(journal(log)) == 1


async def test_a_key_used_for_another_call_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        await send(gateway, "a__echo", {"text": "x"}, meta=marked("k"))
        other_arguments = await send(gateway, "a__echo", {"text": "y"}, meta=marked("k"))
        other_tool = await send(gateway, "a__peek", {"text": "x"}, meta=marked("k"))

    assert other_arguments.structured_content["error"]["code"] == "conflict"
    assert other_tool.structured_content["error"]["code"] == "conflict"
    assert len(journal(log)) == 1


async def test_keys_of_other_callers_and_runs_are_their_own(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        for identity, run in (("local:a", "r1"), ("local:b", "r1"), ("local:a", "r2")):
            result = await send(
                gateway, "a__echo", {"text": "x"}, identity=identity, meta=marked("k", run_id=run, epoch=1)
            )
            assert result.content[0].text == "x"

    assert len(journal(log)) == 3


async def test_refused_calls_do_not_use_up_a_key(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        wrong = await send(gateway, "a__echo", {}, meta=marked("k"))
        right = await send(gateway, "a__echo", {"text": "x"}, meta=marked("k"))

    assert wrong.structured_content["error"]["code"] == "invalid_arguments"
    assert right.content[0].text == "x"


async def test_a_call_whose_server_died_under_it_is_not_made_again_under_its_key(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        lost = await send(gateway, "a__die", {}, meta=marked("k"))
        await until(lambda: gateway.upstreams["a"].restarts > 0 and gateway.upstreams["a"].state == "up")
        again = await send(gateway, "a__die", {}, meta=marked("k"))

    assert lost.structured_content["error"]["code"] == "outcome_unknown"
    assert again.structured_content["error"]["code"] == "outcome_unknown"
    assert again.structured_content["error"]["begun_before"] == "true"
    assert len(journal(log)) == 1


async def test_a_lost_call_that_is_made_again_keeps_its_key_while_its_server_is_away(tmp_path: Path) -> None:
    log, program = tmp_path / "journal", tmp_path / "program"
    settings = server("a", "--journal", str(log), "--idempotent", "die", trusted=True)
    settings = settings.replace(json.dumps(sys.executable), json.dumps(str(program)), 1)

    def installed() -> None:
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        program.chmod(0o755)

    installed()
    async with gateway_of(tmp_path, settings, ALLOW_ALL) as gateway:
        await until(lambda: gateway.upstreams["a"].state == "up")
        program.unlink()
        lost = await send(gateway, "a__die", {}, meta=marked("k"))
        away = await send(gateway, "a__die", {}, meta=marked("k"))
        kept = gateway.store.read_now(lambda tx: tx.execute("SELECT key, ended FROM effects"))
        arrived = len(journal(log))
        installed()
        again = await send(gateway, "a__die", {}, meta=marked("k"))

    assert lost.structured_content["error"]["code"] == "outcome_unknown"
    assert away.structured_content["error"]["code"] == "upstream_unavailable"
    assert kept == [("k", 0)]
    # A trusted server says that it may be made again; each time it dies, which is a loss of now and not of before.
    assert len(journal(log)) == arrived + 1
    assert "begun_before" not in again.structured_content["error"]


@pytest.mark.parametrize(("trusted", "code", "arrived"), [(False, "outcome_unknown", 1), (True, None, 2)])
async def test_a_gateway_killed_between_begun_and_outcome_repeats_only_what_is_harmless(
    tmp_path: Path, trusted: bool, code: str | None, arrived: int
) -> None:
    log = tmp_path / "journal"
    slow = server("a", "--journal", str(log), "--nap", "3", trusted=trusted)
    config = write_config(tmp_path, slow, ALLOW_ALL)
    script = (
        "import anyio, sys\nfrom mcp.client import Client\n"
        "async def main():\n"
        "    async with Client(sys.argv[1], mode='legacy') as client:\n"
        "        await client.call_tool('a__nap', {}, meta={'lg/idempotency-key': 'k'})\n"
        "anyio.run(main)\n"
    )
    with http_gateway("--config", str(config)) as (url, process):
        caller = subprocess.Popen([sys.executable, "-c", script, f"{url}/mcp"], stderr=subprocess.DEVNULL)
        await until(lambda: len(journal(log)) == 1)
        os.kill(process.pid, signal.SIGKILL)
        await anyio.to_thread.run_sync(caller.wait)
    meta: Any = {"lg/idempotency-key": "k"}
    async with client_of("--config", str(config)) as client:
        result = await client.call_tool("a__nap", {}, meta=meta)

    assert len(journal(log)) == arrived
    if code is None:
        assert not result.is_error
    else:
        assert result.structured_content["error"]["code"] == code
    verified = subprocess.run(
        [sys.executable, "-m", "lg_gateway", "audit", "verify", "--config", str(config)],
        env=program_environment(),
        capture_output=True,
        text=True,
    )
    assert verified.returncode == 0, verified.stdout


async def test_a_newer_epoch_shuts_out_the_older_writer_of_a_run(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:

        async def write(epoch: int) -> str:
            run = {"lg/run": {"run_id": "r", "epoch": epoch}}
            result = await send(gateway, "a__echo", {"text": "x"}, meta=run)
            return str(result.structured_content["error"]["code"]) if result.is_error else "ok"

        outcomes = [await write(epoch) for epoch in (1, 1, 2, 1, 4, 3, 2, 3)]

    assert outcomes == ["ok", "ok", "ok", "conflict", "conflict", "ok", "conflict", "ok"]


async def test_two_callers_racing_with_one_key_make_one_call(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        answers: list[Any] = []

        async def one() -> None:
            answers.append(await send(gateway, "a__echo", {"text": "x"}, meta=marked("k")))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(one)

    assert len(journal(log)) == 1
    assert sum(not answer.is_error for answer in answers) >= 1
    assert {a.structured_content["error"]["code"] for a in answers if a.is_error} <= {"conflict", "outcome_unknown"}


async def test_a_call_without_a_key_is_made_each_time(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        answers = [await send(gateway, "a__echo", {"text": "x"}) for _ in range(2)]

    assert [(text_of(answer), "lg/replayed" in (answer.meta or {})) for answer in answers] == [("x", False)] * 2
    assert len(journal(log)) == 2


async def test_the_answer_to_a_question_goes_on_with_the_call_that_its_key_is_for(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", blue, []) as client,
    ):
        question = await ask(client, meta=marked("k"))
        given = answer(question, {"colour": "red"})
        result = await ask(client, meta=marked("k"), input_responses=given, request_state=question.request_state)
        again = await ask(client, meta=marked("k"))

    assert text_of(result) == text_of(again) == "accept red"
    assert again.meta["lg/replayed"] is True


@pytest.mark.parametrize(("ago_s", "written"), [(1_000, False), (4_000, True)])
async def test_the_time_of_a_runs_last_call_is_written_again_after_an_hour(
    tmp_path: Path, ago_s: float, written: bool
) -> None:
    in_run: Any = {"lg/run": {"run_id": "r", "epoch": 1, "step": "s"}}
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        await send(gateway, "a__echo", {"text": "x"}, meta=in_run)
        await gateway.store.write(lambda tx: tx.execute("UPDATE runs SET seen = seen - ?", (ago_s,)))
        (before,) = gateway.store.read_now(lambda tx: tx.execute("SELECT seen FROM runs"))
        await send(gateway, "a__echo", {"text": "x"}, meta=in_run)
        (after,) = gateway.store.read_now(lambda tx: tx.execute("SELECT seen FROM runs"))

    assert (after != before) is written
