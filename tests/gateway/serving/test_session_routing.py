"""What a worker passes on to another arrives as it came, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_gateway.serving.worker import SESSION, SessionRouting, WorkerPlace
from tests.support import require

pytestmark = pytest.mark.anyio
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Header = tuple[bytes, bytes]


@pytest.fixture(autouse=True)
def _on_posix() -> None:
    require(hasattr(asyncio, "start_unix_server"), "workers need POSIX sockets")


class Neighbour:
    """The other worker: keeps what it is sent."""

    def __init__(self, answer: bytes) -> None:
        self.came = b""
        self.ended = False
        self.connections = 0
        self.stays = False
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(10_000):
            self.came = data if self.stays else self.came + data
            head, found, body = self.came.partition(b"\r\n\r\n")
            whole = body.endswith(b"0\r\n\r\n") if b"chunked" in head.lower() else bool(found)
            if whole:
                writer.write(self._answer)
                if not self.stays:
                    break
        self.ended = True
        writer.close()


@asynccontextmanager
async def neighbour(folder: Path, answer: bytes = ANSWER) -> AsyncIterator[Neighbour]:
    state = Neighbour(answer)
    server = await asyncio.start_unix_server(state.serve, str(folder / "1.sock"))
    try:
        yield state
    finally:
        server.close()


async def passed_on(
    folder: Path,
    path: bytes,
    headers: Sequence[Header],
    parts: Sequence[bytes],
    *,
    gone: bool = False,
    by: SessionRouting | None = None,
) -> list[Any]:
    """Send a request of a session of worker 1 to worker 0; return what is answered. `gone`: before its end."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        return await anyio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def own(_scope: Any, _receive: Any, _send: Any) -> None:
        """Refuse it, as the front does."""

    scope = {
        "type": "http", "method": "POST", "path": path.decode(), "raw_path": path, "query_string": b"",
        "headers": [(b"host", b"localhost"), (SESSION, b"1-abc"), *headers],
    }  # fmt: skip
    with anyio.fail_after(60):
        await (by or routing(folder, own))(scope, receive, send)
    return sent


def routing(folder: Path, app: Any) -> SessionRouting:
    return SessionRouting(app, place=WorkerPlace(number=0, count=2, folder=str(folder)))


async def test_requests_for_a_worker_share_a_connection_until_the_server_ends(tmp_path: Path) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        """Do nothing at the end."""

    by = routing(tmp_path, app)
    async with neighbour(tmp_path) as state:
        state.stays = True
        for _ in range(3):
            start, *_ = await passed_on(tmp_path, b"/mcp", [(b"content-length", b"2")], [b"{}"], by=by)
            assert start["status"] == 200
        assert (state.connections, state.ended) == (1, False)
        await by({"type": "lifespan"}, app, app)  # type: ignore[arg-type]  # nothing is received or sent
        with anyio.fail_after(60):
            while not state.ended:
                await anyio.sleep(0.01)


async def test_a_session_of_a_worker_that_has_ended_is_not_found(tmp_path: Path) -> None:
    start, body, *_ = await passed_on(tmp_path, b"/mcp", [(b"content-length", b"2")], [b"{}"])
    assert start["status"] == 404
    assert b"Session not found" in body["body"]


async def test_a_worker_that_ends_before_it_answers_is_told_as_an_error(tmp_path: Path) -> None:
    async with neighbour(tmp_path, b""):
        start, body, *_ = await passed_on(tmp_path, b"/mcp", [(b"content-length", b"2")], [b"{}"])
    assert start["status"] == 502
    assert b"before it answered" in body["body"]


async def test_half_a_request_is_not_passed_on_as_a_whole_one(tmp_path: Path) -> None:
    async with neighbour(tmp_path) as state:
        await passed_on(tmp_path, b"/mcp", [(b"transfer-encoding", b"chunked")], [b'{"half"'], gone=True)
        with anyio.fail_after(60):
            while not state.ended:
                await anyio.sleep(0.01)
    assert not state.came.endswith(b"0\r\n\r\n")


async def test_a_request_with_two_lengths_is_not_passed_on(tmp_path: Path) -> None:
    lengths = [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]
    async with neighbour(tmp_path) as state:
        assert await passed_on(tmp_path, b"/mcp", lengths, [b"GET /", b"smuggled"]) == []
    assert state.came == b""


@pytest.mark.parametrize("target", [b"@user:word/mcp", b"http://elsewhere.example:x/mcp", b"//x/../mcp", b"/mc%70"])
async def test_the_target_and_the_headers_arrive_as_they_came(tmp_path: Path, target: bytes) -> None:
    async with neighbour(tmp_path) as state:
        await passed_on(tmp_path, target, [(b"content-length", b"2"), (b"authorization", b"Bearer x")], [b"{}"])
    first, *lines = state.came.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert first == b"POST %b HTTP/1.1" % target
    assert sorted(line.lower() for line in lines) == [
        b"authorization: bearer x", b"content-length: 2", b"host: localhost", b"mcp-session-id: 1-abc",
    ]  # fmt: skip
