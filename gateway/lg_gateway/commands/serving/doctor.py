"""`lg-gateway doctor`: check what works, and say what to do about the rest."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from lg_gateway.commands.serving.doctor_setup import Finding, clients, history, next_step, store
from lg_gateway.commands.terminal.output import print_json, say, say_whole, word
from lg_gateway.serving.setup import GatewaySetup, prepare
from lg_policy.config.flags import common_flags
from lg_policy.config.http import is_loopback
from lg_policy.printing import visible
from lg_policy.terminal_rows import columns_of

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway
    from lg_policy.config.http import OAuthSettings

SOON_S = 7 * 86400.0
NAMED = 20
"""Tools with a bad definition that are named of each server."""
NO_CALLER = "over HTTP: nobody has a token; on stdio none is needed (`lg-gateway tokens create NAME` makes one)"


def run(args: argparse.Namespace) -> int:
    """`lg-gateway doctor`."""
    from lg_gateway.serving.logs import start_logging
    from lg_gateway.serving.running import running_gateway

    start_logging(args.log_level, typed=True, tells_servers=True)
    setup = prepare(common_flags(args), mcp_json=args.mcp_json)

    async def examine() -> int:
        async with running_gateway(setup) as gateway:
            await gateway.settled()
            findings = [*_places(setup), *_servers(gateway), *_boundaries(gateway), *_rules(gateway), *_pins(gateway)]
            findings += [*await _clients(gateway), *await history(gateway), await store(gateway)]
            findings += [*await _login(gateway), *_clear_text(gateway), await _ledger(gateway)]
            findings += await _boundary(args) if args.boundary else []
        if args.json:
            told = [asdict(finding) for finding in findings]
            print_json(
                {"ok": not any(finding.bad for finding in findings), "findings": told, "next": next_step(findings)}
            )
        for finding in () if args.json else findings:
            _tell(finding)
        if not args.json:
            say(f"\nnext: {visible(next_step(findings))}")
        return 1 if any(finding.bad for finding in findings) else 0

    return anyio.run(examine)


def _tell(finding: Finding) -> None:
    """Print a finding; on a terminal what is pasted stands on a line of its own, whole."""
    from lg_gateway.commands.serving.boundaries import TO_CONFINE

    head = f"{'!!' if finding.bad else 'ok'}  {word(finding.what):<12} "
    text, confines, proposal = finding.text.partition(TO_CONFINE)
    if confines and columns_of(sys.stdout) is not None:
        say(f"{head}{visible(text)}{confines}")
        say_whole(visible(proposal))
    else:
        say(f"{head}{visible(finding.text)}")


def _places(setup: GatewaySetup) -> list[Finding]:
    return [
        Finding(what="settings", text=", ".join(map(str, setup.loaded.sources))),
        Finding(what="root", text=word(setup.root) if setup.root else "none: no built-in server needs one"),
        Finding(what="state", text=word(setup.state.path)),
        Finding(what="identity", text=f"{setup.identity} on stdio"),
        *(Finding(what=name, text=f"left out: {error.text()}", bad=True) for name, error in setup.missing.items()),
    ]


def _boundaries(gateway: Gateway) -> list[Finding]:
    from lg_gateway.commands.serving.boundaries import CONTINUE, halted, server_boundary

    halt = halted(gateway)
    findings = [Finding(what="halted", text=halt, bad=True, then=CONTINUE)] if halt is not None else []
    for name, upstream in sorted(gateway.upstreams.items()):
        findings += [Finding(what=name, text=text, bad=bad) for text, bad in server_boundary(upstream.spec)]
    return findings


def _servers(gateway: Gateway) -> list[Finding]:
    from lg_gateway.commands.serving.boundaries import cannot_download
    from lg_gateway.upstreams.upstream import UpstreamState

    findings = []
    for name, upstream in sorted(gateway.upstreams.items()):
        if upstream.state is not UpstreamState.UP:
            login = f"`lg-gateway login {name}"  # of one caller, or of all
            then = f"run {login}`" if login in str(upstream.error) else cannot_download(upstream.spec)
            findings.append(Finding(what=name, text=f"{upstream.state}: {upstream.error}", bad=True, then=then))
            continue
        entries = [entry for entry in gateway.catalog.entries() if entry.server.name == name]
        words = f"up, {len(entries)} tools, protocol {upstream.protocol}"
        version = word(upstream.version) if upstream.version else "not given"
        findings.append(Finding(what=name, text=f"{words}, version {version}"))
        for tool, problem in list(upstream.left_out.items())[:NAMED]:
            findings.append(Finding(what=name, text=f"tool {word(tool)}: {word(problem)}", bad=True))
        if upstream.spec.builtin:
            metas = [entry.listed.meta or {} for entry in entries]
            findings += _builtin(name, upstream.spec.builtin, metas, gateway.policy.settings.policy_digest())
        elif upstream.spec.trusted:
            findings.append(Finding(what=name, text="trusted: its annotations decide which tools count as read-only"))
    return findings


def _builtin(name: str, kind: str, metas: list[dict[str, Any]], digest: str) -> list[Finding]:
    """Compare what a built-in server enforces with what the gateway believes it enforces."""
    reported = {str(meta.get("lg/policy")) for meta in metas}
    same = reported == {digest}
    enforced = ", ".join(map(word, reported))
    text = f"enforces the gateway's policy ({digest})" if same else f"enforces {enforced}, not {digest}"
    findings = [Finding(what=name, text=text, bad=not same)]
    if kind == "exec":
        findings.append(_sandbox(name, metas))
    return findings


def _sandbox(name: str, metas: list[dict[str, Any]]) -> Finding:
    reported = [meta["lg/sandbox"] for meta in metas if isinstance(meta.get("lg/sandbox"), dict)]
    if any(sandbox.get("active") is True for sandbox in reported):
        return Finding(what=name, text=f"sandbox active ({reported[0].get('backend')})")
    return Finding(
        what=name, text="no sandbox: commands are refused, or run unconfined if the settings say so", bad=True
    )


def _rules(gateway: Gateway) -> list[Finding]:
    from lg_gateway.commands.rules.policy import mistakes
    from lg_gateway.upstreams.upstream import UpstreamState

    rules, entries = gateway.policy.rules, gateway.catalog.entries()
    findings = [Finding(what="rules", text=problem, bad=True) for problem in mistakes(gateway)]
    if all(upstream.state is UpstreamState.UP for upstream in gateway.upstreams.values()):
        findings += [Finding(what="rules", text=problem) for problem in rules.unused(entry.name for entry in entries)]
    findings += [Finding(what="rules", text=problem) for problem in rules.shadowed()]
    count = len(gateway.policy.settings.gateway.rules)
    usual = "no rules of your own: the defaults decide" if not count else f"{count} rules, each can match a tool"
    return findings or [Finding(what="rules", text=usual)]


def _pins(gateway: Gateway) -> list[Finding]:
    from lg_gateway.catalog.definitions import definition_of
    from lg_gateway.catalog.lint import lint, lookalikes

    findings = [
        Finding(
            what="pins", text=f"{name}: held back: {', '.join(map(word, held))}; see `lg-gateway pins diff`", bad=True
        )
        for name, held in gateway.pinning.held.items()
        if held
    ]
    entries = gateway.catalog.entries()
    foreign = [entry for entry in entries if entry.server.builtin is None]
    flagged = [(entry.name, what) for entry in foreign for what in lint(definition_of(entry.listed))]
    findings += [Finding(what="lint", text=f"{name} {what}", bad=True) for name, what in flagged]
    pairs = lookalikes((entry.name, entry.server.name, entry.tool) for entry in entries)
    findings += [Finding(what="lint", text=f"{first} and {second} look alike") for first, second in pairs]
    return findings


async def _clients(gateway: Gateway) -> list[Finding]:
    http, now = gateway.policy.settings.gateway.http, time.time()
    tokens = await gateway.store.read(gateway.tokens.all)
    known = http.oauth is not None or any(token.state(now) == "active" for token in tokens)
    known |= http.login == "none"
    return clients(gateway.setup.root, over_http=http != type(http)(), known_callers=known)


async def _login(gateway: Gateway) -> list[Finding]:
    """Who could call over HTTP, and whether the authorization server's keys can be had."""
    http = gateway.policy.settings.gateway.http
    if http.login == "none":
        return [
            Finding(
                what="login", text=f"none: over HTTP every program on this machine calls as {gateway.setup.identity}"
            )
        ]
    now = time.time()
    tokens = [token for token in await gateway.store.read(gateway.tokens.all) if token.state(now) == "active"]
    soon = sum(token.expires < now + SOON_S for token in tokens)
    text = f"over HTTP: {len(tokens)} tokens" + (f", {soon} expire within 7 days" if soon else "")
    if http.oauth is None:
        return [
            Finding(
                what="login",
                text=text if tokens else NO_CALLER,
            )
        ]
    return [Finding(what="login", text=text), await anyio.to_thread.run_sync(_issuer, http.oauth)]


