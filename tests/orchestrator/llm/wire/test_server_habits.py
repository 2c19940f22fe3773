"""Servers that imitate OpenAI and get the wire nearly right: what they mean is taken, what stays open is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lg_orch.llm.provider_errors import TooLong, too_long_of
from lg_orch.llm.text_calls import calls_in_text, looks_like_calls
from lg_orch.testing import broken, calls, text
from lg_orch.tools.result_text import middle_out
from tests.orchestrator.llm.workshop import DONE, READ, RIGHT, patch, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_stream_that_ends_with_done_and_no_finish_reason_is_complete(tmp_path: Path) -> None:
    script = [replace(answer, finish=False) for answer in (READ, patch(), text(DONE))]
    ran = await run(tmp_path, script)
    assert ran.final.status == "done", ran.final.text
    assert len(ran.model.requests) == 3
    assert RIGHT in ran.made.source()


@pytest.mark.parametrize("streaming", [True, False])
async def test_arguments_of_a_call_that_come_as_an_object_are_taken(tmp_path: Path, streaming: bool) -> None:
    script = [replace(READ, object_arguments=True), replace(patch(), object_arguments=True), text(DONE)]
    ran = await run(tmp_path, script, streaming=streaming)
    assert ran.final.status == "done", ran.final.text


AS_TEXT = '<tool_call>{"name": "fs__read_file", "arguments": {"path": "calc.py"}}</tool_call>'


async def test_calls_that_a_model_writes_as_text_are_made_and_the_report_names_the_setting(tmp_path: Path) -> None:
    ran = await run(tmp_path, [text(AS_TEXT), patch(), text(DONE)])
    assert ran.final.status == "done", ran.final.text
    assert ran.made.tools.names()[:2] == ["fs__read_file", "fs__apply_patch"] or "fs__read_file" in (
        ran.made.tools.names()
    )
    assert "--enable-auto-tool-choice" in ran.final.text


async def test_a_call_as_text_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    ran = await run(tmp_path, [text("<tool_call>read calc.py</tool_call>"), READ, patch(), text(DONE)])
    assert ran.final.status == "done", ran.final.text
    assert "as a tool call of the API" in str(ran.model.requests[1]["messages"][-1])


WIDE = (
    '<|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>t\n```json\n{"path": "a"}\n```<|tool_call_end|>'
).replace("|", "\uff5c").replace("_", "\u2581")  # fmt: skip
DIALECTS = {
    "arguments by key": "<tool_call>t\n<arg_key>path</arg_key>\n<arg_value>a</arg_value>\n</tool_call>",
    "wide bars": WIDE,
    "numbered": '<|tool_call_begin|>functions.t:0<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>',
    "invoke": '<function_calls>\n<invoke name="t">\n<parameter name="path">a</parameter>\n</invoke>\n</function_calls>',
    "Python": '[t(path="a")]', "Python in marks": '<|tool_call_start|>[t(path="a")]<|tool_call_end|>',
    "Python in a fence": 'I look.\n```tool_code\nprint(t(path="a"))\n```',
    "Python's quotes": "<tool_call>{'name': 't', 'arguments': {'path': 'a'}}</tool_call>",
    "channel": '<|channel|>commentary to=functions.t <|constrain|>json<|message|>{"path": "a"}<|call|>',
    "action": 'Thought: look.\nAction: t\nAction Input: {"path": "a"}',
    "arguments behind a mark": '[TOOL_CALLS]t[ARGS]{"path": "a"}',
    "JSON in a function": '<function=t>{"path": "a"}</function>',
    "list": '{"tool_calls": [{"function": {"name": "t", "arguments": "{\\"path\\": \\"a\\"}"}}]}',
    "sentence and fence": 'I look.\n```json\n{"name": "t", "arguments": {"path": "a"}}\n```',
    "fence in a tag": '<tool_call>\n```json\n{"name": "t", "arguments": {"path": "a"}}\n```\n</tool_call>',
    "thought": '<think>look</think>\n{"name": "t", "arguments": {"path": "a"}}',
    "start of action": '<|START_ACTION|>[{"tool_name": "t", "parameters": {"path": "a"}}]<|END_ACTION|>',
}  # fmt: skip


@pytest.mark.parametrize("said", DIALECTS.values(), ids=DIALECTS)
def test_calls_in_the_dialects_of_the_usual_models_are_read_with_their_arguments(said: str) -> None:
    assert [(call.tool, call.input) for call in calls_in_text(said)] == [("t", {"path": "a"})]


@pytest.mark.parametrize(
    "said",
    [
        "<function=t>read a</function>",
        "<tool_call><function=t><parameter=path>a",
        "<tool_call>{'name': open('a')}</tool_call>",
    ],
)
def test_arguments_that_cannot_be_read_are_not_taken_for_none(said: str) -> None:
    assert calls_in_text(said) == []
    assert looks_like_calls(said)


@pytest.mark.parametrize(
    "said",
    ["[f(a)]", "f(**x)", "print(1, 2)", "f(a=open('x'))", "len(x)", "```python\nprint(1)\n```", "(" * 9_000 + ")"],
)
def test_program_text_that_is_no_call_of_a_tool_is_left_alone(said: str) -> None:
    assert not looks_like_calls(said)


@pytest.mark.parametrize(
    ("said", "limit", "sent"),
    [
        ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", 32768, 40000),
        ("`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens", 4097, 5000),
        ("the model is loaded with context length of only 4096 tokens, which is not enough", 4096, 0),
        ("This model's maximum prompt length is 131072 but the request contains 140000 tokens.", 131072, 140000),
        ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 4096, 5000),
        ("Invalid request: Your request exceeded model token limit: 8192", 8192, 0),
        ("the input token count is 40000 but model only supports up to 32768.", 32768, 40000),
        ("prompt token count of 70000 exceeds the limit of 64000", 64000, 70000),
        ("Range of input length should be [1, 30720]", 30720, 0),
        ("Input is too long for requested model.", 0, 0), ("Prompt exceeds max length", 0, 0),
    ],
)  # fmt: skip
def test_the_usual_words_for_a_request_that_is_too_long_are_understood(said: str, limit: int, sent: int) -> None:
    assert too_long_of(said) == TooLong(limit=limit, sent=sent)


@pytest.mark.parametrize(
    "said",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "This request would exceed the rate limit of 40,000 input tokens per minute; context length 9",
        "string too long", "image exceeds 5 MB maximum",
    ],
)  # fmt: skip
def test_other_limits_are_not_taken_for_the_length_of_the_request(said: str) -> None:
    assert too_long_of(said) is None


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (AS_TEXT, ["fs__read_file"]), (f"I look.\n{AS_TEXT}\n{AS_TEXT}", ["fs__read_file"] * 2),
        ("<function=fs__read_file>\n<parameter=path>\ncalc.py\n</parameter>\n</function>", ["fs__read_file"]),
        ('[TOOL_CALLS][{"name": "fs__read_file", "arguments": {"path": "a"}}]', ["fs__read_file"]),
        ('```json\n{"name": "fs__read_file", "arguments": {"path": "a"}}\n```', ["fs__read_file"]),
        ('{"tool": "fs__read_file", "parameters": {"path": "a"}}', ["fs__read_file"]),
        ('<|python_tag|>{"name": "fs__read_file", "parameters": {"path": "a"}}', ["fs__read_file"]),
        ("<tool_call>\n<tool_call>", []), ('It reads `{"name": "x"}` there.', []), ("[1, 2]", []),
    ],
)  # fmt: skip
def test_the_usual_forms_of_calls_in_text_are_read(said: str, names: list[str]) -> None:
    assert [call.tool for call in calls_in_text(said)] == names
    assert looks_like_calls(said) or not names


OPENAI_LIMIT = (
    "This model's maximum context length is {0} tokens. However, your messages resulted in 9000 tokens. "
    "Please reduce the length of the messages."
)


async def test_a_request_that_is_too_long_for_the_model_is_cut_to_what_the_provider_names_and_made_again(
    tmp_path: Path,
) -> None:
    long = "x = 1\n" * 3_000
    read = calls(("fs__read_file", {"path": "long.py"}), ("fs__read_file", {"path": "calc.py"}))
    script = [read, broken(400, OPENAI_LIMIT.format(4_096)), patch(), text(DONE)]
    ran = await run(tmp_path, script, files={"long.py": long}, max_reply_tokens=500)
    assert ran.final.status == "done", ran.final.text
    before, after = (len(str(ran.model.requests[number]["messages"])) for number in (1, 2))
    assert after < before / 2
    assert "context_tokens" in ran.final.text


async def test_a_request_that_stays_too_long_ends_the_run_and_names_the_setting(tmp_path: Path) -> None:
    from lg_orch.testing import ScriptedModel
    from tests.orchestrator.llm.workshop import settings_for, shop

    refusal = broken(400, "the request exceeds the available context size (6000 tokens), try increasing it")
    with ScriptedModel([refusal, refusal]) as model:
        async with shop(tmp_path, settings_for(model)) as made:
            gone = await made.breaks_off()
    assert "context_tokens" in gone.text()
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    ("length", "limit", "whole"), [(120, 12_000, True), (12_001, 12_000, True), (24_000, 12_000, False)]
)
def test_a_long_text_is_cut_at_line_ends_and_only_where_much_would_go(length: int, limit: int, whole: bool) -> None:
    said = "".join(f"line {number}\n" for number in range(length // 8 + 200))[:length]
    cut = middle_out(said, limit)
    assert (cut == said) is whole
    if not whole:
        assert len(cut) <= limit
        assert set(cut.splitlines()) - set(said.splitlines()) == {next(one for one in cut.splitlines() if "[" in one)}
        assert "lines left out" in cut
