"""Proves the boundary of a confined client by trying it: starts the sandbox with attempts in place of the client."""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import anyio
import anyio.to_thread

from lg_gateway.confinement import bridge
from lg_gateway.confinement.confined_client import ClientLaunch, place_ours
from lg_gateway.confinement.confined_process import Confined, ConfinedCommand, start_confined
from lg_gateway.confinement.confinement import TMP, within
from lg_gateway.confinement.gateway_socket import GatewaySocket
from lg_gateway.confinement.programs import own_interpreter
from lg_policy.errors import SandboxUnavailable
from lg_policy.sandbox.hidden_paths import MaskFinder

CHECK_S = 60.0
MASKED = 5
"""Masked names of the root that are tried."""
_SOCKETS = (
    "/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket", "/tmp/.X11-unix/X0",  # noqa: S108  # a server of others
    "/run/systemd/private",
)  # fmt: skip
REFUSED, WORKS = "refused", "works"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt and what came of it."""

    what: str
    result: str

    @property
    def held(self) -> bool:
        """Return whether the boundary held."""
        return self.result in (REFUSED, WORKS)


async def check_boundary(launch: ClientLaunch) -> list[Attempt]:
    """Try everything that a confined client must not do, and that it reaches the gateway.

    Raises `SandboxUnavailable` and `OSError`.
    """
    confinement = launch.confinement
    masked = await anyio.to_thread.run_sync(_masked, launch)
    with _targets(launch) as targets:
        given = targets | {"files": [*targets["files"], *masked], "gateway": bridge.SOCKET}
        found = await _from_inside(launch, given)
        for path in targets["write"]:
            if await anyio.to_thread.run_sync(_removed, path):
                found[f"write {path}"] = "achieved: it was there outside"
            elif launch.overlay is not None or within(path, TMP):
                found[f"write {path}"] = REFUSED  # it was made in the throw-away copy, or in its own storage
    home = f" {confinement.home}/"
    return [Attempt(what=what.replace(home, " ~/"), result=str(result)) for what, result in found.items()]


async def _from_inside(launch: ClientLaunch, given: Mapping[str, Any]) -> dict[str, str]:
    source = files("lg_gateway.confinement").joinpath("boundary_attempts.py").read_text(encoding="utf-8")
    interpreter, _ = own_interpreter()
    confinement = launch.confinement
    outside, aside = GatewaySocket(launch.gateway, launch.environ), Confined(confinement.name)
    command = ConfinedCommand(
        argv=[interpreter, "-IS", "-c", source, json.dumps(given)], env={}, directory=launch.directory
    )
    try:
        placed = await place_ours(launch, aside, outside)
        process, confined = await start_confined(confinement, command, mark={}, placed=placed, overlay=launch.overlay)
        text, errors = bytearray(), bytearray()
        try:
            with anyio.fail_after(CHECK_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_read, process.stdout, text)
                    tasks.start_soon(_read, process.stderr, errors)
        finally:
            with anyio.CancelScope(shield=True):
                with suppress(ProcessLookupError):
                    process.kill()
                await process.aclose()
                await confined.close()
    finally:
        with anyio.CancelScope(shield=True):
            await outside.close()
            await aside.close()
    try:
        found: dict[str, str] = json.loads(text)
    except ValueError as error:
        said = bytes(errors or text).decode("utf-8", "replace")[-300:]
        raise SandboxUnavailable(f"the attempts did not come to their end: {said}") from error
    return found


def _removed(path: str) -> bool:
    """Remove what an attempt has made outside; return whether it was there."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


async def _read(stream: Any, into: bytearray) -> None:
    async for data in stream:
        into.extend(data)


def _masked(launch: ClientLaunch) -> list[str]:
    finder = MaskFinder(launch.root, hide=launch.confinement.hide, protect=())
    found = finder.find()
    return [f"{launch.root}/{name}" for name in found.hidden_files[:MASKED]]


@contextmanager
def _targets(launch: ClientLaunch) -> Iterator[dict[str, Any]]:
    """Make what the attempts aim at: a secret outside, listeners, and names of sockets that may be there."""
    confinement, environ = launch.confinement, launch.environ
    abstract, mark = f"lg-check-{secrets.token_hex(8)}", secrets.token_hex(8)
    os.makedirs(confinement.state, mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        secret = stack.enter_context(tempfile.NamedTemporaryFile("w", dir=confinement.state, prefix="check-"))
        secret.write("a secret outside")
        secret.flush()
        port = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))).getsockname()[1]
        listener = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
        listener.bind("\0" + abstract)
        listener.listen()
        sockets = [*_SOCKETS, environ.get("SSH_AUTH_SOCK", ""), f"/run/user/{os.getuid()}/bus"]
        bus = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
        sockets.append(bus.removeprefix("unix:path=").partition(",")[0] if bus.startswith("unix:path=") else "")
        write = [f"{os.path.dirname(confinement.home)}/lg-check-{mark}", f"/usr/lg-check-{mark}"]
        yield {
            "files": [secret.name, "/etc/shadow", f"{confinement.home}/.netrc", f"{confinement.home}/.bash_history"],
            "directories": [f"{confinement.home}/.ssh", f"{confinement.home}/.gnupg", f"{confinement.home}/.aws"],
            "write": write if launch.root_mode == "rw" else [*write, f"{launch.root}/lg-check-{mark}"],
            "sockets": [path for path in dict.fromkeys(sockets) if path],
            "abstract": abstract,
            "port": port,
            "pid": os.getpid(),
        }
