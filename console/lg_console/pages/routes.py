"""The routes of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from lg_console.login.guard import Visitor
from lg_console.pages.approvals import DECIDED, approval_page, approvals_page
from lg_console.sources.questions import ApprovalsSource
from lg_console.web.answers import endpoint, page
from lg_console.web.console import Console
from lg_policy.errors import NotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def page_routes(console: Console) -> list[Route]:
    """Return the routes of all sections that there are."""
    found: list[Route] = []
    if console.sources.approvals is not None:
        found += _approvals(console, console.sources.approvals)
    return found


def _approvals(console: Console, approvals: ApprovalsSource) -> list[Route]:
    async def listed(_request: Request, visitor: Visitor) -> Response:
        mark = await approvals.mark()
        waiting, decided = await approvals.waiting(), await approvals.recent(DECIDED)
        return page(approvals_page(console, visitor.person, waiting, decided, mark))

    async def one(request: Request, visitor: Visitor) -> Response:
        mark = await approvals.mark()
        question = await approvals.question(request.path_params["id"])
        if question is None:
            raise NotFound("there is no such question", hint="it may have been removed by age")
        return page(approval_page(console, visitor.person, question, mark))

    return [
        Route("/approvals", endpoint(console.guard, listed), methods=["GET"]),
        Route("/approvals/{id}", endpoint(console.guard, one), methods=["GET"]),
    ]