def _issuer(oauth: OAuthSettings) -> Finding:
    import jwt

    from lg_gateway.identity.jwt import JwtVerifier
    from lg_policy.outgoing.checked_http import RequestFailed

    try:
        count = JwtVerifier(oauth, oauth.audience).keys()
    except (jwt.PyJWTError, RequestFailed, ValueError) as error:
        return Finding(what="login", text=f"cannot fetch the keys of {oauth.issuer}: {error}", bad=True)
    return Finding(what="login", text=f"{oauth.issuer} publishes {count} keys")


async def _boundary(args: argparse.Namespace) -> list[Finding]:
    """Try the boundary of confined clients, from inside such a sandbox."""
    from lg_gateway.commands.confining.confine import attempts_of
    from lg_policy.errors import LgError

    try:
        attempts = await attempts_of(args)
    except (LgError, OSError) as error:
        return [Finding(what="boundary", text=f"could not be tried: {error}", bad=True)]
    broken = [f"{attempt.what}: {attempt.result}" for attempt in attempts if not attempt.held]
    if broken:
        return [Finding(what="boundary", text=f"did not hold: {text}", bad=True) for text in broken]
    return [Finding(what="boundary", text=f"of confined clients: all {len(attempts)} attempts ended as they must")]


def _clear_text(gateway: Gateway) -> list[Finding]:
    """Servers that are sent credentials over a network in clear."""
    found = []
    for name, upstream in sorted(gateway.upstreams.items()):
        url = upstream.spec.url or ""
        if upstream.spec.headers and url.startswith("http:") and not is_loopback(urlsplit(url).hostname or ""):
            found.append(Finding(what=name, text="its headers are sent unencrypted: use https", bad=True))
    return found


async def _ledger(gateway: Gateway) -> Finding:
    from lg_gateway.serving.row_verification import row_problems

    count, problems = await gateway.store.read(gateway.ledger.verify)
    if not problems:
        now = time.time()
        beside = partial(row_problems, approvals=gateway.approvals, pins=gateway.pins, tokens=gateway.tokens, now=now)
        problems = await gateway.store.read(beside)
    if not problems:
        return Finding(what="ledger", text=f"intact, {count} records")
    return Finding(what="ledger", text=problems[0].text(), bad=True)
