"""`lg-gateway policy`: how a call would be decided and why, and tables of decisions that must hold.

Starts the servers, because rules are judged against their tools' schemas and annotations. Calls nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from lg_gateway.programs import running_gateway, start_logging
from lg_gateway.setup import prepare
from lg_policy.errors import ConfigError, InvalidArguments
from lg_policy.flags import common_flags

if TYPE_CHECKING:
    from lg_gateway.catalog import CatalogEntry
    from lg_gateway.gateway import Gateway


class Case(BaseModel):
    """One expected decision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: str
    args: dict[str, Any] = {}
    identity: str | None = None
    effect: Literal["allow", "approve", "deny"]
    rule: str | None = None


def run_policy(args: argparse.Namespace) -> int:
    """`lg-gateway policy explain TOOL` and `lg-gateway policy test FILE`."""
    start_logging(args.log_level)
    cases = read_cases(Path(args.subject)) if args.action == "test" else []
    setup = prepare(common_flags(args), mcp_json=args.mcp_json)

    async def judge() -> int:
        async with running_gateway(setup) as gateway:
            await gateway.settled()
            if args.action == "explain":
                return explain(gateway, args.subject, _arguments(args.args), args.identity or setup.identity)
            failed = [case for case in cases if not _holds(gateway, case, case.identity or setup.identity)]
        print(f"{len(cases) - len(failed)} of {len(cases)} decisions are as expected")
        return 1 if failed else 0

    return anyio.run(judge)


def read_cases(path: Path) -> list[Case]:
    """Read `[[case]]` tables. Raises `ConfigError`."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        return [Case.model_validate(case) for case in data["case"]]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path} has no [[case]] tables", hint='[[case]] with tool = "…", args, effect') from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def explain(gateway: Gateway, tool: str, arguments: dict[str, Any], identity: str) -> int:
    """Print the decision about one call, and what else would stop it."""
    entry = _entry(gateway, tool)
    rules = gateway.policy.rules
    decision = rules.decide(identity=identity, facts=entry.facts, arguments=arguments)
    print(f"{decision.effect}: {decision.reason}")
    print(f"decided by {decision.rule}" + (f", approver: {decision.approver}" if decision.effect == "approve" else ""))
    if not rules.visible(identity=identity, facts=entry.facts):
        print(f"{identity} does not see this tool at all")
    facts = entry.facts
    print(f"server {facts.server}: {'trusted' if facts.trusted else 'not trusted'}, read-only: {entry.read_only}")
    try:
        entry.check.check(arguments)
    except InvalidArguments as error:
        print(f"the arguments would be refused before: {error.text()}")
    for problem in rules.problems(facts):
        print(f"problem: {problem}")
    return 0


def _holds(gateway: Gateway, case: Case, identity: str) -> bool:
    entry = _entry(gateway, case.tool)
    decision = gateway.policy.rules.decide(identity=identity, facts=entry.facts, arguments=case.args)
    if decision.effect == case.effect and case.rule in (None, decision.rule):
        return True
    shown = f"{case.tool} {json.dumps(case.args)} by {identity}"
    print(
        f"{shown}: {decision.effect} by {decision.rule}, not {case.effect} {case.rule or ''}".rstrip(), file=sys.stderr
    )
    return False


def _entry(gateway: Gateway, tool: str) -> CatalogEntry:
    entry = gateway.catalog.find(tool)
    if entry is None:
        raise ConfigError(f"there is no tool {tool!r}", hint="see `lg-gateway tools`")
    return entry


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--args is not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise ConfigError("--args must be a JSON object")
    return arguments
