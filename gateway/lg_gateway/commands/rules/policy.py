"""`lg-gateway policy`: explain how a call would be decided and why, and test a file of expected decisions.

Rules are judged against the schemas and annotations of tools. `explain` takes those of a server that is not ours from
its pins and starts nothing; else it starts the one server, and says so. `test` starts all servers. Nothing is called.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from lg_gateway.commands.rules.known import from_pins, owner
from lg_gateway.commands.terminal.output import complain, print_json, say, word
from lg_gateway.serving.logs import start_logging
from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import GatewaySetup, prepare
from lg_gateway.views.explanation import Known, explanation, named, seen_arguments
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError, UnknownName, UsageError
from lg_policy.printing import visible

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway


class PolicyCase(BaseModel):
    """One expected decision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: str
    """A tool, a prompt, or a resource as `SERVER+URI`."""
    args: dict[str, Any] = {}
    identity: str | None = None
    effect: Literal["allow", "approve", "deny"]
    rule: str | None = None


def run(args: argparse.Namespace) -> int:
    """`lg-gateway policy explain TOOL` and `lg-gateway policy test FILE`."""
    start_logging(args.log_level, typed=True)
    cases = read_cases(Path(args.subject)) if args.action == "test" else []
    setup = prepare(common_flags(args), mcp_json=args.mcp_json)

    if args.action == "explain":
        return _explain(setup, args)

    async def judge() -> int:
        async with running_gateway(setup) as gateway:
            await gateway.settled()
            failed = failures(gateway, cases, args.identity or setup.identity)
            wrong = mistakes(gateway)
        for line in [*failed, *wrong]:
            complain(visible(line))
        say(f"{len(cases) - len(failed)} of {len(cases)} decisions are as expected")
        return 1 if failed or wrong else 0

    return anyio.run(judge)


def _explain(setup: GatewaySetup, args: argparse.Namespace) -> int:
    """Judge one call, with as few servers as that takes."""
    arguments, caller = _arguments(args.args), args.identity or setup.identity
    spec = owner(setup, args.subject)
    known = from_pins(setup, spec, args.subject) if spec is not None else None
    if spec is not None and known is not None:
        status = explain(known, args.subject, arguments, caller, as_json=args.json)
        if not args.json:
            say(f"judged by the accepted definition; the server {word(spec.name)} was not started")
        return status
    if spec is not None and spec.builtin is None:
        complain(f"starting the server {word(spec.name)}: there is no accepted definition of {word(args.subject)}")

    async def judge() -> int:
        wanted = setup if spec is None else replace(setup, specs=(spec,))
        async with running_gateway(wanted) as gateway:
            await gateway.settled()
            return explain(Known.of(gateway), args.subject, arguments, caller, as_json=args.json)

    return anyio.run(judge)


def read_cases(path: Path) -> list[PolicyCase]:
    """Read `[[case]]` tables. Raises `ConfigError`."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        return [PolicyCase.model_validate(case) for case in data["case"]]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {word(path)}: {error}") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{word(path)} has no [[case]] table", hint='a [[case]] has tool = "…", args = {…} and effect = "…"'
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{word(path)}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def explain(known: Known, tool: str, arguments: dict[str, Any], identity: str, *, as_json: bool = False) -> int:
    """Print the decision about one call, what each rule about its tool says, and what else would stop it.

    Instead of a tool it may be a prompt, or a resource.
    """
    entry = named(known.catalog, tool)
    if entry is None:
        raise UnknownName(
            f"there is no tool, prompt or resource {tool!r}",
            hint="`lg-gateway tools`, `lg-gateway prompts` and `lg-gateway resources` list them",
        )
    told = explanation(known, entry, seen_arguments(entry, arguments), identity)
    if as_json:
        print_json(told, indent=2)
        return 0
    place = f" ({told['place']})" if told["place"] else ""
    approver = f", approver: {told['approver']}" if told["effect"] == "approve" else ""
    lines = [f"{told['effect']}: {told['reason']}", f"decided by {told['rule']}{place}{approver}"]
    if not told["visible"]:
        lines.append(f"{word(identity)} does not see this {told['kind']}")
    lines += [
        f"  {view['effect']:<8} {view['name']} ({view['place']}): {view['why'] or 'matches'}" for view in told["rules"]
    ]
    trusted = "trusted" if told["trusted"] else "not trusted"
    does = "only reads" if told["read_only"] else "may change something"
    does = does if told["kind"] == "tool" else "only reads"
    lines.append(f"server {word(told['server'])}: {trusted}; the {told['kind']} {does}")
    if told["app"] is not None:
        lines.append(f"its app is the page {told['app']['page']}: {told['app']['effect']} ({told['app']['rule']})")
        lines += [f"  the page may use {name}: {', '.join(hosts)}" for name, hosts in told["app"]["hosts"].items()]
    if told["arguments_refused"]:
        lines.append(f"the arguments would be refused first: {told['arguments_refused']}")
    lines += [f"problem: {problem}" for problem in told["problems"]]
    say("\n".join(map(visible, lines)))
    return 0


def mistakes(gateway: Gateway) -> list[str]:
    """Return what is wrong with the rules, now that the tools of the servers that are up are known."""
    rules = gateway.policy.rules
    return [problem for entry in gateway.catalog.entries() for problem in rules.problems(entry.facts)]


def failures(gateway: Gateway, cases: list[PolicyCase], identity: str) -> list[str]:
    """Return a line for each case that is not decided as it says."""
    found = []
    for number, case in enumerate(cases, 1):
        entry, caller = named(gateway.catalog, case.tool), case.identity or identity
        shown = f"case {number}: {case.tool} {json.dumps(case.args)} by {caller}"
        if entry is None:
            found.append(f"{shown}: there is no such tool")
            continue
        decision = gateway.pipeline.decisions.decide(caller, entry, seen_arguments(entry, case.args))
        if decision.effect != case.effect or case.rule not in (None, decision.rule):
            wanted = f"{case.effect} {f'by {case.rule}' if case.rule else ''}".strip()
            found.append(f"{shown}: {decision.effect} by {decision.rule} ({decision.reason}), not {wanted}")
    return found


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--args is not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise UsageError("--args must be a JSON object")
    return arguments
