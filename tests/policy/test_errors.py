"""The codes are the contract."""

from __future__ import annotations

from lg_policy.errors import ERROR_CODES, ApprovalRequired, NotFound


def test_the_codes_are_those_of_the_contract() -> None:
    assert {
        "policy_denied",
        "approval_required",
        "approval_denied",
        "invalid_arguments",
        "not_found",
        "conflict",
        "too_large",
        "timeout",
        "limit_exceeded",
        "sandbox_unavailable",
        "upstream_unavailable",
        "outcome_unknown",
        "halted",
        "internal",
    } == ERROR_CODES


def test_payload_and_text_carry_code_message_and_hint() -> None:
    error = NotFound("no x", hint="try y")
    assert error.payload() == {"code": "not_found", "message": "no x", "hint": "try y"}
    assert error.text() == "not_found: no x (try y)"
    assert ApprovalRequired("ask", approval_id="a1").payload()["approval_id"] == "a1"
