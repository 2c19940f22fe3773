"""Whose error codes count: the gateway's by its mark, our own servers' without it, nobody else's."""

from __future__ import annotations

from lg_orch.tools.refusals import problem_of


def test_the_gateways_own_refusal_of_a_third_party_tool_is_read() -> None:
    claim = {"error": {"code": "policy_denied", "message": "rule 3 denies it", "hint": "ask for less"}}
    error = problem_of(claim, "text", {"lg/gateway": True}, builtin=False)
    assert (error.code, error.message, error.hint) == ("policy_denied", "rule 3 denies it", "ask for less")


def test_a_gateway_without_the_mark_is_read_for_our_own_tools_alone() -> None:
    claim = {"error": {"code": "not_found", "message": "no such file"}}
    assert problem_of(claim, "text", None, builtin=True).code == "not_found"
    assert problem_of(claim, "text", None, builtin=False).code == "internal"
    assert problem_of(claim, "text", {"lg/gateway": "true"}, builtin=False).code == "internal"
