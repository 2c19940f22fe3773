"""`/v1/approvals`: the questions that wait, and answers to them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from lg_console.login.guard import Visitor
from lg_console.sources.questions import ApprovalsSource, Decision, Question
from lg_console.web.answers import as_json, endpoint, fields_of, text_of
from lg_console.web.console import Console
from lg_policy.errors import InvalidArguments, NotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

RECENT = 100
REASON_CHARACTERS = 500


def approvals_api(console: Console) -> list[Route]:
    """Return the routes."""
    source = console.sources.approvals
    if source is None:
        return []
    approvals: ApprovalsSource = source

    async def listed(request: Request, _visitor: Visitor) -> Response:
        which = request.query_params.get("state", "waiting")
        if which not in ("waiting", "all"):
            raise InvalidArguments("state is waiting or all")
        found = await approvals.waiting()
        found += await approvals.recent(RECENT) if which == "all" else []
        return as_json({"approvals": [question_json(question) for question in found]})

    async def one(request: Request, _visitor: Visitor) -> Response:
        return as_json(question_json(await found_question(approvals, request.path_params["id"])))

    async def decide(request: Request, visitor: Visitor) -> Response:
        fields = await fields_of(request)
        decision = Decision(
            word=text_of(fields, "decision", 20), reason=text_of(fields, "reason", REASON_CHARACTERS).strip()
        )
        return as_json(question_json(await approvals.decide(visitor.person, request.path_params["id"], decision)))

    guard = console.guard
    return [
        Route("/v1/approvals", endpoint(guard, listed), methods=["GET"]),
        Route("/v1/approvals/{id}", endpoint(guard, one), methods=["GET"]),
        Route("/v1/approvals/{id}", endpoint(guard, decide), methods=["POST"]),
    ]


async def found_question(approvals: ApprovalsSource, question_id: str) -> Question:
    """Return a question. Raises `NotFound`."""
    question = await approvals.question(question_id)
    if question is None:
        raise NotFound(f"there is no question {question_id[:40]}", hint="it may have been removed by age")
    return question


def question_json(question: Question) -> dict[str, Any]:
    """Return a question as the interface gives it."""
    return asdict(question)
