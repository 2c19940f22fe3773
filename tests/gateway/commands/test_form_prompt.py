"""A form filled in line by line."""

from __future__ import annotations

from typing import Any

from lg_gateway.approvals.question import form
from lg_gateway.commands.form_prompt import fill_in


def filled(schema: dict[str, Any], *lines: str | None) -> tuple[list[str], str, dict[str, Any] | None]:
    prompts: list[str] = []
    answers = iter(lines)

    def ask(prompt: str) -> str | None:
        prompts.append(prompt)
        return next(answers)

    action, content = fill_in(schema, ask)
    return prompts, action, content


def test_the_gateways_own_form_takes_a_decision_and_a_reason() -> None:
    prompts, action, content = filled(form(in_run=True), "ONCE", "fine")

    assert prompts[0] == "Decision (once/run/deny): "
    assert (action, content) == ("accept", {"decision": "once", "reason": "fine"})


def test_nothing_typed_is_the_default_and_the_end_of_input_closes_the_question() -> None:
    assert filled(form(in_run=False), "", "")[1:] == ("accept", {"decision": "deny"})
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
    assert prompts[-1] == "left (Enter for none): "
