"""Prompts, resources and instructions of strangers: trusted as first seen, held back once they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.catalog.pin_table import Pin
from tests.gateway.offers_rig import ALLOW, client_to, offers, refused
from tests.gateway.rig import call, gateway_of, until

pytestmark = pytest.mark.anyio


async def accept(gateway: Any, name: str) -> None:
    def work(tx: Any) -> None:
        (pin,) = [pin for pin in gateway.pins.all(tx, "fx") if pin.tool == name]
        gateway.pins.accept(tx, pin, by="test")

    await gateway.store.write(work)


async def waiting(gateway: Any) -> list[str]:
    pins: list[Pin] = await gateway.store.read(lambda tx: gateway.pins.all(tx, "fx"))
    return [pin.tool for pin in pins if pin.waiting is not None]


async def test_a_changed_prompt_or_resource_is_held_back_until_it_is_accepted(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, offers("fx"), ALLOW) as gateway, client_to(gateway) as client:
        await call(gateway, "fx__change")
        await until(lambda: gateway.catalog.offers.prompt("fx__new") is not None)
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        resources = [resource.uri for resource in (await client.list_resources()).resources]
        gone = [
            (await refused(client.get_prompt("fx__greet", {"topic": "x"}))).error.message,
            *[
                (await refused(client.read_resource(uri))).error.message
                for uri in (
                    "fx+test://static",
                    "fx+TEST://static",
                    "fx+test://st%61tic",
                    "fx+test://static?x",
                    "fx+test://static/",
                )
            ],
        ]
        held = await waiting(gateway)
        await accept(gateway, "prompt greet")
        await accept(gateway, "resource test://static")
        await until(lambda: gateway.catalog.offers.resource("fx+test://static") is not None)
        read = await client.read_resource("fx+test://static")
        (greet,) = [prompt for prompt in (await client.list_prompts()).prompts if prompt.name == "fx__greet"]

    assert prompts == ["fx__asks", "fx__big", "fx__new", "fx__plain"], "new ones are taken, changed ones are not"
    assert resources == ["fx+test://new", "fx+test://watched", "ui://fx/app/view"]
    assert gone[0] == "Unknown prompt: fx__greet"
    assert all(message.startswith("Resource not found") for message in gone[1:])
    assert held == ["prompt greet", "resource test://static"]
    assert read.contents
    assert greet.description == "greets otherwise"


async def test_changed_instructions_are_not_passed_on(tmp_path: Path) -> None:
    async def told(words: str, pins: str = "first_use") -> str:
        parts = offers("fx", "--instructions", words), ALLOW, f'[gateway]\npins = "{pins}"\n'
        async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway, "auto") as client:
            return client.instructions or ""

    assert "| be kind" in await told("be kind")
    assert "be cruel" not in await told("be cruel")
    assert "| be kind" in await told("be kind")
    assert "be cruel" in await told("be cruel", "off")


async def test_a_file_of_pins_accepts_them_too(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, offers("fx"), ALLOW) as gateway:
        pins: list[Pin] = await gateway.store.read(lambda tx: gateway.pins.all(tx, "fx"))
    names = [pin.tool for pin in pins]
    assert {"app", "prompt greet", "resource test://static", "template test://item/{id}"} <= set(names)

    from lg_gateway.store.canonical_json import digest

    chosen = ("app", "prompt greet", "resource test://static")
    rows = [{"server": "fx", "tool": pin.tool, "digest": digest(pin.accepted)} for pin in pins if pin.tool in chosen]
    (tmp_path / "pins.json").write_text(json.dumps({"pins": rows}))
    parts = offers("fx"), ALLOW, '[gateway]\npins_file = "pins.json"\n'
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway) as client:
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        resources = [resource.uri for resource in (await client.list_resources()).resources]
        templates = (await client.list_resource_templates()).resource_templates

    assert (prompts, resources, templates) == (["fx__greet"], ["fx+test://static"], [])


async def test_a_tool_whose_apps_page_has_changed_is_held_back_with_the_page(tmp_path: Path) -> None:
    page = "ui://fx/app/view"
    async with gateway_of(tmp_path, offers("fx"), ALLOW) as gateway, client_to(gateway) as client:
        before = await client.read_resource(page)
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}["fx__app"]
        await call(gateway, "fx__change", page="<b>another</b>")
        changed = (await refused(client.read_resource(page))).error.message
        await until(lambda: gateway.catalog.find("fx__app") is None)
        held = (await refused(client.read_resource(page))).error.message
        pins = await waiting(gateway)
        await accept(gateway, "app")
        await until(lambda: gateway.catalog.find("fx__app") is not None)
        after = await client.read_resource(page)

    assert before.contents != after.contents
    assert "lg/app-page" not in str(listed), "the gateway's own mark is not shown"
    assert changed.startswith("conflict: the page of an app of server fx has changed")
    assert held.startswith("Resource not found")
    assert pins == ["app"]


async def test_what_a_tool_says_of_its_app_is_part_of_its_pin(tmp_path: Path) -> None:
    async def apps(*args: str) -> list[str]:
        async with gateway_of(tmp_path, offers("fx", *args), ALLOW) as gateway:
            return [entry.name for entry in gateway.catalog.entries() if entry.tool == "app"]

    assert await apps() == ["fx__app"]
    assert await apps("--visibility", "app") == []


async def test_a_page_that_reads_differently_each_time_is_pinned_as_one_that_does(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, offers("fx"), ALLOW) as gateway, client_to(gateway) as client:
        await call(gateway, "fx__change", page="number {}")
        await refused(client.read_resource("ui://fx/app/view"))
        await until(lambda: gateway.catalog.find("fx__app") is None)
        await accept(gateway, "app")
        await until(lambda: gateway.catalog.find("fx__app") is not None)
        first, second = [await client.read_resource("ui://fx/app/view") for _ in range(2)]

    assert first.contents != second.contents
