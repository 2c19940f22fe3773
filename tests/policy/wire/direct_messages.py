"""Requests of clients in every form that the direct ways have to tell from each other."""

from __future__ import annotations

import json
from typing import Any

from lg_policy.wire.direct_requests import LINE_BYTES

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def call(name: str = "echo", **arguments: Any) -> dict[str, Any]:
    return {"method": "tools/call", "params": {"name": name, "arguments": arguments}}


def meta(name: str, **given: Any) -> dict[str, Any]:
    stamped = {
        key if key == "progressToken" or key == "own" else f"io.modelcontextprotocol/{key}": given[key] for key in given
    }
    return {"method": "tools/call", "params": {"name": name, "_meta": stamped}}


REQUESTS: dict[str, dict[str, Any]] = {
    "a call": call(text="ä\u2028\U0001f600"),
    "no arguments": {"method": "tools/call", "params": {"name": "echo"}},
    "null arguments": {"method": "tools/call", "params": {"name": "echo", "arguments": None}},
    "arguments as text": {"method": "tools/call", "params": {"name": "echo", "arguments": '{"text": "x"}'}},
    "a list of arguments": {"method": "tools/call", "params": {"name": "echo", "arguments": [1]}},
    "an unknown tool": call("none"),
    "a refusal": call("refuse"),
    "a protocol error": call("protocol_error"),
    "a failure": call("crash"),
    "no name": {"method": "tools/call", "params": {"arguments": {}}},
    "a number as name": {"method": "tools/call", "params": {"name": 7}},
    "no params": {"method": "tools/call"},
    "params that are a list": {"method": "tools/call", "params": []},
    "progress": meta("progress", progressToken="p"),
    "a boolean as progress token": meta("progress", progressToken=True),
    "an object as progress token": meta("progress", progressToken={}),
    "no progress token": call("progress"),
    "metadata": meta("echo", own={"x": [1, None]}),
    "metadata that is a list": {"method": "tools/call", "params": {"name": "echo", "_meta": []}},
    "metadata that is null": {"method": "tools/call", "params": {"name": "echo", "_meta": None}},
    "another client": meta("who", clientInfo={"name": "b", "version": "2"}),
    "the client": call("who"),
    "no capabilities": meta("who", clientCapabilities=None),
    "another revision": meta("who", protocolVersion="2031-01-01"),
    "a large number": call(n=10**30),
    "floats": call(n=1e400, m=1.0, k=-0.0),
    "a deep argument": call(text=json.loads("[" * 150 + "]" * 150)),
    "a long argument": call(text="x" * (LINE_BYTES + 1)),
    "a list": {"method": "tools/list"},
    "a list with an empty object": {"method": "tools/list", "params": {}},
    "a list with a wrong cursor": {"method": "tools/list", "params": {"cursor": "nowhere"}},
    "a list with a number as cursor": {"method": "tools/list", "params": {"cursor": 3}},
    "a list with an object as cursor": {"method": "tools/list", "params": {"cursor": {}}},
    "a list with an object as progress token": {"method": "tools/list", "params": {"_meta": {"progressToken": {}}}},
    "a list with null as progress token": {"method": "tools/list", "params": {"_meta": {"progressToken": None}}},
    "a list with metadata": {"method": "tools/list", "params": {"_meta": {"progressToken": 1, "own": 1}}},
    "a call with a cursor": {"method": "tools/call", "params": {"name": "echo", "cursor": "x"}},
    "half a surrogate": call(text="\ud83d"),
}
