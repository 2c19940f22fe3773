"""Attacks with inputs that take long to judge: other calls go on meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_exec.process.output_text import clean
from lg_exec.server.executor import Request
from lg_exec.templates.arguments import ArgumentRules
from lg_policy.errors import InvalidArguments, LgError
from lg_policy.paths.root import Root
from tests.exec.helpers import py, settings, unconfined
from tests.heartbeat import called_in_this_thread

pytestmark = pytest.mark.anyio

MANY_STARS = {"from": "python", "args_allow": ["text:" + "*a" * 20 + "*b", "--o=" + "*x" * 20]}
PATHS = {"from": "python", "args_allow": ["path:**"], "args_deny": ["text:last"]}
HOSTILE = [
    ("stars", ("a" * 90_000,)),
    ("stars", ("--o=" + "x" * 90_000 + "y",)),
    ("stars", tuple("a" * 200 for _ in range(4_000))),
    ("paths", (*(f"d/{number}/x" for number in range(4_000)), "last")),
    ("paths", (*("d/" * 1_500 for _ in range(300)), "last")),
]


@pytest.mark.attack("Slow inputs", "arguments that backtrack, thousands of paths to look up")
@pytest.mark.parametrize(("cmd", "args"), HOSTILE, ids=["backtracking", "option", "many", "paths", "deep paths"])
async def test_arguments_are_judged_beside_the_event_loop(tmp_path: Path, cmd: str, args: tuple[str, ...]) -> None:
    (tmp_path / "root" / "d").mkdir(parents=True)
    chosen = settings(commands={"stars": MANY_STARS, "paths": PATHS})
    with unconfined(tmp_path / "root", tmp_path / "s", chosen) as executor, anyio.fail_after(60):
        request = Request(cmd=cmd, args=args)
        with called_in_this_thread() as by_the_loop, pytest.raises(LgError) as refused:
            await executor.execute(request)
        with called_in_this_thread() as judging, pytest.raises(LgError):
            executor.prepare(request)
    judges = {ArgumentRules.check.__code__, *([Root.normalise.__code__] if cmd == "paths" else [])}
    assert judges <= judging
    assert not judges & by_the_loop
    assert len(refused.value.text()) < 3_000


@pytest.mark.attack("Slow inputs", "half a surrogate pair in the input and in an environment variable")
@pytest.mark.parametrize("more", [{"stdin": "a\ud800"}, {"env": {"A": "\udc00"}}])
async def test_half_a_character_is_refused_in_words(tmp_path: Path, more: dict[str, Any]) -> None:
    (tmp_path / "root").mkdir()
    chosen = settings(commands={"py": {"from": "python", "args_allow": ["-c=*..."], "env": ["A"]}})
    with (
        unconfined(tmp_path / "root", tmp_path / "s", chosen) as executor,
        anyio.fail_after(60),
        pytest.raises(InvalidArguments, match="not valid Unicode"),
    ):
        await py(executor, "pass", **more)


@pytest.mark.attack("Slow inputs", "output made of unfinished control sequences")
@pytest.mark.parametrize(
    "text", ["\x1b[" * 500_000, "\x1b]" * 500_000, "\x1b[" + "1;" * 500_000, "\r" * 1_000_000, "a\r" * 500_000 + "\n"]
)
def test_output_is_cleaned_in_one_pass(text: str) -> None:
    assert len(clean(text)) <= len(text)
