"""`lg-gateway call`: call one tool from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import anyio

from lg_gateway.commands.output import fail, print_json, say, word
from lg_gateway.serving.running import prepare_from, running_gateway
from lg_policy.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway

CALLER = "cli"


def run(args: argparse.Namespace) -> int:
    """`lg-gateway call TOOL [JSON]`."""
    arguments = _arguments(args.arguments)
    setup = prepare_from(args)

    async def call() -> int:
        async with running_gateway(setup) as gateway:
            from mcp.shared.exceptions import MCPError

            from lg_gateway.calls.call import Call
            from lg_gateway.commands.form_prompt import ask_here

            name = args.tool
            server = gateway.upstreams.get(name.partition("__")[0])
            await (server.settled.wait() if server is not None else gateway.settled())
            human = sys.stdin.isatty() and sys.stderr.isatty()
            request = Call(
                identity=setup.identity,
                client=CALLER,
                name=name,
                arguments=arguments,
                asking="live" if human else "none",
                ask=ask_here if human else None,
                hold_s=0,
            )
            try:
                answer = await gateway.pipeline.run(request)
            except MCPError as error:
                fail(
                    _unknown(name, gateway, setup.identity)
                    if error.message.startswith("Unknown tool")
                    else error.message
                )
                return 2
            return _print_answer(answer, as_json=args.json)

    return anyio.run(call)


def _unknown(name: str, gateway: Gateway, identity: str) -> UnknownName:
    """Return the error about a tool that is not there, with the name that was probably meant."""
    known = [entry.name for entry in gateway.pipeline.decisions.tools(identity)]
    meant = [tool for tool in known if tool.endswith(f"__{name}")] or get_close_matches(name, known, 1)
    suggestion = f"did you mean {word(meant[0])}? " if meant else ""
    return UnknownName(f"there is no tool {word(name)}", hint=f"{suggestion}`lg-gateway tools` lists them")


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
            say(getattr(block, "text", f"[{block.type}]"))
    return 1 if getattr(answer, "is_error", True) else 0
