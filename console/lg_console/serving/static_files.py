"""The static files of the package, read once. Nothing else can be asked for."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lg_console.web.answers import HEADERS

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def static_routes() -> list[Route]:
    """Return a route for each file."""
    folder = files("lg_console").joinpath("static")
    return [
        _route(entry.name, entry.read_bytes())
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if f".{entry.name.rpartition('.')[2]}" in TYPES
    ]


def _route(name: str, content: bytes) -> Route:
    tag = f'"{sha256(content).hexdigest()[:16]}"'
    kind = TYPES[f".{name.rpartition('.')[2]}"]
    headers = HEADERS | {"etag": tag, "cache-control": "no-cache", "content-type": kind}

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return Route(f"/static/{name}", send, methods=["GET"])
