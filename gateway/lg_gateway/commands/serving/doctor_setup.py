"""Says for `lg-gateway doctor` how it is set up: clients, rules that never matched, the store, what is next."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lg_gateway.clients.installing.client_file import ClientText, is_ours, read_file
from lg_gateway.clients.installing.entries import ROWS
from lg_gateway.clients.installing.places import PROJECT, USER, Machine
from lg_gateway.commands.terminal.output import word
from lg_gateway.kept_rules.suggestions import suggestions
from lg_gateway.kept_rules.usage import any_decided, last_change, listed_rules, never_used, rule_use
from lg_gateway.store.interface import Tx
from lg_policy.errors import ConfigError
from lg_policy.state import config_home

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway

HISTORY = 2_000
MAKE_ONE = "`lg-gateway tokens create NAME`"
NAMED = 5
"""Rules, or servers beside us, that one line names."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. `bad` findings make the exit status 1. `then` is what to do about it."""

    what: str
    text: str
    bad: bool = False
    then: str = ""


def clients(root: Path | None, *, over_http: bool, known_callers: bool) -> list[Finding]:
    """Name each client that starts a program of ours, and what it has beside it.

    `over_http`: the settings say how callers over HTTP log in. `known_callers`: some can.
    """
    machine = Machine(platform=sys.platform, environ=os.environ, home=str(Path.home()))
    found = list(_clients(machine, root))
    if found:
        return found
    none = "no client's file starts the gateway"
    if known_callers:
        return [Finding(what="clients", text=f"{none}; programs can call over HTTP")]
    if over_http:
        return [Finding(what="clients", text=f"{none}, and no caller over HTTP has a token", then=f"run {MAKE_ONE}")]
    return [Finding(what="clients", text=none, then=f"run `lg-gateway init`, or for callers over HTTP {MAKE_ONE}")]


def _clients(machine: Machine, root: Path | None) -> Iterator[Finding]:
    for name, place in sorted(USER.items()):
        places = place(machine)
        for path in (places.first, *places.others):
            if "*" not in path and os.path.exists(path):
                yield from _client(name, Path(path), f"lg-gateway install {name} --move")
    for name, names in sorted(PROJECT.items()) if root is not None else ():
        for path in (f"{root}/{written}" for written in names):
            if os.path.isfile(path):
                yield from _client(name, Path(path), f"lg-gateway install {name} --project --move")


def _client(name: str, path: Path, then: str) -> Iterator[Finding]:
    """Say whether one file starts a program of ours, and what it has beside it."""
    row = ROWS[name]
    try:
        entries = ClientText(path, row, read_file(path, row)).entries()
    except ConfigError as error:
        yield Finding(what="clients", text=f"{row.title}: {error.message}")
        return
    ours = [entry for entry in entries if is_ours(entries[entry])]
    others = sorted(set(entries) - set(ours))
    if ours:
        beside = ", ".join(word(other) for other in others[:NAMED]) + (", …" if others[NAMED:] else "")
        text = f"{row.title} has us ({word(path)})" + (f"; beside us, unchecked: {beside}" if others else "")
        yield Finding(what="clients", text=text, then=f"run `{then}`" if others else "")


async def history(gateway: Gateway) -> list[Finding]:
    """Name rules that never matched, and say whether rules could spare questions."""
    setup, changed = gateway.setup, last_change(gateway.setup.loaded.files)

    def look(tx: Tx) -> list[Finding]:
        rules = listed_rules(setup.loaded, config_home(setup.environ) / "config.toml", rule_use(tx, changed))
        idle = never_used(rules) if any_decided(tx) else []  # before the first call, none could match
        found = []
        if idle:
            names = ", ".join(f"{rule.number} ({word(rule.place)})" for rule in idle[:NAMED])
            more = f" and {len(idle) - NAMED} more" if len(idle) > NAMED else ""
            found.append(
                Finding(what="rules", text=f"never matched here: {names}{more}", then="see `lg-gateway rules list`")
            )
        recent = gateway.approvals.recent(tx, HISTORY, 0.0)
        proposed = suggestions(recent, setup.settings.gateway.rules)
        if proposed:
            times = sum(suggestion.yes for suggestion in proposed)
            found.append(
                Finding(
                    what="approvals",
                    text=f"{times} questions always got a yes; {len(proposed)} rules would spare them",
                    then="see `lg-gateway rules suggest`",
                )
            )
        return found

    return await gateway.store.read(look)


async def store(gateway: Gateway) -> Finding:
    """Say where the store is, how large, and whether it takes a transaction."""
    place = gateway.setup.store_place
    if not await gateway.store_health.usable():
        why = gateway.store_health.error or "it did not answer in time"
        return Finding(what="store", text=f"{word(place.shown)} cannot be used: {why}", bad=True)
    if place.url is None and place.path.exists():
        size = place.path.stat().st_size / 1e6
        return Finding(what="store", text=f"{word(place.path)}, {size:.1f} MB")
    return await gateway.store.read(partial(_server, word(place.shown)))


def _server(shown: str, tx: Tx) -> Finding:
    asked = "SELECT current_setting('server_version'), pg_database_size(current_database()), current_setting('fsync')"
    version, size, fsync = tx.execute(asked)[0]
    text = f"{shown}, PostgreSQL {word(version)}, {size / 1e6:.1f} MB"
    if fsync != "on":
        return Finding(what="store", text=f"{text}; fsync is off: a power cut may lose records", then="set fsync = on")
    return Finding(what="store", text=text)


def next_step(findings: Sequence[Finding]) -> str:
    """Return what to do first: about what is wrong, or else about what could be better."""
    wrong = [finding for finding in findings if finding.bad]
    for finding in sorted(wrong or findings, key=lambda finding: not finding.then):
        then = finding.then or finding.text.partition("; to ")[2]
        if then:
            return f"{finding.what}: {then if finding.then else f'to {then}'}"
    if wrong:
        what = dict.fromkeys(finding.what for finding in wrong)
        return f"{', '.join(what)}: mend what the lines with !! say"
    return "nothing to do. `lg-gateway approvals watch` shows the questions of your clients"
