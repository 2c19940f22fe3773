"""A form filled in line by line."""

from __future__ import annotations

from typing import Any

import pytest

from lg_gateway.approvals.question import form
from lg_gateway.commands.calls.form_prompt import fill_in
from lg_orch.human.terminal import APPROVAL_ANSWERS


def filled(schema: dict[str, Any], *lines: str | None) -> tuple[list[str], str, dict[str, Any] | None]:
    prompts: list[str] = []
    answers = iter(lines)

    def ask(prompt: str) -> str | None:
        prompts.append(prompt)
        return next(answers)

    action, content = fill_in(schema, ask)
    return prompts, action, content


def test_the_gateways_own_form_takes_a_decision_and_a_reason() -> None:
    prompts, action, content = filled(form(in_run=True), "D", "not today")

    assert prompts[0] == "[o]nce, for this [r]un, or [d]eny (Enter denies)? "
    assert (action, content) == ("accept", {"decision": "deny", "reason": "not today"})


@pytest.mark.parametrize(
    ("line", "decision"),
    [("o", "once"), ("ONCE", "once"), ("y", "once"), ("yes", "once"), ("r", "run"), ("run", "run"), ("n", "deny")],
)
def test_a_decision_is_typed_with_the_same_words_as_at_every_terminal(line: str, decision: str) -> None:
    assert filled(form(in_run=True), line, "")[1:] == ("accept", {"decision": decision})
    assert APPROVAL_ANSWERS.get(line.lower()) == decision  # what `lg-orch` takes


def test_what_is_no_choice_is_named_and_asked_again() -> None:
    prompts, _, content = filled(form(in_run=False), "huh", "r", "o")

    assert prompts[1].startswith("'huh' is not one of the choices. [o]nce or [d]eny")
    assert prompts[2].startswith("'r' is not one of the choices.")  # the call belongs to no run
    assert content == {"decision": "once"}


def test_nothing_typed_is_the_default_and_the_end_of_input_closes_the_question() -> None:
    prompts, *answer = filled(form(in_run=False), "", "")
    assert answer == ["accept", {"decision": "deny"}]
    assert prompts[1].startswith("Denied. ")
    assert filled(form(in_run=False), None)[1:] == ("cancel", None)


def test_fields_of_every_type_are_read_and_asked_again_until_they_fit() -> None:
    schema = {
        "properties": {
            "sure": {"type": "boolean"},
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "which": {"type": "string", "oneOf": [{"const": "a", "title": "First"}, {"const": "b"}]},
            "left": {"type": "string"},
        },
        "required": ["sure"],
    }
    prompts, action, content = filled(schema, "maybe", "yes", "x", "3", "0.5", "p, q", "c", "B", "")

    assert action == "accept"
    assert content == {"sure": True, "count": 3, "share": 0.5, "tags": ["p", "q"], "which": "b"}
    assert prompts[-1] == "| left (Enter for none): "
    assert prompts[1] == "| sure (yes/no; 'maybe' does not fit): "


def test_a_rule_is_shown_before_it_is_chosen_and_a_no_goes_back_to_the_choices() -> None:
    schema = form(in_run=False, in_session=True, always={"tool": "this tool, x", "exact": "exactly these arguments"})
    schema.rules = {"tool": "[[gateway.rules]]", "exact": "[[gateway.rules]]"}

    prompts, action, content = filled(schema, "t", "", "x", "y")

    session = "for this session [w]"
    assert prompts[0].startswith(f"[o]nce, {session}, always: this [t]ool, e[x]act arguments, or [d]eny")
    assert [prompt.startswith("Write it?") for prompt in prompts] == [False, True, False, True]
    assert (action, content) == ("accept", {"decision": "exact"})
    assert filled(schema, "w")[1:] == ("accept", {"decision": "session"})
