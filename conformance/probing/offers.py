"""Probes of resources, prompts and completions, of list changes, and of what a server says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as t

from conformance.probing.prober import NOT_IN_2025, Probe, Prober, Verdict, eventually, grade, whether

WATCHED = "watched-resource"
_CHANGED: Mapping[str, Any] = {
    "tools": t.ToolListChangedNotification,
    "prompts": t.PromptListChangedNotification,
    "resources": t.ResourceListChangedNotification,
}


async def identity(prober: Prober) -> Verdict:
    """Are the server's instructions there?"""
    return whether("Fixture instructions" in (prober.client.instructions or ""), prober.client.instructions)


async def _resources(prober: Prober) -> list[t.Resource]:
    found: list[t.Resource] = []
    cursor: str | None = None
    while True:
        page = await prober.client.list_resources(cursor=cursor)
        found += page.resources
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _address(prober: Prober, end: str) -> str:
    return next(str(found.uri) for found in await _resources(prober) if str(found.uri).endswith(end))


async def resources_list(prober: Prober) -> Verdict:
    """Are all resources listed, with their fields?"""
    found = await _resources(prober)
    text = next((resource for resource in found if "static-text" in str(resource.uri)), None)
    fields = bool(text and text.title and text.icons and text.size and text.annotations and text.meta)
    return grade({"3 of 2 pages": len(found) == 3, "fields": fields})


async def resources_read(prober: Prober) -> Verdict:
    """Are resources read as they are?"""
    text: Any = (await prober.client.read_resource(await _address(prober, "static-text"))).contents[0]
    blob: Any = (await prober.client.read_resource(await _address(prober, "static-binary"))).contents[0]
    return grade({"text": "static text" in text.text, "blob": bool(blob.blob)})


async def link_readable(prober: Prober) -> Verdict:
    """Can a resource be read that a result links to?"""
    blocks = (await prober.call("fx_media")).content
    link = next(block for block in blocks if isinstance(block, t.ResourceLink))
    return whether("static text" in str((await prober.client.read_resource(link.uri)).contents[0]), link.uri)


async def templates(prober: Prober) -> Verdict:
    """Can an address made from a template be read?"""
    (template,) = (await prober.client.list_resource_templates()).resource_templates
    read: Any = (await prober.client.read_resource(template.uri_template.replace("{id}", "42"))).contents[0]
    return whether("42" in read.text, template.uri_template)


async def subscribe(prober: Prober) -> Verdict:
    """Does a change of a resource reach its subscriber?"""
    uri = await _address(prober, WATCHED)
    if prober.modern:
        async with prober.client.listen(resource_subscriptions=[uri]) as changes:
            await prober.call("fx_resource_updated")
            with anyio.move_on_after(5):
                async for change in changes:
                    return whether(uri in repr(change), change)
        return whether(False, "the stream opened, nothing came")
    prober.seen.notices.clear()
    await prober.client.session.send_request(
        t.SubscribeRequest(params=t.SubscribeRequestParams(uri=uri)), t.EmptyResult
    )
    await prober.call("fx_resource_updated")
    return await _heard(prober, t.ResourceUpdatedNotification)


async def prompts(prober: Prober) -> Verdict:
    """Are prompts listed and made?"""
    listed = {prompt.name: prompt for prompt in (await prober.client.list_prompts()).prompts}
    names = {end: next((name for name in listed if name.endswith(end)), end) for end in ("simple_prompt", "arguments")}
    simple = listed.get(names["simple_prompt"])
    made: Any = await prober.client.get_prompt(names["arguments"], {"arg1": "x", "arg2": "y"})
    checks = {
        "all": len(listed) == 5,
        "title, icons": bool(simple and simple.title and simple.icons),
        "arguments": "arg1='x'" in made.messages[0].content.text,
    }
    return grade(checks)


async def prompt_rounds(prober: Prober) -> Verdict:
    """Can a prompt ask first?"""
    if not (prober.modern and prober.modern_server):
        return NOT_IN_2025
    listed = (await prober.client.list_prompts()).prompts
    name = next(prompt.name for prompt in listed if prompt.name.endswith("test_input_required_result_prompt"))
    made: Any = await prober.client.get_prompt(name)
    return whether("Use the given" in made.messages[0].content.text, made)


async def completion(prober: Prober) -> Verdict:
    """Are arguments completed?"""
    listed = (await prober.client.list_prompts()).prompts
    name = next(prompt.name for prompt in listed if prompt.name.endswith("test_prompt_with_arguments"))
    found = await prober.client.complete(
        t.PromptReference(type="ref/prompt", name=name), {"name": "arg1", "value": "par"}
    )
    return whether(found.completion.values == ["paris", "park"], found.completion.values)


async def tools_changed(prober: Prober) -> Verdict:
    """Is a new list of tools announced, and is it there?"""
    verdict, seen = await _changed(prober, "tools")
    listed = any(tool.name.endswith("fx_extra") for tool in await prober.tools())
    await prober.call("fx_tools_changed")
    return (verdict if listed else "partial" if verdict == "yes" else "no"), f"{seen}; new tool listed: {listed}"


async def prompts_changed(prober: Prober) -> Verdict:
    """Is a new list of prompts announced?"""
    return await _changed(prober, "prompts")


async def resources_changed(prober: Prober) -> Verdict:
    """Is a new list of resources announced?"""
    return await _changed(prober, "resources")


async def _changed(prober: Prober, kind: str) -> Verdict:
    if not prober.modern:
        prober.seen.notices.clear()
        await prober.call(f"fx_{kind}_changed")
        return await _heard(prober, _CHANGED[kind])
    wanted: Any = {f"{kind}_list_changed": True}
    async with prober.client.listen(**wanted) as changes:
        await prober.call(f"fx_{kind}_changed")
        with anyio.move_on_after(5):
            async for change in changes:
                return whether(True, type(change).__name__)
    return whether(False, "the stream opened, nothing came")


async def _heard(prober: Prober, wanted: Any) -> Verdict:
    async def came() -> bool:
        return any(isinstance(notice, wanted) for notice in prober.seen.notices)

    return whether(await eventually(came), wanted.__name__)


PROBES: tuple[Probe, ...] = (
    identity,
    resources_list,
    resources_read,
    link_readable,
    templates,
    subscribe,
    prompts,
    prompt_rounds,
    completion,
    tools_changed,
    prompts_changed,
    resources_changed,
)
