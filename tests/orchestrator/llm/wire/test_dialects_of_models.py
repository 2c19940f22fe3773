"""Calls that many models write as text, and what many providers say of a request that is too long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lg_orch.llm.provider_errors import TooLong, too_long_of
from lg_orch.llm.text_calls import calls_in_text, looks_like_calls

DIALECTS = json.loads((Path(__file__).parent / "dialects.json").read_text(encoding="utf-8"))
READ: dict[str, str] = DIALECTS["read"]
TOLD: dict[str, str] = DIALECTS["told"]


@pytest.mark.parametrize("model", READ)
def test_a_call_in_the_form_of_a_model_is_read(model: str) -> None:
    assert [(call.tool, call.input) for call in calls_in_text(READ[model])] == [("t", {"path": "a"})]


@pytest.mark.parametrize("form", TOLD)
def test_a_call_in_a_form_that_is_not_read_for_certain_is_noticed(form: str) -> None:
    assert looks_like_calls(TOLD[form], {"t"})


@pytest.mark.parametrize(
    "words",
    [
        "I changed the file with fs__apply_patch, and all tests pass.",
        "fs__read_file (see above) showed the fault.",
        'Use `{"name": "x"}` in the configuration.',
        "The function t takes a path.",
    ],
)
def test_words_about_a_tool_are_no_call(words: str) -> None:
    assert not looks_like_calls(words, {"t", "fs__read_file", "fs__apply_patch"})


def test_the_text_of_an_argument_may_hold_line_breaks() -> None:
    (call,) = calls_in_text('<tool_call>{"name": "t", "arguments": {"path": "a\nb"}}</tool_call>')
    assert call.input == {"path": "a\nb"}


def test_hostile_text_takes_linear_time() -> None:
    for text in (
        " " * 50_000,
        "Action:" + " " * 49_000,
        "</s>" * 12_000,
        "<|end|> " * 6_000,
        "t " * 25_000,
        "assistant " * 5_000,
    ):
        calls_in_text(text)
        looks_like_calls(text, {"t"})


@pytest.mark.parametrize(("said", "limit", "sent"), DIALECTS["too_long"])
def test_what_a_provider_says_of_a_request_that_is_too_long_is_understood(said: str, limit: int, sent: int) -> None:
    assert too_long_of(said) == TooLong(limit=limit, sent=sent)
