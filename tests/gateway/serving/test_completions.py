"""Completions go to the server whose prompt or template they are of, and follow the decision about that."""

from __future__ import annotations

from pathlib import Path

import mcp_types as t
import pytest

from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import prepare
from tests.gateway.offers_rig import ALLOW, CLIENTS, SERVERS, client_to, offers, refused
from tests.gateway.rig import flags, gateway_of, journal, records

pytestmark = pytest.mark.anyio


def prompt(name: str) -> t.PromptReference:
    return t.PromptReference(type="ref/prompt", name=name)


def template(uri: str) -> t.ResourceTemplateReference:
    return t.ResourceTemplateReference(type="ref/resource", uri=uri)


@CLIENTS
@SERVERS
async def test_arguments_of_prompts_and_templates_are_completed_with_their_context(
    tmp_path: Path, mode: str, era: str
) -> None:
    log = tmp_path / "journal"
    parts = offers("fx", "--era", era, "--journal", str(log)), ALLOW
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway, mode) as client:
        first = await client.complete(prompt("fx__greet"), {"name": "topic", "value": "par"}, {"other": "x"})
        second = await client.complete(template("fx+test://item/{id}"), {"name": "id", "value": "r"})
        unknown = (await refused(client.complete(prompt("fx__no"), {"name": "topic", "value": "p"}))).error
        begun = [record for record in records(gateway) if record["phase"] == "begun"]

    assert (first.completion.values, first.completion.total) == (["paris", "park"], 2)
    assert second.completion.values == ["rome"]
    assert unknown.code == t.INVALID_PARAMS
    assert journal(log) == [
        {"complete": "greet", "context": {"other": "x"}},
        {"complete": "test://item/{id}", "context": None},
    ]
    assert {record["tool"] for record in begun} == {"fx:completion/complete"}


async def test_what_needs_approval_or_is_denied_is_completed_with_nothing_and_nobody_is_asked(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    rule = (
        '[[gateway.rules]]\nresources = ["fx+*"]\neffect = "deny"\n'
        '[gateway.rules.when.properties.uri]\npattern = "item"\n'
    )
    parts = offers("fx", "--journal", str(log)), rule
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway) as client:
        asked = await client.complete(prompt("fx__greet"), {"name": "topic", "value": "par"})
        denied = await client.complete(template("fx+test://item/{id}"), {"name": "id", "value": "r"})
        pending = await gateway.store.read(lambda tx: tx.execute("SELECT COUNT(*) FROM approvals"))
        codes = [record["error_code"] for record in records(gateway)]

    assert (asked.completion.values, denied.completion.values) == ([], [])
    assert journal(log) == []
    assert pending == [(0,)]
    assert codes == ["approval_required", "policy_denied"]


async def test_paths_of_our_own_server_are_completed_where_they_may_be_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "secrets").mkdir(parents=True)
    (root / "apple.txt").write_text("hello")
    (root / "secrets" / "b.txt").write_text("hidden")
    rule = (
        '[gateway.servers.fs]\nbuiltin = "fs"\n[[gateway.rules]]\ntools = ["fs__read_file"]\neffect = "deny"\n'
        '[gateway.rules.when.properties.path]\npattern = "^secrets/"\n'
    )
    config = tmp_path / "gateway.toml"
    config.write_text(rule)
    setup = prepare(flags(config=config, root=root), mcp_json=None)
    async with running_gateway(setup) as gateway, client_to(gateway) as client:
        await gateway.settled()
        found = await client.complete(template("fs+file:///{+path}"), {"name": "path", "value": "ap"})
        hidden = await client.complete(template("fs+file:///{+path}"), {"name": "path", "value": "secrets/b"})

    assert found.completion.values == ["apple.txt"]
    assert hidden.completion.values == []


async def test_a_completion_that_leads_to_denied_resources_is_empty(tmp_path: Path) -> None:
    rule = '[[gateway.rules]]\nresources = ["fx+test://item/secret*"]\neffect = "deny"\n'
    parts = offers("fx", "--journal", str(tmp_path / "journal")), rule, ALLOW
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway) as client:
        open_one = await client.complete(template("fx+test://item/{id}"), {"name": "id", "value": "r"})
        denied = await client.complete(template("fx+test://item/{id}"), {"name": "id", "value": "%73ecret/r"})

    assert (open_one.completion.values, denied.completion.values) == (["rome"], [])
    assert len(journal(tmp_path / "journal")) == 1


@pytest.mark.parametrize("when", ["", '[gateway.rules.when.properties.path]\npattern = "^secrets/"\n'])
async def test_a_rule_about_read_file_counts_for_files_as_resources_also_where_the_tool_is_not_offered(
    tmp_path: Path, when: str
) -> None:
    root, config = tmp_path / "root", tmp_path / "gateway.toml"
    (root / "secrets").mkdir(parents=True)
    (root / "secrets" / "b.txt").write_text("hidden")
    fs = '[gateway.servers.fs]\nbuiltin = "fs"\nexclude_tools = ["read_file"]\n'
    config.write_text(f'{fs}[[gateway.rules]]\ntools = ["fs__read_file"]\neffect = "deny"\n{when}')
    setup = prepare(flags(config=config, root=root), mcp_json=None)
    async with running_gateway(setup) as gateway, client_to(gateway) as client:
        await gateway.settled()
        for uri in ("fs+file:///secrets/b.txt", "fs+file:///secrets/%62.txt", "fs+file://localhost/secrets//b.txt"):
            error = (await refused(client.read_resource(uri))).error
            assert "hidden" not in str(error), error
            assert "policy_denied" in str(error) or "not found" in error.message, error
