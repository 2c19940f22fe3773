"""Servers that speak the HTTP transport from before Streamable HTTP, and those of which nobody says what they speak."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from mcp.shared.exceptions import MCPError

from tests.gateway.rig import ALLOW_ALL, call, gateway_of, http_server, server, text_of, until

pytestmark = pytest.mark.anyio


def reached(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("transport", "args", "path"),
    [("sse", ("--sse",), "sse"), ("auto", ("--sse",), "sse"), ("auto", (), "mcp")],
    ids=["sse", "auto finds sse", "auto finds streamable http"],
)
async def test_a_server_is_spoken_to_by_the_transport_it_has(
    tmp_path: Path, transport: str, args: tuple[str, ...], path: str
) -> None:
    with http_server(0, *args) as port:
        await until(lambda: reached(port))
        part = f'[gateway.servers.a]\nurl = "http://127.0.0.1:{port}/{path}"\ntransport = "{transport}"\n'
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            assert gateway.upstreams["a"].error == ""
            answers = [text_of(await call(gateway, "a__peek", text=word)) for word in ("one", "two")]
    assert answers == ["one", "two"]


class _Strange(BaseHTTPRequestHandler):
    """A server whose event stream names an address elsewhere."""

    def do_POST(self) -> None:
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"event: endpoint\ndata: http://127.0.0.2:9/messages\n\n")

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def strange() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Strange) as front:
        Thread(target=front.serve_forever, daemon=True).start()
        yield front.server_address[1]
        front.shutdown()


async def test_messages_are_not_sent_to_another_origin_than_the_one_in_the_settings(tmp_path: Path) -> None:
    with strange() as port:
        part = f'[gateway.servers.a]\nurl = "http://127.0.0.1:{port}/sse"\ntransport = "auto"\n'
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            assert "another origin" in gateway.upstreams["a"].error


async def test_only_the_tools_that_the_settings_leave_are_offered(tmp_path: Path) -> None:
    parts = (
        server("all", "--era", "both"),
        server("some", include_tools=["peek"]),
        server("most", exclude_tools=["peek"]),
    )
    async with gateway_of(tmp_path, *parts, ALLOW_ALL) as gateway:
        offered = {name: {entry.tool for entry in gateway.catalog.entries() if entry.server.name == name}
                   for name in ("all", "some", "most")}  # fmt: skip
        with pytest.raises(MCPError, match="Unknown tool"):
            await call(gateway, "most__peek", text="x")
    assert offered["some"] == {"peek"}
    assert offered["most"] == offered["all"] - {"peek"}
