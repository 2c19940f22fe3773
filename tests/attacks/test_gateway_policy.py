"""Attempts to get past rules and limits: by what is sent, how often, how many at once, and by writing settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_gateway.serving.reload import Reloader
from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import GatewaySetup, prepare
from tests.gateway.fixture_program import FIXTURE
from tests.gateway.rig import ALLOW_ALL, call, flags, gateway_of, journal, send, server, text_of, write_config

pytestmark = pytest.mark.anyio


def denied(pattern: str) -> str:
    return (
        '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "deny"\n'
        f"when = {{ properties = {{ text = {{ pattern = {json.dumps(pattern)} }} }}, required = ['text'] }}\n"
    )


@pytest.mark.attack("Rules", "arguments of a million characters made for patterns that take exponential time elsewhere")
async def test_patterns_take_linear_time_whatever_the_argument(tmp_path: Path) -> None:
    rules = [denied("^(a+)+$"), denied("^(a|aa)+$"), denied("(x+x+)+y"), denied("([a-z]+)*=")]
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, *rules) as gateway:
        with anyio.fail_after(60):
            for text in ("a" * 1_000_000 + "!", "x" * 1_000_000, "abc" * 300_000):
                assert not (await call(gateway, "a__echo", text=text)).is_error
            assert text_of(await call(gateway, "a__echo", text="a" * 1_000_000)).startswith("policy_denied")


BELOW = '{ properties = { path = { pattern = "^secret/" } }, required = ["path"] }'
DOCS = """[[gateway.rules]]
tools = ["fs__apply_patch"]
effect = "allow"
[gateway.rules.when.properties.changes.items.properties]
path = { pattern = "^docs/" }
"""


@pytest.mark.attack(
    "Rules", "a denied path as an absolute name and through a link, an allowed one that is a link elsewhere"
)
async def test_a_rule_about_a_path_holds_for_every_spelling_of_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("secret", "docs", "src"):
        (root / name).mkdir(parents=True)
        (root / name / "a.txt").write_text(f"{name}\n")
    (root / "way").symlink_to("secret")
    (root / "docs" / "in").symlink_to("../src")
    rule = f'[[gateway.rules]]\ntools = ["fs__read_file"]\neffect = "deny"\nwhen = {BELOW}\n'
    config = write_config(tmp_path, '[gateway.servers.fs]\nbuiltin = "fs"\n[approval]\nhold_s = 0\n', rule, DOCS)
    async with running_gateway(prepare(flags(config=config, root=root), mcp_json=None)) as gateway:
        await gateway.settled()

        async def read(path: str) -> str:
            return text_of(await call(gateway, "fs__read_file", path=path)).partition(":")[0]

        async def write(path: str) -> str:
            changes = [{"op": "update", "path": path, "content": "new\n"}]
            return text_of(await call(gateway, "fs__apply_patch", changes=changes)).partition(":")[0]

        tried = ("secret/a.txt", f"{root}/secret/a.txt", f"{root}/./secret//a.txt", "way/a.txt", f"{root}/way/a.txt")
        assert {path: await read(path) for path in tried} == dict.fromkeys(tried, "policy_denied")
        assert await read("docs/a.txt") == "docs\n"
        assert await write("docs/in/a.txt") == "approval_required"
        assert (root / "src" / "a.txt").read_text() == "src\n"
        assert (await write(f"{root}/docs/a.txt")).startswith("change ")


@pytest.mark.attack(
    "Identity", "another caller's idempotency key, and one's own of another run, with the same call and with another"
)
async def test_a_key_stands_for_nobody_elses_call(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    config = write_config(tmp_path, '[gateway.servers.fs]\nbuiltin = "fs"\n', ALLOW_ALL)
    async with running_gateway(prepare(flags(config=config, root=root), mcp_json=None)) as gateway:
        await gateway.settled()

        async def add(name: str, identity: str, run: str) -> Any:
            meta = {"lg/run": {"run_id": run}, "lg/idempotency-key": "1"}
            changes = [{"op": "add", "path": name, "content": "secret of ann\n"}]
            return await send(gateway, "fs__apply_patch", {"changes": changes}, identity=identity, meta=meta)

        first = await add("a.txt", "token:ann", "r")
        same = await add("a.txt", "token:bob", "r")
        other = await add("b.txt", "token:bob", "s")
        again = await add("a.txt", "token:ann", "r")

    assert not first.is_error
    assert text_of(same).startswith("conflict"), "it is bob's own call, and the file is there"
    assert "secret of ann" not in str(same)
    assert not other.is_error, text_of(other)
    assert again.meta["lg/replayed"] is True
    assert sorted(path.name for path in root.iterdir()) == ["a.txt", "b.txt"]


@pytest.mark.attack(
    "Settings", "a patch to the very settings, or to the list of servers, in the repository that is worked on"
)
async def test_what_binds_the_agent_is_not_the_agents_to_change(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "ops [1]").mkdir(parents=True)
    config = write_config(root / "ops [1]", '[gateway.servers.fs]\nbuiltin = "fs"\n', ALLOW_ALL)
    servers = root / "servers.json"
    servers.write_text('{"mcpServers": {}}')
    async with running_gateway(prepare(flags(config=config, root=root), mcp_json=servers)) as gateway:
        await gateway.settled()

        async def write(path: str, content: str) -> str:
            changes = [{"op": "update" if (root / path).exists() else "add", "path": path, "content": content}]
            return text_of(await call(gateway, "fs__apply_patch", changes=changes)).partition(":")[0]

        assert await write("ops [1]/gateway.toml", "") == "policy_denied"
        assert await write("servers.json", "{}") == "policy_denied"
        assert (await write("ops [1]/other.toml", "x")).startswith("change ")
        assert "gateway.toml" in text_of(await call(gateway, "fs__list_files", path="ops [1]")), "it may be read"


@pytest.mark.attack("Limits", "sixty calls at the same moment against limits of five at once and twenty a minute")
async def test_limits_hold_for_calls_at_the_same_moment(tmp_path: Path) -> None:
    seen = tmp_path / "journal"
    limits = "[gateway]\ncalls_at_once = 5\ncalls_per_minute = 20\n"
    async with gateway_of(tmp_path, limits, server("a", "--nap", "0.05", "--journal", str(seen)), ALLOW_ALL) as gateway:
        answers: list[Any] = []
        arrived: list[int] = []

        async def one() -> None:
            answers.append(await call(gateway, "a__nap"))

        for _ in range(4):
            async with anyio.create_task_group() as tasks:
                for _ in range(15):
                    tasks.start_soon(one)
            arrived.append(len(journal(seen)))
        assert arrived == [5, 10, 15, 20], "fifteen at the same moment: five of them pass"
        refused = [text_of(answer) for answer in answers if answer.is_error]
        assert len(journal(seen)) == 20 == len(answers) - len(refused)
        assert {text.partition(":")[0] for text in refused} == {"limit_exceeded"}


@pytest.mark.attack("Limits", "a new run, a new key and a new request id for every call")
async def test_limits_on_a_caller_do_not_hang_on_what_it_says_of_its_calls(tmp_path: Path) -> None:
    seen = tmp_path / "journal"
    limits = "[gateway]\ncalls_per_minute = 3\n[gateway.run_budget]\ncalls = 2\n"
    async with gateway_of(tmp_path, limits, server("a", "--journal", str(seen)), ALLOW_ALL) as gateway:
        for n in range(10):
            meta = {"lg/run": {"run_id": f"r{n}", "epoch": 1, "step": "s"}, "lg/idempotency-key": f"k{n}"}
            await send(gateway, "a__echo", {"text": "x"}, meta=meta)
        assert len(journal(seen)) == 3


@pytest.mark.attack("Settings", "an allowance written into the repository's own settings file while the gateway runs")
async def test_a_repository_file_that_appears_while_serving_can_only_forbid(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    config = write_config(tmp_path, server("a"), "[approval]\nhold_s = 0.05\n")

    def load() -> GatewaySetup:
        return prepare(flags(config=config, root=root), mcp_json=None)

    async with running_gateway(load()) as gateway:
        await gateway.settled()
        reloader = Reloader(gateway, load)
        program = f'[gateway.servers.evil]\ncommand = {json.dumps(sys.executable)}\nargs = ["{FIXTURE}"]\n'
        deny = '[[gateway.rules]]\ntools = ["a__peek"]\neffect = "deny"\n'
        (root / ".lg.toml").write_text(ALLOW_ALL + deny + program + '[exec]\nsandbox = "off"\n')
        assert root / ".lg.toml" in load().watched
        assert await reloader.reload("test")
        assert text_of(await call(gateway, "a__echo", text="x")).startswith("approval_required")
        assert set(gateway.upstreams) == {"a"}
        assert gateway.policy.settings.exec.sandbox == "required"
        assert [rule.effect for rule in gateway.policy.settings.gateway.rules] == ["deny"]
