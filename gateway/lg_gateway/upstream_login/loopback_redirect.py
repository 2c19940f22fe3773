"""Catches the one redirect that ends a login: a web server of one page, on this machine, for as long as one login.

Only a response with the login's own state counts. Any other request gets a page that says no, and changes nothing, so
a web page that guesses the port cannot end a login or put its own code into it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import anyio

from lg_gateway.upstream_login.login_errors import LoginFailed

PATH = "/callback"
HOST = "127.0.0.1"
HEAD_BYTES = 32_000
"""Of a request: its address holds the code."""
REQUEST_S = 10.0
CONNECTIONS = 16
"""At once; more are closed."""
PARAMETERS = 20
_REQUEST = re.compile(rb"GET (\S{1,16000}) HTTP/1\.[01]\r?\n")
_HOST = re.compile(rb"(?i)\r?\nhost:[ \t]*([^\s]{1,300})[ \t]*\r?\n")
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>lg-gateway</title>'
    "<body style='font-family:sans-serif;margin:4em auto;max-width:32em'><h1>{title}</h1><p>{text}</p></body></html>"
)
_DONE = _PAGE.format(
    title="Response received", text="You can close this page. lg-gateway says whether the login worked."
)
_NO = _PAGE.format(title="Not found", text="This page belongs to a login of lg-gateway, and to no other request.")
Response = Mapping[str, str]


class LoopbackRedirect:
    """Listens while it is entered. `port` 0 lets the system choose one."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._wanted: Callable[[Response], bool] = lambda _response: False
        self._arrived: asyncio.Future[Response] | None = None
        self._open = 0

    async def __aenter__(self) -> Self:
        """Start to listen. Raises `LoginFailed` if the port is taken."""
        self._arrived = asyncio.get_running_loop().create_future()
        try:
            self._server = await asyncio.start_server(self._serve, HOST, self._port, limit=HEAD_BYTES)
        except OSError as error:
            raise LoginFailed(f"cannot listen on {HOST}:{self._port}: {error.strerror or error}") from error
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    @property
    def uri(self) -> str:
        """The address to be sent to."""
        return f"http://{HOST}:{self._port}{PATH}"

    def pasted(self, address: str) -> Response | None:
        """Return what an address says that a person copied from the browser; `None` unless it is the login's."""
        name, mark, target = address.strip().removeprefix("http://").partition("/")
        if not mark or not address.isascii() or name.lower() not in self._names():
            return None
        response = _parameters(f"/{target}")
        return response if response is not None and self._wanted(response) else None

    def expect(self, wanted: Callable[[Response], bool]) -> None:
        """Take the response that `wanted` says is the login's."""
        self._wanted = wanted

    async def response(self, deadline_s: float) -> Response:
        """Wait for the response. Raises `LoginFailed` if it does not come in time."""
        if self._arrived is None:
            raise LoginFailed("nothing listens for the response")
        with anyio.move_on_after(deadline_s):
            return await asyncio.shield(self._arrived)
        raise LoginFailed(f"nobody logged in within {deadline_s:g} s; `--wait S` gives you longer")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS:
                async with asyncio.timeout(REQUEST_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # a program that does not speak HTTP, or speaks for too long, is not the browser
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        response = self._read(head)
        if response is None or self._arrived is None or self._arrived.done() or not self._wanted(response):
            return _http("404 Not Found", _NO)
        self._arrived.set_result(response)
        return _http("200 OK", _DONE)

    def _read(self, head: bytes) -> Response | None:
        """Return the parameters of a request for the page; `None` for any other request."""
        line, host = _REQUEST.match(head), _HOST.search(head)
        if line is None or host is None or host[1].lower().decode("latin-1") not in self._names():
            return None
        try:
            return _parameters(line[1].decode("ascii"))
        except UnicodeDecodeError:
            return None

    def _names(self) -> tuple[str, str]:
        return f"{HOST}:{self._port}", f"localhost:{self._port}"


def _parameters(target: str) -> Response | None:
    """Return the parameters of a request for the page, given its path and query; `None` for any other page."""
    try:
        parts = urlsplit(target)
        pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=PARAMETERS, errors="strict")
    except ValueError:
        return None
    if parts.path != PATH or len(dict(pairs)) != len(pairs):  # a parameter given twice has no value
        return None
    return dict(pairs)


def _http(status: str, page: str) -> bytes:
    body = page.encode()
    head = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode("ascii") + body
