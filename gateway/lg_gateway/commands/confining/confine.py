"""`lg-gateway confine -- COMMAND`: starts a client in a sandbox, or tries the boundary (`--check`)."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import anyio

from lg_gateway.commands.terminal.output import complain, say, word
from lg_gateway.confinement.boundary_check import Attempt, check_boundary
from lg_gateway.confinement.confined_client import ClientLaunch, run_client
from lg_gateway.confinement.confinement import INSIDE, Confinement, within
from lg_gateway.confinement.hosts import read_patterns
from lg_gateway.confinement.known_clients import existing, known_client
from lg_gateway.confinement.programs import home_of
from lg_gateway.processes.child_process import Reaper
from lg_gateway.processes.server_sandboxes import shown_paths
from lg_gateway.serving.logs import start_logging
from lg_gateway.serving.setup import GatewaySetup, prepare
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError, LgError, UsageError
from lg_policy.printing import visible

FOLDER = "clients"
"""The folder of the state directory for homes, generated files and sockets of confined clients."""


def run(args: argparse.Namespace) -> int:
    """`lg-gateway confine`."""
    words = args.command_line[1:] if args.command_line[:1] == ["--"] else args.command_line
    if not words and not args.check:
        raise UsageError("which client? Give its command", hint="lg-gateway confine --root . -- claude")
    if sys.platform != "linux":
        raise ConfigError("confine works on Linux only", hint="run it on Linux or under WSL")
    start_logging(args.log_level)
    launch = _launch(args, words or ["true"])
    try:
        if args.check:
            return anyio.run(_check, launch)
        _tell(launch)
        reaper = Reaper()
        reaper.start()
        try:
            return anyio.run(run_client, replace(launch, mark=reaper.mark()))
        finally:
            reaper.close()
    except ConfigError:
        raise
    except LgError as error:
        complain(f"lg-gateway: {error.text()}")
        return 1


def _launch(args: argparse.Namespace, words: list[str]) -> ClientLaunch:
    setup = prepare(common_flags(args), mcp_json=args.mcp_json)
    root = str(setup.root or Path.cwd())
    settings, client = setup.settings.gateway.confine, known_client(words[0])
    network = tuple(dict.fromkeys([*client.network, *settings.network, *args.network]))
    try:
        read_patterns(network)
    except ValueError as error:
        raise UsageError(f"--network: {error}") from error
    root_mode = "rw" if args.write else "overlay" if args.overlay else settings.root
    confinement = _confinement(setup, args, root, root_mode, network, words[0])
    here = os.path.realpath(Path.cwd())
    return ClientLaunch(
        confinement=confinement,
        client=client,
        argv=words,
        directory=here if within(here, root) else root,
        root=root,
        root_mode=root_mode,
        gateway=_gateway_command(args, root),
        environ=os.environ,
        env=tuple(args.env),
    )


def _confinement(
    setup: GatewaySetup, args: argparse.Namespace, root: str, root_mode: str, network: tuple[str, ...], program: str
) -> Confinement:
    settings, client, home = setup.settings.gateway.confine, known_client(program), home_of(os.environ)
    state, environ = setup.state.path, setup.environ
    folder, name = state / FOLDER, os.path.basename(program) or "client"
    written = shown_paths(settings.write, "[gateway.confine] write", state, environ)
    read = shown_paths([*settings.read, *args.read], "--read", state, environ)
    own_root = (root,)
    return Confinement(
        name=name,
        network=network,
        read=(*existing(client.read, home), *read, *(own_root if root_mode != "rw" else ())),
        write=(*existing(client.write, home), *written, *(own_root if root_mode == "rw" else ())),
        home=home,
        private_home=str(folder / name / "home"),
        state=str(folder),
        memory_mb=settings.memory_mb,
        processes=settings.processes,
        disk_mb=settings.disk_mb,
        home_mb=settings.home_mb,
        raise_home_with="raise `home_mb` in [gateway.confine]",
        masked_root=root,
        hide=setup.settings.policy.read_deny,
        protect=setup.settings.policy.write_deny,
        path=(f"{INSIDE}/bin",),
        add_with="add it with: --network {host}",
    )


def _gateway_command(args: argparse.Namespace, root: str) -> list[str]:
    """Return how the client's gateway is started: with the same options as this command."""
    command = [sys.executable, "-P", "-m", "lg_gateway", "serve", "--root", root]
    for option in ("config", "profile", "state_dir", "mcp_json", "tools"):
        value = getattr(args, option, None)
        if value is not None:
            command += [f"--{option.replace('_', '-')}", str(value)]
    return [*command, *(["--allow-broad-root"] if args.allow_broad_root else [])]


def _tell(launch: ClientLaunch) -> None:
    """Say on standard error what the client sees and reaches."""
    confinement = launch.confinement
    modes = {"ro": "read-only", "overlay": "a copy that is thrown away", "rw": "writable"}
    complain(f"{word(confinement.name)} ({launch.client.title}) in a sandbox:")
    complain(f"  root     {word(launch.root)}, {modes[launch.root_mode]}; names of policy.read_deny are hidden")
    for key, paths in (("reads", confinement.read), ("changes", confinement.write)):
        named = [word(path) for path in paths if path != launch.root]
        complain(f"  {key:<8} {', '.join(named) or 'nothing else of yours'}")
    complain(f"  network  {visible(', '.join(confinement.network)) or 'none (--network HOST adds one)'}")
    complain("  tools    through lg-gateway, which runs outside")


async def attempts_of(args: argparse.Namespace) -> list[Attempt]:
    """Try the boundary of `confine` without options of its own, for `doctor`. Raises `LgError` and `OSError`."""
    if sys.platform != "linux":
        raise ConfigError("confine works on Linux only", hint="run it on Linux or under WSL")
    given = {"network": [], "read": [], "env": [], "write": False, "overlay": False, "tools": None}
    return await check_boundary(_launch(argparse.Namespace(**{**given, **vars(args)}), ["true"]))


async def _check(launch: ClientLaunch) -> int:
    attempts = await check_boundary(launch)
    for attempt in attempts:
        say(f"{'ok' if attempt.held else '!!'}  {visible(attempt.what)}: {visible(attempt.result)}")
    broken = sum(not attempt.held for attempt in attempts)
    say(
        f"{broken} of {len(attempts)} attempts got through"
        if broken
        else f"all {len(attempts)} attempts ended as they must"
    )
    return 1 if broken else 0
