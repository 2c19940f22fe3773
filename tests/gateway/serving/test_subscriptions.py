"""Clients hear of changes they asked for: lists and resources, in both eras on both sides."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp.client import Client
from mcp.client.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated

from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.reload import Reloader
from lg_gateway.serving.server import Frontend
from tests.gateway.offers_rig import ALLOW, SERVERS, client_to, offers, offers_over_http, refused
from tests.gateway.rig import call, gateway_of, make_setup, records, text_of, until, write_config

pytestmark = pytest.mark.anyio
URI = "fx+test://watched"


def subscribe(uri: str) -> t.SubscribeRequest:
    return t.SubscribeRequest(params=t.SubscribeRequestParams(uri=uri))


def unsubscribe(uri: str) -> t.UnsubscribeRequest:
    return t.UnsubscribeRequest(params=t.UnsubscribeRequestParams(uri=uri))


async def subscribed(gateway: Gateway, server: str = "fx") -> list[str]:
    """Return what a server of 2025 was asked to watch."""
    found: list[str] = json.loads(text_of(await call(gateway, f"{server}__subscribed")))
    return found


async def heard_on_stream(gateway: Gateway, uri: str, touched: list[str], count: int) -> list[Any]:
    heard: list[Any] = []
    async with client_to(gateway) as client, client.listen(resource_subscriptions=[uri]) as stream:
        assert stream.honored.resource_subscriptions == [uri]
        for own in touched:
            await call(gateway, "fx__touch", uri=own)
        async for event in stream:
            heard.append(event)
            if len(heard) == count:
                break
    return heard


@SERVERS
async def test_a_client_of_2026_hears_of_the_resource_that_it_asked_about(tmp_path: Path, era: str) -> None:
    async with gateway_of(tmp_path, offers("fx", "--era", era), ALLOW) as gateway:
        heard = await heard_on_stream(gateway, URI, ["test://static", "test://watched"], 1)
        # The SDK's server tells its clients of 2026 only of exactly what they asked about.
        below = ["test://watchedx", "test://watched/part" if era == "legacy" else "test://watched"]
        part = await heard_on_stream(gateway, URI, below, 1)
        notes = [note["detail"] for note in records(gateway, notes=True) if note["outcome"] == "subscribed"]

    assert heard == part == [ResourceUpdated(uri=URI)], "of a part too, under the address that was asked for"
    assert notes == [f"to {URI}"] * 2


@SERVERS
async def test_a_client_of_2025_subscribes_and_unsubscribes(tmp_path: Path, era: str) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            heard.append(message.params.uri)

    async with (
        gateway_of(tmp_path, offers("fx", "--era", era), ALLOW) as gateway,
        client_to(gateway, "legacy", message_handler=on_message) as client,
    ):
        send = client.session.send_request
        await send(subscribe(URI), t.EmptyResult)
        await send(subscribe(URI), t.EmptyResult)
        await call(gateway, "fx__touch")
        await until(lambda: heard == [URI])
        await send(unsubscribe(URI), t.EmptyResult)
        await send(subscribe("fx+test://static"), t.EmptyResult)
        await call(gateway, "fx__touch")
        await call(gateway, "fx__touch", uri="test://static")
        await until(lambda: heard == [URI, "fx+test://static"])
        if era == "legacy":
            assert await subscribed(gateway) == ["test://static"]
    assert len(heard) == 2


async def test_servers_over_http_tell_too_and_one_subscription_serves_all_clients(tmp_path: Path) -> None:
    with offers_over_http() as url:
        setting = f'[gateway.servers.fx]\nurl = "{url}"\nmode = "legacy"\n'
        async with gateway_of(tmp_path, setting, ALLOW) as gateway:
            async with (
                client_to(gateway) as one,
                client_to(gateway) as other,
                one.listen(resource_subscriptions=[URI]) as first,
                other.listen(resource_subscriptions=[URI]) as second,
            ):
                assert await subscribed(gateway) == ["test://watched"]
                await call(gateway, "fx__touch")
                assert await anext(first) == await anext(second) == ResourceUpdated(uri=URI)
            with anyio.fail_after(60):
                while await subscribed(gateway):
                    await anyio.sleep(0.05)


async def test_only_what_will_come_is_acknowledged(tmp_path: Path) -> None:
    rules = (
        '[[gateway.rules]]\nresources = ["fx+test://watched", "gy+*"]\neffect = "allow"\n'
        '[[gateway.rules]]\ntools = ["*"]\neffect = "allow"\n'
    )
    parts = (
        offers("fx", "--without", "prompts"),
        offers("gy", "--without", "subscriptions", "--without", "prompts"),
        rules,
    )
    wanted = [URI, "fx+test://static", "gy+test://watched", "no+test://x", "fx+test://wat%63hed"]
    async with gateway_of(tmp_path, *parts) as gateway:
        async with (
            client_to(gateway) as client,
            client.listen(
                tools_list_changed=True,
                prompts_list_changed=True,
                resources_list_changed=True,
                resource_subscriptions=wanted,
            ) as stream,
        ):
            told = stream.honored
        async with client_to(gateway, "legacy") as old:
            error = (await refused(old.session.send_request(subscribe("fx+test://static"), t.EmptyResult))).error
            nowhere = (await refused(old.session.send_request(subscribe("gy+test://static"), t.EmptyResult))).error

    assert (told.tools_list_changed, told.prompts_list_changed, told.resources_list_changed) == (True, None, True)
    assert told.resource_subscriptions == [URI]
    assert isinstance(error.data, dict)
    assert error.data["error"]["code"] == "policy_denied"
    assert nowhere.code == t.INVALID_PARAMS


@SERVERS
async def test_lists_that_change_are_announced_by_kind_and_listed_anew(tmp_path: Path, era: str) -> None:
    old: list[str] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, t.PromptListChangedNotification | t.ResourceListChangedNotification):
            old.append(type(message).__name__)

    parts = offers("fx", "--era", era), ALLOW, '[gateway]\npins = "off"\n'
    async with (
        gateway_of(tmp_path, *parts) as gateway,
        client_to(gateway) as client,
        client_to(gateway, "legacy", message_handler=on_message),
        client.listen(prompts_list_changed=True, resources_list_changed=True) as stream,
    ):
        await call(gateway, "fx__change")
        heard = {await anext(stream), await anext(stream)}
        await until(lambda: len(set(old)) == 2)
        resources = [resource.uri for resource in (await client.list_resources()).resources]
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]

    assert heard == {PromptsListChanged(), ResourcesListChanged()}
    assert "fx+test://new" in resources
    assert "fx__new" in prompts


async def test_a_subscription_outlasts_the_server_and_ends_with_the_permission(tmp_path: Path) -> None:
    def load() -> Any:
        return make_setup(tmp_path, *parts)

    parts: tuple[str, ...] = (offers("fx"), ALLOW)
    async with gateway_of(tmp_path, *parts) as gateway:
        reloader = Reloader(gateway, load)
        async with client_to(gateway) as client, client.listen(resource_subscriptions=[URI]) as stream:
            parts = (offers("fx", "--page", "2"), ALLOW)
            write_config(tmp_path, *parts)
            assert await reloader.reload("test")
            await gateway.settled()
            watch = gateway.upstreams["fx"].watch
            await until(partial(_watches, watch, "test://watched"))
            await call(gateway, "fx__touch")
            assert await anext(stream) == ResourceUpdated(uri=URI)
            parts = (*parts, '[[gateway.rules]]\nresources = ["fx+*"]\neffect = "deny"\n')
            assert await reloader.reload("test")
            await call(gateway, "fx__touch")
            with anyio.move_on_after(1) as waited:
                await anext(stream)

    assert waited.cancelled_caught


def _watches(watch: Any, uri: str) -> bool:
    return uri in watch.active


async def test_an_identity_has_so_many_subscriptions_over_all_its_connections(tmp_path: Path) -> None:
    limit = "[gateway]\nsubscriptions_at_once = 2\n"
    static = "fx+test://static"
    async with gateway_of(tmp_path, limit, offers("fx", "--era", "legacy"), ALLOW) as gateway:
        front = Frontend(gateway, identify=lambda _ctx: "local:me").build()
        async with Client(front, mode="legacy") as one, Client(front, mode="2026-07-28", cache=None) as two:
            await one.session.send_request(subscribe(URI), t.EmptyResult)
            async with two.listen(resource_subscriptions=[static, URI]) as stream:
                honoured = stream.honored.resource_subscriptions
                error = (await refused(one.session.send_request(subscribe(static), t.EmptyResult))).error
            await until(lambda: len(gateway.upstreams["fx"].watch._wanted) == 1)  # private: what is still watched
            await one.session.send_request(subscribe(static), t.EmptyResult)

    assert honoured == [static]
    assert isinstance(error.data, dict)
    assert error.data["error"]["code"] == "limit_exceeded"
