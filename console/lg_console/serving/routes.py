"""All routes of a console."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from lg_console.api.approvals import approvals_api
from lg_console.api.gateway import gateway_api
from lg_console.live.stream import STREAMS, TOPICS, EventStream
from lg_console.login.guard import Visitor
from lg_console.pages.routes import page_routes
from lg_console.serving.login_routes import login_routes
from lg_console.serving.provider_routes import provider_routes
from lg_console.serving.static_files import static_routes
from lg_console.sources.people import Person
from lg_console.web.answers import HEADERS, endpoint
from lg_console.web.console import Console
from lg_policy.errors import InvalidArguments, LimitExceeded


class StreamResponse(Response):
    """Gives a request to a stream."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream's events."""
        await self._stream(scope, receive, send)


def console_routes(console: Console, *, local: Person) -> list[BaseRoute]:
    """Return what a program serves beside its own routes. `local` is who a one-time link logs in."""

    async def events(request: Request, visitor: Visitor) -> Response:
        topics = [topic for topic in request.query_params.get("topics", "").split(",") if topic]
        if not topics or len(topics) > TOPICS or not all(map(console.streams.marks.known, topics)):
            raise InvalidArguments("topics names nothing that changes")
        if console.streams.open >= STREAMS:
            raise LimitExceeded("too many pages listen at once", hint="close some")
        for topic in topics:
            await console.streams.marks.of(topic)  # a run that there is not is told now: a stream can tell nothing
        return StreamResponse(EventStream(console.streams, topics, visitor))

    async def home(_request: Request, _visitor: Visitor) -> Response:
        return RedirectResponse(console.sections()[0].path, status_code=303, headers=HEADERS)

    return [
        Route("/", endpoint(console.guard, home), methods=["GET"]),
        Route("/v1/events", endpoint(console.guard, events), methods=["GET"]),
        *login_routes(console, local),
        *provider_routes(console),
        *approvals_api(console),
        *gateway_api(console),
        *page_routes(console),
        *static_routes(),
    ]
