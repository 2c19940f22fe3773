"""Connects to the gateway: our own, started here, or one that runs elsewhere.

Our own starts as `[sys.executable, "-P", "-m", "lg_gateway", …]` through the MCP client, with a working directory in
the state directory, so that nothing in the repository is on its module path. `start` spawns it before LangChain is
imported; `connect` then hands the same streams to `langchain.mcp`.

Not covered: a running gateway that lies about its root; it is trusted as far as its token and address are.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from lg_orch.contracts.errors import GatewayGone
from lg_orch.tools.connection import Connection, gone
from lg_orch.tools.sending import CallSender
from lg_policy.errors import ConfigError
from lg_policy.state import replace_file
from lg_policy.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from mcp.client._transport import TransportStreams

    from lg_orch.tools.tool_info import ToolInfo
    from lg_policy.config.settings import Settings

CONNECT_TIMEOUT_S = 90.0
REFUSAL_TIMEOUT_S = 10.0
"""How long a gateway that took no connection may take to say whether it is because of the token."""
LOG_TAIL_BYTES = 2_000
_PASSED = ("LG_KEY_DIR", "LG_START", "LANG", "LC_ALL", "TMPDIR", "TZ")
_ENVIRONMENTS = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
"""Which environment the user's shell has active; checks run in it where the project has none of its own."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, kw_only=True)
class GatewayLaunch:
    """How our own gateway starts."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    log_path: Path


def local_launch(
    *,
    root: Path,
    allow_broad: bool,
    state_dir: Path,
    settings: Settings,
    environ: Mapping[str, str],
    log_path: Path,
    named_by_content: bool = False,
) -> GatewayLaunch:
    """Write the effective settings (0600, in the state directory) and say how to start a gateway with them.

    The environment is what `[gateway.servers.*]` and `store.url` refer to as `${NAME}` plus the few names that place
    state, keys and locale; a provider's API key does not reach the gateway unless a server names it.

    A gateway reads its settings again when their file changes. `named_by_content` gives each content a file of its own:
    a gateway that outlives its run keeps the settings that it was started with.
    """
    # What a model is told of is chosen here; a gateway of our own lists everything.
    changed: dict[str, Any] = {"gateway": settings.gateway.model_copy(update={"expose": "all"})}
    if settings.approval.form_always == "confirm":
        # The form is answered by a person at this program's terminal, who has seen the rule. No flag ever keeps one.
        changed["approval"] = settings.approval.model_copy(update={"form_always": "write"})
    offered = settings.model_copy(update=changed)
    values = offered.model_dump_json(by_alias=True, exclude={"models"})
    digest = f"-{sha256(values.encode()).hexdigest()[:16]}" if named_by_content else ""
    effective = state_dir / f"effective-settings{digest}.json"
    if not (named_by_content and effective.is_file() and effective.read_bytes() == values.encode()):
        replace_file(effective, values.encode())
    names = {name for name in environ if name.startswith("XDG_")} | {*_PASSED, *_ENVIRONMENTS}
    names |= set(_VARIABLE.findall(settings.gateway.model_dump_json() + settings.store.url))
    argv = [sys.executable, "-P", "-m", "lg_gateway", "serve", "--root", str(root)]
    argv += ["--state-dir", str(state_dir), "--effective-config", str(effective)]
    if allow_broad:
        argv.append("--allow-broad-root")
    env = {name: environ[name] for name in sorted(names) if name in environ}
    return GatewayLaunch(argv=tuple(argv), cwd=state_dir, env=env, log_path=log_path)


@asynccontextmanager
async def start(launch: GatewayLaunch) -> AsyncIterator[TransportStreams]:
    """Run our own gateway for the length of the block. Raises `GatewayGone` when it cannot be started."""
    from mcp.client.stdio import StdioServerParameters, stdio_client

    from lg_orch.tools.forked_gateway import fork_gateway, forked_streams

    parameters = StdioServerParameters(
        command=launch.argv[0], args=list(launch.argv[1:]), env=dict(launch.env), cwd=launch.cwd
    )
    descriptor = os.open(launch.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    begun = False
    with os.fdopen(descriptor, "a") as log:
        try:
            process = await fork_gateway(launch.argv, launch.env, launch.cwd, descriptor)
            streams_of = stdio_client(parameters, errlog=log) if process is None else forked_streams(process)
            async with streams_of as streams:
                begun = True
                yield streams
        except OSError as error:
            if begun:
                raise
            raise GatewayGone(f"the gateway could not be started: {error}") from error
        except ExceptionGroup as group:
            # The client's task group wraps whatever ends the block; callers handle the error itself.
            raise _only(group) from None


@asynccontextmanager
async def connect(
    streams: TransportStreams | None = None,
    *,
    url: str | None = None,
    token: str | None = None,
    log_path: Path | None = None,
) -> AsyncIterator[Connection]:
    """Yield a connection, over `streams` or to `url`, with its tools discovered.

    Raises `GatewayGone` with the end of the gateway's log.
    """
    from httpx2 import TransportError
    from langchain.mcp import MCPAdapter
    from mcp import MCPError

    from lg_orch.tools.meta_tools import unfolded

    adapter = MCPAdapter(_client(streams, url, token))
    try:
        with anyio.fail_after(CONNECT_TIMEOUT_S) as connecting:
            async with adapter:

                async def asked() -> Connection:
                    found = await adapter.list_tools(cache_mode="refresh")
                    return replace(await unfolded(_connection(adapter.client, found, own=url is None)), again=asked)

                connection = await asked()
                connecting.deadline = float("inf")
                yield connection
    except (TimeoutError, MCPError, RuntimeError, OSError, TransportError) as error:
        if isinstance(error, TransportError) and connecting.deadline == float("inf"):
            # Over HTTP a request that fails ends the client's own task, and with it whatever goes on in the block.
            raise gone(str(error) or type(error).__name__) from error
        if connecting.deadline == float("inf"):
            raise
        what = str(error) or type(error).__name__
        if url is not None:
            await _refuse_token(url, token)
        # A gateway that was started elsewhere writes no log here.
        raise GatewayGone(f"no answer from the gateway: {what}", hint=_tail(None if url else log_path)) from error


async def _refuse_token(url: str, token: str | None) -> None:
    """Raise `ConfigError` if the gateway at `url` answers and refuses the token: its client says neither."""
    from httpx2 import AsyncClient, HTTPError

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            AsyncClient(timeout=REFUSAL_TIMEOUT_S) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            status = answer.status_code
    except HTTPError:
        return
    if status in (401, 403):
        what = (
            "does not take the token in LG_GATEWAY_TOKEN" if token else "wants a token, and LG_GATEWAY_TOKEN is not set"
        )
        hint = "`lg-gateway tokens create NAME`, where the gateway runs, makes one; put it into LG_GATEWAY_TOKEN"
        raise ConfigError(f"the gateway at {url} {what} (HTTP status {status})", hint=hint)


def check_url(url: str, token: str | None) -> None:
    """Raise `ConfigError` unless `url` is one that a token may be sent to: https, or http on this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"--gateway {url!r} is not an http or https address", hint="for example http://127.0.0.1:8700/mcp"
        )
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if token and parts.scheme == "http" and not local:
        raise ConfigError("LG_GATEWAY_TOKEN is not sent over plain http to another machine", hint="use https")


