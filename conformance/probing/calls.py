"""Probes of tools: their definitions, results, errors, progress and cancellation."""

from __future__ import annotations

import json
from typing import Any

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError

from conformance.probing.prober import Probe, Prober, Verdict, eventually, grade, whether, words


async def tools_list(prober: Prober) -> Verdict:
    """Are all tools listed, over all pages?"""
    mine = [tool for tool in await prober.tools() if any(mark in tool.name for mark in ("fx_", "test_", "json_schema"))]
    return whether(len(mine) >= 47, f"{len(mine)} fixture tools")


async def tool_fields(prober: Prober) -> Verdict:
    """Does a definition keep all its fields?"""
    tool = await prober.tool("fx_rich")
    notes = tool.annotations
    checks = {
        "title": tool.title == "Rich title",
        "icons": bool(tool.icons),
        "annotations": bool(notes and notes.read_only_hint and notes.idempotent_hint and notes.title == "Ann"),
        "_meta": bool(tool.meta and tool.meta.get("com.example/tag") == {"deep": [1, 2]}),
        "outputSchema": bool(tool.output_schema),
        "pattern in outputSchema": "pattern" in json.dumps(tool.output_schema or {}),
        "vendor key in inputSchema": "x-vendor" in json.dumps(tool.input_schema),
    }
    return grade(checks)


async def schema_2020(prober: Prober) -> Verdict:
    """Does a JSON Schema keep the keywords of 2020-12?"""
    tool = await prober.tool("json_schema_2020_12_tool")
    keywords = ("$schema", "$defs", "allOf", "if", "then", "additionalProperties")
    return grade({key: key in tool.input_schema for key in keywords})


async def call_text(prober: Prober) -> Verdict:
    """Does a text come back?"""
    said = await prober.said("test_simple_text")
    return whether("simple text" in said, said)


async def structured(prober: Prober) -> Verdict:
    """Does structured content come back, with all metadata?"""
    result = await prober.call("fx_rich", {"a": 1})
    block = result.content[0]
    checks = {
        "structuredContent": result.structured_content == {"sum": 2, "word": "xx"},
        "block annotations": bool(block.annotations and block.annotations.audience == ["user"]),
        "block _meta": bool(block.meta and block.meta.get("com.example/block") == 1),
        "result _meta": bool(result.meta and result.meta.get("com.example/result") == 2),
    }
    return grade(checks)


async def structured_list(prober: Prober) -> Verdict:
    """Does a list come back, which 2025 has only as text?"""
    result = await prober.call("fx_list")
    seen = result.structured_content if result.structured_content is not None else words(result)
    return whether("1" in str(seen) and "3" in str(seen), seen)


async def media(prober: Prober) -> Verdict:
    """Do blocks of every type come back?"""
    blocks = (await prober.call("fx_media")).content
    link = next((block for block in blocks if isinstance(block, t.ResourceLink)), None)
    checks = {
        "image": any(isinstance(block, t.ImageContent) and block.data for block in blocks),
        "audio": any(isinstance(block, t.AudioContent) and block.data for block in blocks),
        "embedded blob": any(isinstance(block, t.EmbeddedResource) for block in blocks),
        "resource_link": link is not None,
        "its title, size, icons": bool(link and link.title and link.size == 7 and link.icons),
    }
    return grade(checks)


async def error_result(prober: Prober) -> Verdict:
    """Does an error result come back as one?"""
    result = await prober.call("test_error_handling")
    return whether(result.is_error and "intentionally" in words(result), words(result))


async def protocol_error(prober: Prober) -> Verdict:
    """Do the code and data of a server's own error come back?"""
    try:
        result = await prober.call("fx_protocol_error")
    except MCPError as error:
        return whether(error.code == -32050 and error.error.data == {"why": "because"}, error)
    kept: Any = (result.meta or {}).get("lg/server-error") or {}
    told = kept.get("code") == -32050 and kept.get("data") == {"why": "because"}
    return whether(result.is_error and told, f"as a result: {kept}")


async def request_meta(prober: Prober) -> Verdict:
    """Does a request's `_meta` reach the server?"""
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    given: Any = {"com.example/x": {"k": 1}, "traceparent": parent, "baggage": "k=v"}
    seen = json.loads(words(await prober.call("fx_meta", meta=given)).split("\n")[0])
    meta = seen["meta"]
    checks = {
        "_meta": meta.get("com.example/x") == {"k": 1},
        "traceparent": "a" * 32 in str(meta.get("traceparent")),
        "baggage": "k=v" in str(meta.get("baggage")),
    }
    return grade(checks)


async def progress(prober: Prober) -> Verdict:
    """Does progress come, all of it and in order?"""
    got: list[tuple[float, float | None, str | None]] = []

    async def on(value: float, total: float | None, message: str | None) -> None:
        got.append((value, total, message))

    await prober.call("fx_progress", {"n": 5}, progress_callback=on)

    async def all_came() -> bool:
        return len(got) >= 5

    await eventually(all_came)
    return whether([value for value, _, _ in got] == [1, 2, 3, 4, 5] and got[-1][2] == "step 5", got)


async def cancellation(prober: Prober) -> Verdict:
    """Does a cancelled call end at the server?

    The last probe: a 2025 server on stdio cannot say which call asks while one that was given up may still run.
    """
    before = await prober.status()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prober.call, "fx_slow", {"seconds": 30})
        await prober.reached("started", before["started"] + 1)
        tasks.cancel_scope.cancel()
    ended = await prober.reached("cancelled", before["cancelled"] + 1)
    return whether(ended, "the call ended at the server" if ended else "the call went on at the server")


async def concurrent(prober: Prober) -> Verdict:
    """Do calls run at the same time?"""
    before = await prober.status()
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(prober.call, "fx_slow", {"seconds": 2})
        await prober.reached("started", before["started"] + 4)
        ended = (await prober.status())["ended"] - before["ended"]
    return whether(ended == 0, f"{ended} calls had ended when the fourth began")


async def ping(prober: Prober) -> Verdict:
    """Is a ping answered on both sides?"""
    if prober.modern:
        return "n/a", "not part of 2026-07-28"
    await prober.client.session.send_request(t.PingRequest(), t.EmptyResult)
    return whether(True, "answered")


PROBES: tuple[Probe, ...] = (
    tools_list,
    tool_fields,
    schema_2020,
    call_text,
    structured,
    structured_list,
    media,
    error_result,
    protocol_error,
    request_meta,
    progress,
    concurrent,
    ping,
)
