"""A human is told of a call that waits: once for each question, in words that no tool's name can change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lg_gateway.approvals.notifying import PAUSE_S, Notifier, desktop_command
from lg_gateway.approvals.records import Approval, ApprovalState

pytestmark = pytest.mark.anyio


PROGRAM = """#!/bin/sh
for argument; do printf '%s\\n' "$argument"; done >> {log}
echo . >> {log}
"""


async def test_each_question_is_told_once_and_a_flood_of_them_not_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    program = tmp_path / "notify-send"
    program.write_text(PROGRAM.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    now = [0.0]
    notifier = Notifier(lambda: ("desktop",), lambda: now[0])
    first = Approval(
        id="ap-1", binding="", identity="me", state=ApprovalState.PENDING, created=0, expires=1, tool="a__<b>\n",
        server="a", approver="user", text="",
    )  # fmt: skip

    for number in range(5):
        await notifier.tell(replace(first, id=f"ap-{number}"))
    now[0] = PAUSE_S
    await notifier.tell(first)
    await notifier.tell(replace(first, id="ap-9"))

    told = log.read_text().split("\n.\n")
    assert len(told) == 3
    assert "&lt;b&gt;\\u{a}" in told[0]
    assert "lg-gateway approvals watch" in told[0]


def test_the_text_is_never_an_option_of_the_program() -> None:
    command = desktop_command("-x", lambda name: f"/usr/bin/{name}")

    assert command is not None
    assert command.index("--") < command.index("-x") if "--" in command else command[1] == "-e"
    assert desktop_command("x", lambda _name: None) is None