def check_root(tools: tuple[ToolInfo, ...], root_id: str) -> None:
    """Raise `ConfigError` when a tool works on another root than the run does."""
    for tool in tools:
        if tool.root_id is not None and tool.root_id != root_id:
            raise ConfigError(
                f"the gateway's {tool.name} works on another directory (root id {tool.root_id}, not {root_id})",
                hint="point --root and --gateway at the same repository",
            )


def _only(error: Exception) -> Exception:
    """The one error inside nested groups of one, else the group."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _client(streams: TransportStreams | None, url: str | None, token: str | None) -> Any:
    from fastmcp.client import Client
    from mcp.types import Implementation

    itself = Implementation(name="lg-orch", version=__version__)
    if url is not None:
        return Client(url, auth=token, client_info=itself)
    if streams is None:
        raise GatewayGone("neither streams nor an address of a gateway are known")
    from lg_orch.tools.streams import StreamsTransport

    # It warns of each call of a meta tool, which the gateway does not list where it lists all others.
    logging.getLogger("client").setLevel(logging.ERROR)
    # Our own gateway is of our era: probing it could time out on a busy machine and fall back to the old one.
    return Client(StreamsTransport(streams), mode="2026-07-28", client_info=itself)


def _connection(client: Any, found: list[Any], *, own: bool) -> Connection:
    from lg_orch.tools.tool_info import tool_info

    info = client.server_info
    # The gateway that we start is of our own version; it is not asked who it is.
    unnamed = f"lg-gateway {__version__}" if own else "unknown"
    server = f"{info.name} {info.version}".strip() if info is not None else unnamed
    tools = tuple(tool_info(tool.name, tool.description, tool.metadata, tool.args_schema) for tool in found)
    sender = CallSender(client, over_http=not own, server=server)
    return Connection(tools=tools, send=sender.send, server=server)


def _tail(log_path: Path | None) -> str:
    if log_path is None:
        return "is it running, and is LG_GATEWAY_TOKEN right?"
    try:
        text = log_path.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
    except OSError:
        return f"see {log_path}"
    return f"its log {log_path} ends with: {text}" if text else f"its log {log_path} is empty"
