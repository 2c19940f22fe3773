"""`lg-gateway call`: call one tool from the command line, read a resource or get a prompt."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import anyio

from lg_gateway.commands.terminal.output import fail, print_json, say_whole, word
from lg_gateway.serving.running import prepare_from, running_gateway
from lg_policy.errors import UnknownName, UsageError
from lg_policy.rules.decisions import Kind

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway

CALLER = "cli"
LEAVING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def run(args: argparse.Namespace) -> int:
    """`lg-gateway call TOOL [JSON]`."""
    return make(args, Kind.TOOL, args.tool, _arguments(args.arguments))


def make_other(args: argparse.Namespace, kind: Kind) -> int:
    """`lg-gateway resources ADDRESS` and `lg-gateway prompts PROMPT [JSON]`."""
    return make(args, kind, args.name, _arguments(args.arguments) if kind is Kind.PROMPT else {})


def make(args: argparse.Namespace, kind: Kind, name: str, arguments: dict[str, Any]) -> int:
    """Make one call as the user of this terminal, and print its answer."""
    setup = prepare_from(args)

    async def call() -> int:
        async with running_gateway(setup) as gateway:
            from mcp.shared.exceptions import MCPError

            from lg_gateway.calls.call import Call
            from lg_gateway.commands.calls.form_prompt import ask_here

            server = gateway.upstreams.get(name.partition("__")[0])
            await (server.settled.wait() if server is not None else gateway.settled())
            human = sys.stdin.isatty() and sys.stderr.isatty()
            request = Call(
                identity=setup.identity,
                client=CALLER,
                kind=kind,
                name=name,
                arguments=arguments,
                asking="live" if human else "none",
                ask=ask_here if human else None,
                hold_s=0,
                at_terminal=human,
            )
            try:
                answer = await gateway.pipeline.run(request)
            except MCPError as error:
                fail(
                    _unknown(kind, name, gateway, setup.identity)
                    if error.message.startswith(f"Unknown {kind}")
                    else error.message
                )
                return 2
            return _print_answer(answer, as_json=args.json)

    # A caller that leaves takes its question back, however it is told to leave.
    for number in LEAVING:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    return anyio.run(call)


def _unknown(kind: Kind, name: str, gateway: Gateway, identity: str) -> UnknownName:
    """Return the error about something that is not there, with the name that was probably meant."""
    decisions, offers = gateway.pipeline.decisions, gateway.catalog.offers
    if kind is Kind.TOOL:
        known = [entry.name for entry in decisions.tools(identity)]
    elif kind is Kind.PROMPT:
        known = [prompt.name for prompt in decisions.offered(identity, offers.prompts())]
    else:
        known = [resource.uri for resource in decisions.offered(identity, offers.resources())]
    meant = [tool for tool in known if tool.endswith(f"__{name}")] or get_close_matches(name, known, 1)
    suggestion = f"did you mean {word(meant[0])}? " if meant else ""
    return UnknownName(f"there is no {kind} {word(name)}", hint=f"{suggestion}`lg-gateway {kind}s` lists them")


def _arguments(text: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read()
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"the arguments are not JSON: {error}", hint="""for instance '{"path": "README.md"}'"""
        ) from error
    if not isinstance(arguments, dict):
        raise UsageError("the arguments must be a JSON object")
    return arguments


def _print_answer(answer: Any, *, as_json: bool) -> int:
    if as_json:
        print_json(answer.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2)
    else:
        for block in getattr(answer, "content", []):
            inner = getattr(block, "resource", block)
            say_whole(getattr(inner, "text", f"[{block.type}]"))
    return 1 if getattr(answer, "is_error", True) else 0
