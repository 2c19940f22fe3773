"""A hostile 2025 server on stdio, without an SDK: its tools flood the client, or ask it at the wrong time.

A tool answers with a JSON text of what came back. Requests of the server have the ids `q0`, `q1` and so on.
"""

from __future__ import annotations

import json
import sys
from typing import Any

TOOLS = ("flood_logs", "flood_sampling", "big_sampling", "big_log", "hold", "ask", "ask_after", "withdraw")
waiting: dict[str, dict[str, Any]] = {}
held: list[Any] = []


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def sample(number: str, text: str = "hello") -> None:
    prompt = {"role": "user", "content": {"type": "text", "text": text}}
    say({"id": number, "method": "sampling/createMessage", "params": {"messages": [prompt], "maxTokens": 5}})


def answer(number: Any, value: object) -> None:
    say({"id": number, "result": {"content": [{"type": "text", "text": json.dumps(value)}]}})


def log_message(data: object) -> None:
    say({"method": "notifications/message", "params": {"level": "error", "logger": "x", "data": data}})


def collect(call: Any, *numbers: str) -> None:
    """Answer a call once all these requests are answered."""
    entry = {"call": call, "left": set(numbers), "got": []}
    waiting.update(dict.fromkeys(numbers, entry))


def called(number: Any, tool: str) -> None:
    if tool == "flood_logs":
        for count in range(3_000):
            log_message(f"line {count}")
        answer(number, "flooded")
    elif tool == "big_log":
        log_message({"deep": ["x" * 1_000_000]})
        log_message("y" * 1_000_000)
        answer(number, "logged")
    elif tool in ("flood_sampling", "big_sampling"):
        wanted = [f"q{count}" for count in range(200 if tool == "flood_sampling" else 1)]
        collect(number, *wanted)
        for name in wanted:
            sample(name, "hello" if tool == "flood_sampling" else "z" * 1_000_000)
    elif tool == "hold":
        held.append(number)
    elif tool == "ask":
        collect(number, "q0")
        sample("q0")
    elif tool == "ask_after":
        answer(number, "done")
        collect(None, "late")
        sample("late")
    elif tool == "withdraw":
        sample("gone")
        say({"method": "notifications/cancelled", "params": {"requestId": "gone", "reason": "changed my mind"}})
        answer(number, "withdrawn")


def answered(message: dict[str, Any]) -> None:
    entry = waiting.pop(message["id"], None)
    if entry is None:
        return
    entry["left"].discard(message["id"])
    entry["got"].append("result" if "result" in message else "error")
    if not entry["left"] and entry["call"] is not None:
        answer(entry["call"], {kind: entry["got"].count(kind) for kind in ("result", "error")})


def handle(message: dict[str, Any]) -> None:
    method, number = message.get("method"), message.get("id")
    if method == "initialize":
        capabilities: dict[str, Any] = {"tools": {}, "logging": {}}
        mine = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
        say({"id": number, "result": {**mine, "serverInfo": {"name": "demanding", "version": "1"}}})
    elif method == "tools/list":
        listed = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        say({"id": number, "result": {"tools": listed}})
    elif method == "tools/call":
        called(number, message["params"]["name"])
    elif method is None:
        answered(message)
    elif method == "logging/setLevel" or method == "ping":
        say({"id": number, "result": {}})
    elif number is not None:
        say({"id": number, "error": {"code": -32601, "message": "Method not found"}})


for line in sys.stdin:
    handle(json.loads(line))
