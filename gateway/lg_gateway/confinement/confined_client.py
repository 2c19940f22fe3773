"""Runs a client in a sandbox, in the foreground: its own shell and file tools reach nothing but what is named here.

The gateway runs outside. Inside, `lg-gateway` is a bridge to it, whatever arguments the client's configuration has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process

from lg_gateway.confinement import bridge
from lg_gateway.confinement.confined_process import Confined, ConfinedCommand, prepare, release
from lg_gateway.confinement.confinement import INSIDE, Confinement, within
from lg_gateway.confinement.gateway_socket import GatewaySocket
from lg_gateway.confinement.known_clients import KnownClient
from lg_gateway.confinement.programs import in_system, links_of, own_interpreter
from lg_policy.errors import NotFound, SandboxUnavailable
from lg_policy.state import replace_file

BRIDGE = f"{INSIDE}/bin/lg-gateway"


@dataclass(frozen=True, kw_only=True)
class ClientLaunch:
    """A client to run: its sandbox, its command, and the gateway that it gets.

    `root_mode` is how it sees the root: read-only, as a throw-away copy, or writable.
    """

    confinement: Confinement
    client: KnownClient
    argv: Sequence[str]
    directory: str
    root: str
    root_mode: str
    gateway: Sequence[str]
    environ: Mapping[str, str]
    mark: Mapping[str, str] = field(default_factory=dict)
    """The environment of bubblewrap itself."""
    env: tuple[str, ...] = ()
    """More variables that it gets if they are set."""

    @property
    def overlay(self) -> str | None:
        """Return the root if the client gets a throw-away copy of it."""
        return self.root if self.root_mode == "overlay" else None


async def run_client(launch: ClientLaunch) -> int:
    """Run the client on this process's own terminal and return its exit status.

    Raises `SandboxUnavailable`, `NotFound` and `OSError`.
    """
    confinement = launch.confinement
    confined = Confined(confinement.name)
    outside = GatewaySocket(launch.gateway, launch.environ)
    try:
        placed = await place_ours(launch, confined, outside)
        command = ConfinedCommand(argv=_program(launch), env=_environment(launch), directory=launch.directory)
        terminal = os.isatty(0)
        prepared = await prepare(
            confinement, command, confined, placed=placed, overlay=launch.overlay, terminal=terminal
        )
        with _signals_left_to_the_client():
            try:
                process = await anyio.open_process(
                    prepared.argv,
                    stdin=None,
                    stdout=None,
                    stderr=None,
                    cwd="/",
                    env=launch.mark,
                    pass_fds=prepared.child_ends,
                )
            finally:
                prepared.close_child_ends()
            try:
                await release(prepared, confinement, confined)
            except SandboxUnavailable:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                raise
            return await _to_its_end(process)
    finally:
        with anyio.CancelScope(shield=True):
            await outside.close()
            await confined.close()


async def place_ours(launch: ClientLaunch, confined: Confined, outside: GatewaySocket) -> list[tuple[str, str]]:
    """Make what the sandbox shows of ours, and copies of files that the client replaces as a whole."""
    confinement = launch.confinement
    os.makedirs(confinement.state, mode=0o700, exist_ok=True)
    path = f"{confinement.state}/gateway-{os.getpid()}-{os.urandom(4).hex()}.sock"
    confined.paths.append(path)
    await outside.start(path)
    for written in launch.client.copied if confinement.private_home is not None else ():
        copy_for_client(f"{confinement.home}/{written.removeprefix('~/')}", f"{confinement.private_home}", written)
    program = _bridge_program(confinement.state)
    places = [BRIDGE, *_where_gateway_is(launch)]
    return [(path, bridge.SOCKET), *((program, place) for place in dict.fromkeys(places))]


def _bridge_program(state: str) -> str:
    """Write the bridge as a program of its own: the sandbox shows an interpreter, but not our packages."""
    interpreter, _ = own_interpreter()
    with open(bridge.__file__, encoding="utf-8") as file:
        text = f"#!{interpreter} -IS\n{file.read()}"
    path = f"{state}/lg-gateway"
    descriptor = os.open(f"{path}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o755)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.{os.getpid()}", path)
    return path


def _where_gateway_is(launch: ClientLaunch) -> Iterator[str]:
    """Yield the places at which the client's configuration may name `lg-gateway`.

    They are those of this program, of the shell, and of `lg-gateway install`, and where links on the way to them lead.
    A link that the client sees itself is not one: what it leads to is.
    """
    named = shutil.which("lg-gateway", path=launch.environ.get("PATH"))
    beside = f"{os.path.dirname(sys.executable)}/lg-gateway"
    found = [os.path.abspath(sys.argv[0])] if os.path.basename(sys.argv[0]) == "lg-gateway" else []
    found += [os.path.abspath(named)] if named is not None else []
    found += [beside] if os.path.exists(beside) else []
    confinement = launch.confinement
    shown = (*confinement.read, *confinement.write)
    for path in dict.fromkeys(place for name in found for place in links_of(name)):
        seen = in_system(path) or any(within(path, place) for place in shown)
        if not (seen and os.path.islink(path)):
            yield path


def copy_for_client(source: str, private_home: str, written: str) -> None:
    """Copy a file into the private home where it is missing or older there.

    The client may have put a link in its place. It is replaced, and none on the way to it is followed.
    """
    target = f"{private_home}/{written.removeprefix('~/')}"
    with contextlib.suppress(OSError):
        status = os.stat(source, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return
        os.makedirs(private_home, mode=0o700, exist_ok=True)
        there = os.lstat(target) if os.path.lexists(target) else None
        if there is not None and stat.S_ISREG(there.st_mode) and there.st_mtime_ns >= status.st_mtime_ns:
            return
        if os.path.realpath(os.path.dirname(target)) == os.path.realpath(private_home):
            with open(source, "rb") as file:
                replace_file(Path(target), file.read())


def _program(launch: ClientLaunch) -> list[str]:
    """Return the command with its program found now. Raises `NotFound`."""
    found = shutil.which(launch.argv[0], path=launch.environ.get("PATH"))
    if found is None:
        raise NotFound(f"the program {launch.argv[0]!r} is not installed, or not in PATH")
    return [os.path.abspath(found), *launch.argv[1:]]


def _environment(launch: ClientLaunch) -> dict[str, str]:
    names = ("TERM", "COLORTERM", "NO_COLOR", "EDITOR", "VISUAL", *launch.client.env, *launch.env)
    return {name: launch.environ[name] for name in names if name in launch.environ}


@contextmanager
def _signals_left_to_the_client() -> Iterator[None]:
    """Let Ctrl-C and Ctrl-\\ reach the client alone: it is in the same group on the terminal."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _to_its_end(process: Process) -> int:
    """Wait for the client; a signal that ends this process ends the client first."""
    loop = asyncio.get_running_loop()
    ended_by: list[int] = []

    def end(number: int) -> None:
        ended_by.append(number)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        status = await process.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
    return 128 + ended_by[0] if ended_by else (128 - status if status < 0 else status)
