"""A file that the run was not shown is not changed: judged by the file server's dry run, so in every format of a patch
and whatever a file is called.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.orchestrator.llm.workshop import (
    DEEP,
    DONE,
    LARGE,
    READ,
    RIGHT,
    WRONG,
    last,
    patch,
    plan,
    settings_for,
    shop,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lg_orch.testing import Scripted

pytestmark = pytest.mark.anyio

WHOLE = f"def add(a, b):\n    {RIGHT}\n"
DIFF = f"--- a/calc.py\n+++ b/calc.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    {WRONG}\n+    {RIGHT}\n"
ENVELOPE = f"*** Begin Patch\n*** Update File: calc.py\n@@\n-    {WRONG}\n+    {RIGHT}\n*** End Patch\n"
RENAMED = "diff --git a/calc.py b/sum.py\nrename from calc.py\nrename to sum.py\n"
NOT_READ, CHANGED = "calc.py was not read in this run", "calc.py was changed since it was read in this run"


def apply(**arguments: Any) -> Scripted:
    return calls(("fs__apply_patch", arguments))


def write(content: str) -> Scripted:
    """A command that changes calc.py: what the user or another program may do at any time."""
    return calls(("exec__exec", {"cmd": "python", "args": ["-c", f"open('calc.py', 'w').write({content!r})"]}))


async def told(
    place: Path, *script: Scripted, files: dict[str, str] | None = None, links: dict[str, str] | None = None
) -> str:
    """What a model is told of its last call."""
    with ScriptedModel([*script, text(DONE), text(DONE), text(DONE)]) as model:
        async with shop(place, settings_for(model, {"max_loops": 2}), files=files) as made:
            for name, target in (links or {}).items():
                (made.root / name).symlink_to(target)
            await made.go()
    return last(model, len(script))


@pytest.mark.parametrize(
    "blind",
    [
        patch(),
        patch(path="./calc.py"),
        apply(patch=ENVELOPE),
        apply(patch=f"```diff\n{DIFF}```\n"),
        apply(changes=[{"path": "calc.py", "op": "update", "content": WHOLE}]),
        apply(changes=[{"path": "calc.py", "op": "delete"}]),
        apply(changes=[{"path": "calc.py", "op": "move", "to": "sum.py", "content": WHOLE}]),
        apply(patch="*** Begin Patch\n*** Add File: new.py\n+x\n*** Delete File: calc.py\n*** End Patch\n"),
    ],
    ids=["blocks", "dotted", "envelope", "fenced diff", "update", "delete", "move and rewrite", "among others"],
)
async def test_a_change_of_an_unread_file_is_sent_back_in_every_format(tmp_path: Path, blind: Scripted) -> None:
    assert NOT_READ in await told(tmp_path, blind)


@pytest.mark.parametrize(
    "harmless",
    [
        apply(patch=RENAMED),
        apply(patch="new.sql\n<<<<<<< SEARCH\n=======\n-- a\n>>>>>>> REPLACE\n"),
        apply(changes=[{"path": "empty.py", "op": "delete"}]),
        apply(changes=[{"path": "empty.py", "op": "update", "content": "x = 1\n"}]),
    ],
    ids=["moved as it is", "new", "an empty file", "an empty file filled"],
)
async def test_where_nothing_unseen_goes_nothing_need_be_read(tmp_path: Path, harmless: Scripted) -> None:
    assert "not read" not in await told(tmp_path, harmless, files={"empty.py": ""})


@pytest.mark.parametrize(
    ("read", "changed"), [("calc.py", ".//./calc.py"), ("link.py", "calc.py"), ("calc.py", "link.py")]
)
async def test_a_file_is_one_file_however_it_is_called(tmp_path: Path, read: str, changed: str) -> None:
    script = calls(("fs__read_file", {"path": read})), patch(path=changed)
    answer = await told(tmp_path, *script, links={"link.py": "calc.py"})
    assert f"+    {RIGHT}" in answer


async def test_a_line_that_a_search_or_a_check_showed_may_be_changed_and_the_rest_of_its_file_not(
    tmp_path: Path,
) -> None:
    found = calls(("fs__search_files", {"regex": "return"}))
    assert f"+    {RIGHT}" in await told(tmp_path / "one", found, patch())
    printed = calls(("exec__exec", {"cmd": "python", "args": ["-c", f"print('calc.py:2: {WRONG}')"]}))
    assert f"+    {RIGHT}" in await told(tmp_path / "two", printed, patch())
    whole = apply(changes=[{"path": "calc.py", "op": "update", "content": RIGHT}])
    assert NOT_READ in await told(tmp_path / "three", found, whole)


async def test_what_somebody_wrote_since_a_file_was_read_is_not_lost_unseen(tmp_path: Path) -> None:
    more = write(f"def add(a, b):\n    {WRONG}\n\ndef theirs(): ...\n")
    for number, rough in enumerate([{"op": "update", "content": WHOLE}, {"op": "delete"}]):
        change = apply(changes=[{"path": "calc.py", **rough}])
        assert CHANGED in await told(tmp_path / str(number), READ, more, change)
    beside = await told(tmp_path / "beside", READ, more, patch())
    assert f"+    {RIGHT}" in beside, "a change beside theirs takes nothing of it away"


async def test_a_change_through_mcp_execute_is_judged_as_the_change_that_it_carries(tmp_path: Path) -> None:
    carried: dict[str, Any] = {"tool": "fs__apply_patch", "arguments": {"patch": ENVELOPE}}
    planned = {"tool": "mcp_execute", "input": {"tool": "mcp_execute", "arguments": carried}}
    repaired = {"reflection": "It was not read.", "plan": json.loads(plan())}
    script = [DEEP, text(plan(planned)), text(DONE), text(json.dumps(repaired)), text(DONE)]
    with ScriptedModel(script) as model:
        async with shop(tmp_path, settings_for(model), extra={"mcp_execute": False}) as made:
            await made.go(LARGE)
            assert made.source() == f"def add(a, b):\n    {WRONG}\n"
    assert NOT_READ in last(model, 2)
    assert "mcp_execute" not in made.tools.names()
