"""A server that is told by a file what it lists and which bytes it writes as answers, however wrong they are.

`argv[1]` names a JSON file: `tools` (definitions as they are listed), `calls` (tool name to the line that answers it,
with `ID` for the request's id, in Latin-1 or the UTF-16 that it begins with; after `LAST` the
server ends without a line break), `discover` (`error`, `exit`, `silent` or `modern`), `journal` (a file for what came).
`http` serves the same over HTTP on a port that it prints: a call's line is the body, or with `events` one event of a
stream; a line that begins with `HTTP 503` is that status with the rest as a page.
A call without a line of its own is answered with its own name and arguments; `die` ends the server, `hang` answers
nothing, `late` answers `hang` after that call was cancelled. After `deaf`, the server lives on with its input closed.
After `unread`, it reads nothing until the file `go` exists beside the plan.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

PLAN: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
TOOL = {"inputSchema": {"type": "object"}}
hanging: list[Any] = []
lines: list[list[str]] = []


def write(line: str) -> None:
    if PLAN.get("http"):
        lines[-1].append(line)
        return
    if line.startswith("LAST "):
        sys.stdout.buffer.write(line.removeprefix("LAST ").encode())
        sys.stdout.buffer.flush()
        os._exit(0)
    if line.startswith("UTF-16"):
        encoding, _, line = line.partition(" ")
        sys.stdout.buffer.write(f"{line}\n".encode(encoding))
    else:
        sys.stdout.buffer.write(line.encode("latin-1") + b"\n")
    sys.stdout.buffer.flush()


def say(number: Any, **given: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", "id": number} | given))


def note(what: dict[str, Any]) -> None:
    if PLAN.get("journal"):
        with Path(PLAN["journal"]).open("a") as file:
            file.write(json.dumps(what) + "\n")


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def call(number: Any, params: dict[str, Any]) -> None:
    name = params["name"]
    if name == "die":
        sys.exit(3)
    if name == "hang":
        hanging.append(number)
    elif name == "deaf":
        say(number, result=text(name))
        os.close(0)
        time.sleep(3_600)
    elif name == "unread":
        say(number, result=text(name))
        while not Path(sys.argv[1]).with_name("go").exists():
            time.sleep(0.02)
    elif name in PLAN.get("calls", {}):
        write(PLAN["calls"][name].replace("ID", json.dumps(number)))
    else:
        if name == "late":
            for late in hanging:
                say(late, result=text("too late"))
        say(number, result=text(json.dumps({"name": name, "arguments": params.get("arguments")})))


def answer(asked: dict[str, Any]) -> None:
    number, method, params = asked.get("id"), asked.get("method"), asked.get("params", {})
    if method == "server/discover":
        how = PLAN.get("discover", "error")
        if how == "exit":
            sys.exit(4)
        if how == "error":
            say(number, error={"code": -32601, "message": "no such method"})
        if how == "modern":
            about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "misbehaving", "version": "1"}}
            say(number, result={"supportedVersions": ["2026-07-28"], "resultType": "complete", "ttlMs": 0} | about)
    elif method == "initialize":
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "misbehaving", "version": "1"}}
        say(number, result={"protocolVersion": params["protocolVersion"]} | about | PLAN.get("handshake", {}))
    elif method == "tools/list":
        say(number, result={"tools": PLAN["tools"]})
    elif method == "tools/call":
        call(number, params)
    elif number is not None:
        say(number, error={"code": -32601, "message": "no such method"})


def over_http() -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            note({key: message[key] for key in ("method", "params") if key in message})
            lines.append([])
            answer(message)
            body = "\n".join(lines.pop())
            status, kind = (202 if not body else 200), "application/json"
            if body.startswith("HTTP "):
                _, number, body = body.split(" ", 2)
                status, kind = int(number), "text/html"
            elif PLAN.get("events") and message["method"] == "tools/call":
                body, kind = f": hello\r\nid: 1\r\ndata: {body}\r\n\r\n", "text/event-stream"
            self.send_response(status)
            self.send_header("content-type", kind)
            missing = 10 if "SHORT" in body else 0
            self.send_header("content-length", str(len(body.encode("latin-1")) + missing))
            self.end_headers()
            self.wfile.write(body.encode("latin-1"))

        def do_GET(self) -> None:
            self.send_error(405)

        def do_DELETE(self) -> None:
            self.send_error(405)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if PLAN.get("exit") is not None:
    sys.exit(PLAN["exit"])
if PLAN.get("http"):
    over_http()
for received in sys.stdin:
    message = json.loads(received)
    note({key: message[key] for key in ("method", "params") if key in message})
    answer(message)
