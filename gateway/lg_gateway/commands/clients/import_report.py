"""Shows what an import would do. Values that may be secret are never shown, only what they are called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from lg_gateway.clients.entry import ClientEntry
from lg_gateway.clients.import_plan import ImportPlan, files_of
from lg_gateway.commands.terminal.output import say, say_whole, word
from lg_gateway.confinement.proposals import propose_sandbox
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError
from lg_policy.printing import one_line
from lg_policy.secrets.configured import secret_parts

WIDTH = 200
"""Columns of a command or a reason."""
HIDDEN = "***"


def report(plan: ImportPlan, *, with_sandbox: str = "") -> None:
    """Print each server, what is left out and why, and the rules that the client had.

    `with_sandbox` says which option writes the sandboxes proposed, "" where there is none.
    """
    for note in plan.found.notes:
        say(f"  note: {one_line(note, WIDTH)}")
    for name, entry in plan.entries.items():
        _server(plan, name, entry)
        if entry.settings.command is not None:
            _sandbox(entry.settings, option=with_sandbox)
    for name in plan.edit.added:
        if name not in plan.entries:
            say(f"  + {name:<20} ours; settings that name a server have to name ours too")
    for written, error in plan.left_out.items():
        say(f"  - {word(written, 40):<20} left out: {one_line(reason(error), WIDTH)}")
    _rules(plan)


def _server(plan: ImportPlan, name: str, entry: ClientEntry) -> None:
    sign = "+" if name in plan.edit.added else "="
    off = "" if entry.settings.enabled else "  (off)"
    say(f"  {sign} {word(name):<20} {described(entry.settings.model_dump(exclude_defaults=True))}{off}")
    if name in plan.edit.taken:
        say("      left as it is: the settings have another server of this name (--replace takes this one)")
    for path in files_of(entry.settings):
        say(f"      gets the content of {word(path)} at each start")
    for note in entry.notes:
        say(f"      {one_line(note, WIDTH)}")
    if name in plan.plain:
        where = ", ".join(dict.fromkeys(word(secret.where) for secret in plan.plain[name]))
        say(f"      holds what looks like a secret in plain text: {one_line(where, WIDTH)}")


def _sandbox(settings: UpstreamSettings, *, option: str) -> None:
    """Say which sandbox fits a server, or that it gets one."""
    proposal = propose_sandbox(settings.command or "", settings.args)
    if settings.sandbox is not None:
        say("      starts in a sandbox: see `sandbox` in its table")
        if proposal.add:
            say(f"      {one_line(proposal.add, WIDTH)}")
        return
    if proposal.why_not:
        say(f"      runs with all your rights: {one_line(proposal.why_not, WIDTH)}")
    else:
        how = f"{option}, or write" if option else "to confine it, write"
        say(f"      runs with all your rights; {how} this into its table:")
        say_whole(f"      {one_line(proposal.text(), WIDTH)}")


def reason(error: ConfigError) -> str:
    """Return why an entry is left out."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def described(settings: Mapping[str, Any]) -> str:
    """Return how a server is reached: its program or its address, and the names of what it is given."""
    if settings.get("command"):
        words = (settings["command"], *settings.get("args", ()))
        shown = " ".join(word(_masked(text, before)) for text, before in zip(words, ("", *words), strict=False))
    else:
        shown = f"{word(_address(settings.get('url', '')))} ({settings.get('transport', 'http')})"
    given = [*settings.get("env", {}), *settings.get("headers", {})]
    return one_line(shown + (f" with {', '.join(map(word, given))}" if given else ""), WIDTH)


def _masked(text: str, before: str = "") -> str:
    """Return a word of a command, without what is a secret by its shape or by the option that it belongs to."""
    found = secret_parts(before.lstrip("-") if before.startswith("-") and "=" not in before else "", text)
    for mark in ("=", ":"):  # of an option, and of a header
        name, there, value = text.partition(mark)
        found += secret_parts(name.lstrip("-"), value) if there else []
    for secret in found:
        text = text.replace(secret, HIDDEN)
    return text


def _address(url: str) -> str:
    """Return an address without what may be secret in it: password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{_masked(parts.path)}" + ("?" + HIDDEN if parts.query else "")


def _rules(plan: ImportPlan) -> None:
    proposed = list(plan.rules())
    if not proposed:
        return
    say("The client asks nobody about these tools. The gateway does, unless you add a rule. Nothing was added:")
    for name, rule in proposed:
        tools = [f"{name}__{tool}" for tool in rule.tools]
        if rule.dangerous:
            say(f"# dangerous: {word(rule.key)} covers every tool of {word(name)}, also those it adds later")
        say_whole(f'[[gateway.rules]]\ntools = {json.dumps(tools)}\neffect = "allow"')
