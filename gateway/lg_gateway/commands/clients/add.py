"""`lg-gateway add NAME -- COMMAND`: put one more server behind the gateway."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError

from lg_gateway.clients.entry import ClientEntry, ClientFile
from lg_gateway.clients.import_plan import ImportPlan, import_plan, texts_of
from lg_gateway.clients.names import NAME
from lg_gateway.clients.settings_file import reserved_names
from lg_gateway.clients.values import PLACEHOLDER, Values
from lg_gateway.commands.clients.import_file import carry_out, settings_path
from lg_gateway.commands.clients.import_report import report
from lg_gateway.confinement.proposals import with_proposed_sandbox
from lg_gateway.processes.entry_check import check_entry
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError, UsageError

KNOWN = "${NAME}, ${NAME:-default}, ${secret:NAME}, ${file:PATH}, ${workspaceFolder}"
_OTHERS = re.compile(r"\$\{[A-Za-z]+:[^}]*\}")
EXAMPLE = "lg-gateway add time -- uvx mcp-server-time"


def run(args: argparse.Namespace) -> int:
    """`lg-gateway add NAME`."""
    path = settings_path(args, os.environ)
    if not NAME.fullmatch(args.name):
        raise UsageError(f"{args.name!r} cannot be a server's name", hint="take letters, digits and -, at most 32")
    if args.name in reserved_names(path):
        raise UsageError(f"{args.name} is a server of ours", hint="choose another name")
    entry = ClientEntry(name=args.name, written=args.name, settings=_settings(args))
    found = ClientFile(path=path, client="", entries={args.name: entry})
    values = Values(environ=os.environ, root=args.root.absolute() if args.root is not None else None)
    confine = with_proposed_sandbox if args.sandbox else lambda settings: settings
    check = partial(check_entry, root=values.root, environ=os.environ)

    def planned(*, keep_secrets: bool) -> ImportPlan:
        return import_plan(
            found, path, values, replace=args.replace, keep_secrets=keep_secrets, confine=confine, check=check
        )

    plan = planned(keep_secrets=False)
    if plan.left_out:
        raise next(iter(plan.left_out.values()))
    report(plan, with_sandbox="add it with --sandbox")
    if plan.edit.taken:
        return 1
    return carry_out(args, plan, lambda: planned(keep_secrets=True), values)


def _settings(args: argparse.Namespace) -> UpstreamSettings:
    words = args.command_line[1:] if args.command_line[:1] == ["--"] else args.command_line
    if bool(words) == bool(args.url):
        raise UsageError("give either a command or --url", hint=EXAMPLE)
    if (args.env and args.url) or (args.header and words):
        raise UsageError("--env goes with a command, --header with --url", hint=EXAMPLE)
    if args.url:
        given = {"url": args.url, "transport": "auto", "headers": _pairs(args.header, ":", "--header 'NAME: VALUE'")}
    else:
        given = {"command": words[0], "args": words[1:], "env": _pairs(args.env, "=", "--env NAME=VALUE")}
    try:
        settings = UpstreamSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for text in texts_of(settings):
        if unknown := _OTHERS.search(PLACEHOLDER.sub("", text)):
            raise UsageError(f"{unknown[0]} is not a placeholder of the gateway", hint=f"one of {KNOWN}")
    return settings


def _pairs(written: Sequence[str], mark: str, how: str) -> dict[str, str]:
    """Return names and values. A variable without a value is taken from the gateway's own environment."""
    found = {}
    for text in written:
        name, there, value = text.partition(mark)
        if not name.strip() or (not there and mark == ":"):
            raise UsageError(f"{text!r} is no name with a value", hint=how)
        found[name.strip()] = value.strip() if there else f"${{{name.strip()}}}"
    return found
