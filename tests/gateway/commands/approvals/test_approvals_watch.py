"""One terminal that shows each question and takes a key press."""

from __future__ import annotations

import os
import signal
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_gateway.serving.gateway import Gateway
from tests.gateway.approvals.support_approvals import OPERATOR, approve, asked_client
from tests.gateway.commands.terminals import Screen, gateway_on_terminal
from tests.gateway.rig import gateway_of, records, send, server, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
MENU = "[q] quit"
RUN = {"lg/run": {"run_id": "r1"}}


async def quiet(*_progress: Any) -> None:
    """Take progress: a caller that takes none would be answered at once."""


async def seen(screen: Screen, text: str, times: int = 1) -> str:
    return await anyio.to_thread.run_sync(screen.wait, text, times)


async def answered(gateway: Gateway, screen: Screen, keys: str, text: str, nth: int, **options: Any) -> Any:
    """Make a call, wait for the nth menu, press keys, return the answer."""
    answers: list[Any] = []

    async def call() -> None:
        answers.append(await send(gateway, "a__echo", {"text": text}, progress=quiet, **options))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await seen(screen, MENU, nth)
        for key in keys.split("|"):
            screen.type(key)
            if key == "d":
                await seen(screen, "Reason")
    return answers[0]


async def test_each_question_is_shown_and_answered_with_a_key_press(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a")) as gateway:
        with gateway_on_terminal("approvals", "watch") as screen:
            await seen(screen, "Waiting for questions")
            yes = await answered(gateway, screen, "z|o", "one \x1b[2J\u202e", 1)
            no = await answered(gateway, screen, "d|not on a Friday\n", "two", 2)
            run = await answered(gateway, screen, "r", "three", 3, meta=RUN)
            covered = await send(gateway, "a__echo", {"text": "four"}, meta=RUN)
            no_run = await answered(gateway, screen, "r|a", "five", 4)
            screen.type("q")
            shown = await seen(screen, "approved", 3)

    assert [answer.content[0].text[:3] for answer in (yes, run, covered, no_run)] == ["one", "thr", "fou", "fiv"]
    assert "not on a Friday" in no.content[0].text
    assert "\\u{1b}[2J\\u{202e}" in shown
    assert "\x1b[2J" not in shown
    assert str(tmp_path / "gateway.toml") in shown.replace("\r\n   >", "")
    assert shown.count("[r] approve for this run") == 1


async def test_keys_that_were_pressed_before_a_question_was_shown_do_not_answer_it(tmp_path: Path) -> None:
    answers: list[Any] = []
    async with gateway_of(tmp_path, server("a")) as gateway:

        async def call() -> None:
            answers.append(await send(gateway, "a__echo", {"text": "one"}, progress=quiet))

        with gateway_on_terminal("approvals", "watch") as screen:
            await seen(screen, "Waiting for questions")
            os.kill(screen.pid, signal.SIGSTOP)  # the loop would read the keys away before there is a question
            await anyio.to_thread.run_sync(os.waitpid, screen.pid, os.WUNTRACED)
            screen.type("aaaaa")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await until(lambda: bool(gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))))
                os.kill(screen.pid, signal.SIGCONT)
                await seen(screen, MENU)
                screen.type("d")
                shown = await seen(screen, "Reason")
                screen.type("not this one\n")

    assert "not this one" in answers[0].content[0].text
    assert " approved " not in shown


async def test_a_question_answered_elsewhere_leaves_the_terminal_and_the_other_way_round(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a")) as gateway:
        with gateway_on_terminal("approvals", "watch") as screen:
            await seen(screen, "Waiting for questions")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(send, gateway, "a__echo", {"text": "one"}, progress=quiet))
                await seen(screen, MENU)
                (pending,) = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))
                await approve(gateway, pending.id)
                await seen(screen, "answered elsewhere")

            async def press(_context: Any, _params: Any) -> Any:
                await seen(screen, MENU, 2)
                screen.type("a")
                await anyio.sleep_forever()

            async with asked_client(gateway, "legacy", lambda _m: None, [], elicit=press) as client:
                result = await client.call_tool("a__echo", {"text": "two"})

    assert not result.is_error


async def test_an_operators_question_wants_the_code_and_a_long_one_is_shown_whole(tmp_path: Path) -> None:
    text = "\n".join(f"line {n}" for n in range(250))
    async with gateway_of(tmp_path, server("a"), OPERATOR) as gateway:
        with gateway_on_terminal("approvals", "watch") as screen:
            await seen(screen, "Waiting for questions")
            answers: list[Any] = []

            async def call() -> None:
                answers.append(await send(gateway, "a__echo", {"text": text}, progress=quiet))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await seen(screen, MENU)
                screen.type("a")
                shown = await seen(screen, "anything else")
                code = shown.rpartition("type ")[2].split()[0]
                screen.type(f"{code}\n")

    assert answers[0].content[0].text == text
    assert all(f"|   line {n}\r\n" in shown for n in range(250))


async def test_a_key_writes_the_rule_that_was_shown_and_another_keeps_the_session(tmp_path: Path) -> None:
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "lg" / "config.toml"
    async with gateway_of(tmp_path, server("a")) as gateway:
        with gateway_on_terminal("approvals", "watch") as screen:
            await seen(screen, "Waiting for questions")
            session = await answered(gateway, screen, "w", "zero", 1, session="s1")
            covered = await send(gateway, "a__echo", {"text": "again"}, session="s1")
            answers: list[Any] = []

            async def call() -> None:
                answers.append(await send(gateway, "a__echo", {"text": "one"}, progress=quiet))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await seen(screen, MENU, 2)
                screen.type("t")
                await seen(screen, "Write it?")
                assert not file.exists()
                screen.type("\n")
                await seen(screen, MENU, 3)
                screen.type("x")
                shown = await seen(screen, "Write it?", 2)
                screen.type("y\n")
            await seen(screen, "The rule is in force")
            notes = [note for note in records(gateway, notes=True) if note["outcome"] == "rule added"]

    (rule,) = tomllib.loads(file.read_text())["gateway"]["rules"]
    assert [answer.content[0].text for answer in (session, covered, *answers)] == ["zero", "again", "one"]
    assert rule["when"]["properties"] == {"text": {"const": "one"}}
    assert [note["approval_id"] for note in notes] == [rule["name"]]
    assert 'effect = "allow"' in shown
    assert str(file) in shown
    assert shown.count("approve this tool until its client ends") == 1
