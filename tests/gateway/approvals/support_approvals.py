"""Rules that need approval, clients with a human who answers, and approvals made by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as t
from mcp.client import Client

from lg_gateway.approvals.binding import Binding
from lg_gateway.approvals.records import Approval, NewApproval
from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.server import Frontend

APPROVE = '[[gateway.rules]]\ntools = ["*"]\neffect = "approve"\n'
OPERATOR = '[[gateway.rules]]\ntools = ["*"]\neffect = "approve"\napprover = "operator"\n'
NO_HOLD = "[approval]\nhold_s = 0\n"
Answer = Callable[[str], dict[str, Any] | None]


@asynccontextmanager
async def asked_client(
    gateway: Gateway, mode: str, answer: Answer, seen: list[str], identity: str = "local:me", elicit: Any = None
) -> AsyncIterator[Client]:
    """A client whose human answers by a function: content to accept with, `None` to decline; or by an own callback."""

    async def by_function(context: Any, params: Any) -> t.ElicitResult:
        seen.append(params.message)
        content = answer(params.message)
        return t.ElicitResult(action="accept" if content is not None else "decline", content=content)

    built = Frontend(gateway, identify=lambda _ctx: identity).build()
    async with Client(built, mode=mode, elicitation_callback=elicit or by_function) as client:
        yield client


def yes(_message: str) -> dict[str, Any]:
    return {"decision": "once"}


async def first_round(client: Client, arguments: dict[str, Any], meta: Any = None) -> t.InputRequiredResult:
    answer = await client.session.call_tool("a__echo", arguments, allow_input_required=True, meta=meta)
    assert isinstance(answer, t.InputRequiredResult)
    return answer


def accept(question: t.InputRequiredResult) -> dict[str, Any]:
    (key,) = question.input_requests or {}
    return {key: t.ElicitResult(action="accept", content={"decision": "once"})}


async def approve(gateway: Gateway, approval_id: str, how: str = "approve") -> Approval:
    def work(tx: Any) -> Approval:
        found = gateway.approvals.get(tx, approval_id, 0)
        assert found is not None
        return gateway.approvals.move(tx, found, how, by="test")

    return await gateway.store.write(work)


ASKER = {"identity": "me", "client": "c"}


def question(text: str = "q", lifetime_s: float = 100) -> NewApproval:
    binding = Binding(
        **ASKER, run_id=None, server="s", place="/r", tool=f"s__{text}", pin="p", arguments_digest="d", key=None
    )
    return NewApproval(
        binding=binding,
        approver="user",
        text=text,
        hidden_lines=0,
        full="",
        run_id=None,
        expected=None,
        lifetime_s=lifetime_s,
    )
