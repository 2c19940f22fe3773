from __future__ import annotations

import json
import stat
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from lg_orch.contracts.errors import GatewayGone
from lg_orch.tools.gateway import GatewayLaunch, check_root, check_url, connect, local_launch, start
from lg_orch.tools.tool_info import tool_info
from lg_policy.config.settings import GatewaySettings, Settings, UpstreamSettings
from lg_policy.errors import ConfigError
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import http_gateway, server, write_config

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def launch_for(tmp_path: Path, settings: Settings, environ: dict[str, str]) -> GatewayLaunch:
    state = tmp_path / "state"
    state.mkdir()
    return local_launch(
        root=tmp_path / "repo",
        allow_broad=False,
        state_dir=state,
        settings=settings,
        environ=environ,
        log_path=state / "gateway.log",
    )


def test_our_gateway_starts_by_module_outside_the_repository(tmp_path: Path) -> None:
    launch = launch_for(tmp_path, Settings(), {})
    assert launch.argv[:4] == (sys.executable, "-P", "-m", "lg_gateway")
    assert not launch.cwd.is_relative_to(tmp_path / "repo")


def test_settings_reach_the_gateway_in_a_private_file_and_models_do_not(tmp_path: Path) -> None:
    launch = launch_for(tmp_path, Settings(), {})
    path = launch.cwd / "effective-settings.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(path) in launch.argv
    assert "models" not in json.loads(path.read_text())


def test_keys_of_the_users_environment_reach_the_gateway_only_where_a_server_names_them(tmp_path: Path) -> None:
    server = UpstreamSettings(url="https://example.com/mcp", headers={"Authorization": "Bearer ${MY_TOKEN}"})
    settings = Settings(gateway=GatewaySettings(servers={"x": server}))
    environ = {"OPENAI_API_KEY": "k", "MY_TOKEN": "t", "LG_KEY_DIR": "/keys", "PYTHONPATH": ".", "XDG_STATE_HOME": "/s"}
    launch = launch_for(tmp_path, settings, environ)
    assert dict(launch.env) == {"MY_TOKEN": "t", "LG_KEY_DIR": "/keys", "XDG_STATE_HOME": "/s"}


@pytest.mark.parametrize("url", ["ftp://x/", "127.0.0.1:80", "file:///etc", "http://", "server.py"])
def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        check_url(url, None)


def test_a_token_goes_over_https_or_stays_on_this_machine() -> None:
    check_url("http://127.0.0.1:1/mcp", "t")
    check_url("https://example.com/mcp", "t")
    with pytest.raises(ConfigError):
        check_url("http://example.com/mcp", "t")


def test_tools_of_another_root_are_refused_and_tools_without_one_are_not() -> None:
    other = tool_info("fs__read_file", "", {"mcp": {"tool": {"_meta": {"lg/root": {"id": "b", "name": "n"}}}}})
    check_root((tool_info("time__now", "", None),), "a")
    with pytest.raises(ConfigError, match="another directory"):
        check_root((other,), "a")


async def test_a_gateway_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import sys; sys.exit('no such thing')"
    launch = GatewayLaunch(argv=(sys.executable, "-c", code), cwd=tmp_path, env={}, log_path=log)
    with anyio.fail_after(60), pytest.raises(GatewayGone) as gone:
        async with start(launch) as streams, connect(streams, log_path=log):
            pass
    assert "no such thing" in gone.value.hint


async def test_a_gateway_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    launch = GatewayLaunch(argv=(str(tmp_path / "missing"),), cwd=tmp_path, env={}, log_path=tmp_path / "log")
    with anyio.fail_after(60), pytest.raises(GatewayGone, match="could not be started"):
        async with start(launch):
            pass


@pytest.mark.parametrize(
    ("token", "why"), [(None, "LG_GATEWAY_TOKEN is not set"), ("lgt_x_y", "does not take the token")]
)
async def test_a_gateway_that_refuses_the_token_is_no_gateway_that_is_away(
    tmp_path: Path, token: str | None, why: str
) -> None:
    config = write_config(tmp_path, server("a"))
    run("tokens", "create", "me", "--config", str(config))
    with http_gateway("--config", str(config), login=True) as (url, _process), anyio.fail_after(60):
        await refused(f"{url}/mcp", token, why)


async def refused(url: str, token: str | None, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        async with connect(url=url, token=token):
            pass
