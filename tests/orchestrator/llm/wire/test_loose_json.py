"""Arguments and calls that are nearly JSON: read where they have one meaning, else it is said what is wrong."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from lg_orch.llm.text_calls import calls_in_text, looks_like_calls
from lg_orch.llm.wire.call_arguments import arguments_object

READ: dict[str, dict[str, Any]] = {
    '{"path": "a",}': {"path": "a"},
    '{"x": [1, 2,], }': {"x": [1, 2]},
    "{'path': 'it\\'s \"a\"'}": {"path": 'it\'s "a"'},
    '{"x": True, "y": None, "z": false}': {"x": True, "y": None, "z": False},
    '{path: "a"}': {"path": "a"},
    "{\u201cpath\u201d: \u201ca\u201d}": {"path": "a"},
    '\ufeff{"path":\u00a0"a"}': {"path": "a"},
    '{"path": "a" /* the file */} ': {"path": "a"},
    '{"path": // the file\n "a"}': {"path": "a"},
    '{"text": "a\nb\tc"}': {"text": "a\nb\tc"},
    '{"regex": "\\d+\\.py"}': {"regex": "\\d+\\.py"},
    '{"path": "a"}{"path": "a"}': {"path": "a"},
    '{}{"path": "a"}': {"path": "a"},
    '{{"path": "a"}}': {"path": "a"},
    '{"path": "a"}}': {"path": "a"},
    '{"path": "a"}</tool_call>': {"path": "a"},
    '{"path": "a"}<|im_end|>': {"path": "a"},
    '<arguments>{"path": "a"}</arguments>': {"path": "a"},
    '```\n{"path": "a"}```': {"path": "a"},
    '{"text": "// no comment, # none, \u201cno quotes\u201d, \'none\',}"}': {
        "text": "// no comment, # none, \u201cno quotes\u201d, 'none',}"
    },
}


@pytest.mark.parametrize("text", READ)
def test_arguments_with_one_meaning_are_read(text: str) -> None:
    assert arguments_object(text) == READ[text]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"path": "a"', "break off"),
        ('{"path": "a', "break off"),
        ('{"path": ["a"', "break off"),
        ('{"path": "a"}{"path": "b"}', "make one call for each"),
        ('{"path": "a"} and {"path": "b"}', "there is more after the object"),
        ('{"x": NaN}', "'NaN' is no JSON value"),
        ('{"x": -Infinity}', "unexpected '-'"),
        ('{"x": 1e999}', "too large for a number"),
        ('{"path": "say "hi""}', "'hi' is no JSON value"),
        ('{"path": a}', "write a text in double quotes"),
        ("path=a", "not with '{'"),
        ("calc.py", "not with '{'"),
    ],
)
def test_arguments_without_one_are_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # the words are looked at below
        arguments_object(text)
    assert words in str(caught.value)


ARGUMENTS = '{"path": "a"}'
CALL = f'{{"name": "fs__read_file", "arguments": {ARGUMENTS}}}'
FORMS = [
    "<tool_call>{'name': 'fs__read_file', 'arguments': {'path': 'a'}}</tool_call>",
    f'<tool_call>{{"name": "fs__read_file", "arguments": {ARGUMENTS},}}</tool_call>',
    f"<tool_call>{{{CALL}}}</tool_call>",
    f"<tool_call>{CALL[:-1]}</tool_call>",
    '<tool_call>{"name": "fs__read_file", "path": "a"}</tool_call>',
    f'<tool_call>{{"fs__read_file": {ARGUMENTS}}}</tool_call>',
    f"<tool_call>\nfs__read_file\n{ARGUMENTS}\n</tool_call>",
    f"<tool_use>\n<name>fs__read_file</name>\n<arguments>{ARGUMENTS}</arguments>\n</tool_use>",
    (
        "<use_mcp_tool>\n<server_name>fs</server_name>\n<tool_name>fs__read_file</tool_name>\n"
        f"<arguments>\n{ARGUMENTS}\n</arguments>\n</use_mcp_tool>"
    ),
    f"[TOOL_REQUEST]{CALL}[END_TOOL_REQUEST]",
    f"**Action:** fs__read_file\n**Action Input:** {ARGUMENTS}",
    'Action: fs__read_file(path="a")',
    f"fs__read_file({ARGUMENTS})",
    '<|python_tag|>fs__read_file.call(path="a")<|eom_id|>',
    f'{{"function_call": {{"name": "fs__read_file", "arguments": {ARGUMENTS}}}}}',
]


@pytest.mark.parametrize("said", FORMS)
def test_a_call_in_text_that_is_nearly_right_is_read(said: str) -> None:
    assert [(call.tool, call.input) for call in calls_in_text(said)] == [("fs__read_file", {"path": "a"})]


@pytest.mark.parametrize(
    "said",
    [
        "<fs__read_file>\n<path>a</path>\n</fs__read_file>",
        'I will read it:\n\nfs__read_file("a")',
        f"<think>I read it. <tool_call>{CALL}</tool_call></think>",
        f"<tool_call>{CALL[:-8]}",
        '<tool_call>{"name": "fs__read_file", "arguments": "{\\"path\\": "}</tool_call>',
    ],
)
def test_a_call_in_text_that_cannot_be_read_for_certain_is_noticed(said: str) -> None:
    assert calls_in_text(said) == []
    assert looks_like_calls(said, {"fs__read_file"})


@pytest.mark.parametrize("piece", ['{"a":', "'", '"', "/*", "//", "{", "[", "\\", '{"a": 1}', "<a>", "a:", "\u201c"])
def test_hostile_arguments_take_linear_time(piece: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(ValueError):
        arguments_object(piece * (200_000 // len(piece)))
    assert time.process_time() - begun < 10  # measured below 0.3
