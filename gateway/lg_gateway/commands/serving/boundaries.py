"""What `doctor` says about boundaries: servers in a sandbox and those with all rights, refused hosts, a halt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lg_gateway.commands.terminal.output import word

if TYPE_CHECKING:
    from lg_gateway.processes.server_specs import ServerSpec
    from lg_gateway.serving.gateway import Gateway

NAMED_HOSTS = 8
CONTINUE = "run `lg-gateway continue` when calls may begin again"
TO_CONFINE = "to confine it: "
"""Before what is pasted into the settings."""


def halted(gateway: Gateway) -> str | None:
    """Return what to say about a halt, `None` if calls may begin."""
    halt = gateway.halts.current
    if halt is None:
        return None
    return f"all calls are stopped since {halt.time} {halt.text}"


def server_boundary(spec: ServerSpec) -> Iterator[tuple[str, bool]]:
    """Yield what a stdio server of others may reach, and whether that is something to look at."""
    if spec.launch is None or spec.builtin is not None:
        return
    confinement = spec.launch.confinement
    if confinement is None:
        from lg_gateway.confinement.proposals import propose_sandbox

        proposal = propose_sandbox(spec.launch.argv[0], spec.launch.argv[1:])
        if proposal.why_not:
            yield f"runs with all your rights ({proposal.why_not})", False
        else:
            yield f"runs with all your rights; {TO_CONFINE}{proposal.text()}", False
        return
    reached = ", ".join(confinement.network) if confinement.network else "no network"
    shown = len(confinement.read) + len(confinement.write)
    yield f"in a sandbox: {reached}; {shown} paths of yours", False
    yield from _refused(confinement.refusals, confinement.network, confinement.add_with)


def cannot_download(spec: ServerSpec) -> str:
    """Return what to do about a server that is down and whose sandbox does not let it be downloaded; "" for others."""
    from lg_gateway.confinement.package_indexes import downloads

    confinement = spec.launch.confinement if spec.launch is not None else None
    if spec.launch is None or confinement is None or confinement.network:
        return ""
    if not downloads(os.path.basename(spec.launch.argv[0])):
        return ""
    host = confinement.add_with.removeprefix("add it with: ").replace("{host}", "HOST")
    return f"let its first start reach your package index: {host}"


def _refused(path: str, network: tuple[str, ...], add_with: str) -> Iterator[tuple[str, bool]]:
    from lg_gateway.confinement.hosts import plain_name, read_patterns
    from lg_gateway.confinement.refused_hosts import forget_allowed, kept_refusals

    rules = read_patterns(network)
    kept = kept_refusals(path)
    refused = []
    for target in kept:
        host, _, port = target.rpartition(":")
        plain = plain_name(host.strip("[]"))
        if plain is None or not port.isdigit() or not rules.allows_name(plain, int(port)):
            refused.append(target)
    if len(refused) < len(kept):
        forget_allowed(path, refused)
    if refused:
        named = ", ".join(map(word, refused[:NAMED_HOSTS])) + (", …" if len(refused) > NAMED_HOSTS else "")
        first = refused[0].removesuffix(":443").removesuffix(":80")
        yield f"asked for hosts that it may not reach: {named}; {add_with.replace('{host}', word(first))}", False
