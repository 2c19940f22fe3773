"""A reply that cannot be used is told to the model once; wrappings of names and arguments are taken off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.llm.tool_names import tool_meant
from lg_orch.llm.wire.call_arguments import without_wrapper
from lg_orch.llm.wire.openai_stream import StreamRepair
from lg_orch.testing import Scripted, calls, text
from lg_orch.tools.tool_info import tool_info
from tests.orchestrator.llm.workshop import DONE, READ, last, patch, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.anyio

FAULTS: dict[str, tuple[Scripted, str]] = {
    "nothing": (text(""), "Your reply was empty"),
    "white space": (text(" \n"), "Your reply was empty"),
    "a thought that does not end": (text("<think>I should read calc.py first"), "Your reply was empty"),
    "nothing but a thought": (text("<thinking>I should read it</thinking>"), "Your reply was empty"),
    "words up to the limit": (Scripted(content="I will now", end="length"), "Your reply was cut off"),
    "a name that is too long": (calls(("x" * 300, {})), "does not name its tool by a usable name"),
    "arguments that break off": (Scripted(calls=(("fs__read_file", '{"path": "calc'),)), "break off"),
    "a call within a thought": (
        text('<think><tool_call>{"name": "fs__read_file", "arguments": {"path": "a"}}</tool_call></think>'),
        "as a tool call of the API",
    ),
}


async def test_each_fault_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    for number, (kind, (fault, words)) in enumerate(FAULTS.items()):
        ran = await run(tmp_path / str(number), [fault, READ, patch(), text(DONE)])
        assert ran.final.status == "done", f"{kind}: {ran.final.text}"
        assert words in last(ran.model, 1), kind


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (text(""), "an empty answer, twice in a row"),
        (Scripted(content="I will now", end="length"), "reached the reply limit"),
        (calls(("x" * 300, {})), "could not be read, twice in a row"),
    ],
)
async def test_the_same_fault_twice_ends_the_run(tmp_path: Path, fault: Scripted, words: str) -> None:
    ran = await run(tmp_path, [fault, fault, READ])
    assert ran.final.status == "failed"
    assert words in ran.final.text
    assert len(ran.model.requests) == 2


async def test_what_a_model_thinks_is_not_in_the_report(tmp_path: Path) -> None:
    ran = await run(tmp_path, [READ, patch(), text(f"<think>secret thought</think>\n{DONE}")])
    assert ran.final.status == "done", ran.final.text
    assert "secret thought" not in ran.final.text


async def test_arguments_that_are_nearly_json_are_taken(tmp_path: Path) -> None:
    read = Scripted(calls=(("mcp__lg-gateway__fs__read_file", "{'path': 'calc.py',}"),))
    wrapped = Scripted(calls=(("applyPatch", json.dumps({"arguments": json.loads(patch().calls[0][1])})),))
    ran = await run(tmp_path, [read, wrapped, text(DONE)])
    assert ran.final.status == "done", ran.final.text
    assert {"fs__read_file", "fs__apply_patch"} <= set(ran.made.tools.names())


TOOLS = [tool_info(name, "", None) for name in ("fs__read_file", "fs__apply_patch", "git__apply_patch")]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mcp__lg-gateway__fs__read_file", "fs__read_file"),
        ("lg-gateway/fs__read_file", "fs__read_file"),
        ("fs__fs__read_file", "fs__read_file"),
        ("tool_call:fs__read_file", "fs__read_file"),
        ("readFile", "fs__read_file"),
        ("fs__readFile", "fs__read_file"),
        ("ReadFile()", "fs__read_file"),
        ("applyPatch", "applyPatch"),
        ("fs__applyPatch", "fs__apply_patch"),
        ("xfs__read_file", "xfs__read_file"),
        ("read_files", "read_files"),
    ],
)
def test_a_name_in_the_spelling_of_another_client_is_known(name: str, meant: str) -> None:
    assert tool_meant(name, TOOLS) == meant


SCHEMA: dict[str, Any] = {"properties": {"path": {}, "args": {}}}


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"arguments": {"path": "a"}}, {"path": "a"}),
        ({"input": '{"path": "a"}'}, {"path": "a"}),
        ({"args": {"path": "a"}}, {"args": {"path": "a"}}),
        ({"arguments": {"other": "a"}}, {"arguments": {"other": "a"}}),
        ({"arguments": {"path": "a"}, "path": "b"}, {"arguments": {"path": "a"}, "path": "b"}),
        ({"input": "words"}, {"input": "words"}),
    ],
)
def test_a_wrapper_around_the_arguments_is_taken_off_only_if_the_tool_has_none(
    arguments: dict[str, Any], meant: dict[str, Any]
) -> None:
    assert without_wrapper(arguments, SCHEMA) == meant


def repaired(parts: Sequence[bytes]) -> bytes:
    repair = StreamRepair()
    events = [event for part in parts for event in repair.take(part)]
    return b"".join([*events, *repair.take(b"", last=True)])


def test_lines_of_a_stream_may_end_with_a_carriage_return_wherever_it_is_cut() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    whole = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
    wanted = repaired([whole])
    assert wanted.endswith(b"data: [DONE]\n\n")
    for end in (b"\n", b"\r\n", b"\r"):
        sent = whole.replace(b"\n", end)
        assert repaired([sent]) == wanted
        assert repaired([sent[n : n + 1] for n in range(len(sent))]) == wanted


def test_a_refusal_in_a_stream_is_what_the_model_says() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": None, "refusal": "I cannot."}, "finish_reason": None}]}
    assert b'"content": "I cannot."' in repaired([f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()])
