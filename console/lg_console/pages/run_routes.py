"""The routes of the pages of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from lg_console.drawing.gantt import SHOWN
from lg_console.drawing.story import story_of
from lg_console.login.guard import Visitor
from lg_console.pages.run import REPLAYED, TABS, RunLook, run_page, undo_page
from lg_console.pages.run_export import exported_run
from lg_console.pages.runs import compare_page, new_run_page, runs_page
from lg_console.sources.runs import RunsSource, RunsWanted
from lg_console.web.answers import HEADERS, endpoint, page
from lg_console.web.console import Console
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from starlette.requests import Request

VALUE = 400


def run_routes(console: Console, runs: RunsSource) -> list[Route]:
    """Return the routes."""

    async def listed(request: Request, visitor: Visitor) -> Response:
        names = RunsWanted.__dataclass_fields__
        given = {name: request.query_params.get(name, "").strip()[:VALUE] for name in names}
        wanted, mark = RunsWanted(**given), await runs.mark()
        return page(runs_page(console, visitor.person, wanted, await runs.page(wanted), mark))

    async def new(_request: Request, visitor: Visitor) -> Response:
        return page(new_run_page(console, visitor.person))

    async def one(request: Request, visitor: Visitor) -> Response:
        run_id, look = request.path_params["id"], _look(request)
        mark, run = await runs.run_mark(run_id), await runs.run(run_id)
        text = await run_in_threadpool(run_page, console, visitor.person, run, look, mark)
        return page(text)

    async def undo(request: Request, visitor: Visitor) -> Response:
        run_id = request.path_params["id"]
        run, shown = await runs.run(run_id), await runs.undo(run_id)
        return page(await run_in_threadpool(undo_page, console, visitor.person, run, shown))

    async def compare(request: Request, visitor: Visitor) -> Response:
        found = [await runs.run(request.path_params[name]) for name in ("id", "other")]
        pairs = [(run, story_of(run.events)) for run in found]
        return page(await run_in_threadpool(compare_page, console, visitor.person, pairs))

    async def export(request: Request, _visitor: Visitor) -> Response:
        run = await runs.run(request.path_params["id"])
        text = await run_in_threadpool(exported_run, run)
        headers = HEADERS | {"content-disposition": f'attachment; filename="run-{run.summary.run_id}.html"'}
        return Response(text, media_type="text/html; charset=utf-8", headers=headers)

    guard = console.guard
    return [
        Route("/runs", endpoint(guard, listed), methods=["GET"]),
        Route("/runs/new", endpoint(guard, new), methods=["GET"]),
        Route("/runs/{id}", endpoint(guard, one), methods=["GET"]),
        Route("/runs/{id}/undo", endpoint(guard, undo), methods=["GET"]),
        Route("/runs/{id}/export", endpoint(guard, export), methods=["GET"]),
        Route("/runs/{id}/compare/{other}", endpoint(guard, compare), methods=["GET"]),
    ]


def _look(request: Request) -> RunLook:
    tab, show = request.query_params.get("tab", TABS[0]), request.query_params.get("show", "all")
    before, at = (_place(request.query_params.get(name, "")) for name in ("before", "at"))
    if tab not in TABS or show not in SHOWN:
        raise InvalidArguments("there is no such part of a run")
    if at is not None and tab not in REPLAYED:
        tab = TABS[0]
    return RunLook(tab=tab, show=show, before=before, at=at)


def _place(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidArguments("there is no such place in a run")
    return int(text)
