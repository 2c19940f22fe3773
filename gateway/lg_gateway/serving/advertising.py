"""Says to each caller what the gateway has for it: only what some server has that this caller may see.

What a server has is known once it is up. A caller waits for that as it waits for a first list; `lg-fs` and `lg-exec`
are known without waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lg_gateway.approvals.layout import word
from lg_gateway.approvals.question import quoted
from lg_gateway.catalog.offer import Offer
from lg_gateway.catalog.offers import uri_facts
from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.offers.server_tasks import EXTENSION
from lg_policy.limits import cut_at_word
from lg_policy.rules.rule_set import Kind, ToolFacts

INSTRUCTIONS = (
    "Tools of several servers under names SERVER__TOOL. Every call is checked against the owner's policy and recorded. "
    "A refused or failed call is an error result whose text begins with a code; it says what to do instead. "
    "approval_required: a person must say yes first, never you. Tell them that the call waits: they answer in a "
    "terminal of their own, where `lg-gateway approvals watch` shows it. Then make the same call again."
)
INSTRUCTIONS_CHARACTERS = 16_000
"""Of what all servers say together; the rest is cut."""
_BUILTIN = {"fs": Offer(has_resources=True, completes=True), "exec": Offer(), "code": Offer()}
Context = ServerRequestContext[Any, Any]


class Advertising:
    """Capabilities and instructions. `identify` tells who is calling."""

    def __init__(self, gateway: Gateway, identify: Callable[[Context], str]) -> None:
        self._gateway = gateway
        self._identify = identify

    def attach(self, server: Server[Any]) -> None:
        """Have a server answer `server/discover` and `initialize` with what the caller may have."""

        async def discover(ctx: Context, _params: t.RequestParams) -> t.DiscoverResult:
            offer = await self._for(ctx)
            capabilities = cut(server.get_capabilities(protocol_version=ctx.protocol_version), offer)
            if offer.has_tasks:  # not in the handshake: a 2025 client cannot say that it takes tasks
                capabilities.extensions = {**(capabilities.extensions or {}), EXTENSION: {}}
            return t.DiscoverResult(
                supported_versions=list(MODERN_PROTOCOL_VERSIONS),
                capabilities=capabilities,
                instructions=offer.instructions,
            )

        async def handshake(ctx: Context, call_next: Any) -> Any:
            result = await call_next(ctx)
            if ctx.method == "initialize" and isinstance(result, dict):
                offer = await self._for(ctx)
                said = t.ServerCapabilities.model_validate(result.get("capabilities") or {}, by_name=False)
                shown = cut(said, offer).model_dump(mode="json", by_alias=True, exclude_none=True)
                result = result | {"capabilities": shown, "instructions": offer.instructions}
            return result

        server.add_request_handler("server/discover", t.RequestParams, discover)
        server.middleware.append(handshake)

    async def _for(self, ctx: Context) -> Offer:
        await self._gateway.described()
        return self.offer_for(self._identify(ctx))

    def offer_for(self, identity: str) -> Offer:
        """Return what all servers together have for a caller, without the lists."""
        found = Offer(instructions=INSTRUCTIONS)
        said: list[str] = []
        for name, upstream in sorted(self._gateway.upstreams.items()):
            known = self._gateway.catalog.offers.offer(name)
            offer = known if known is not None else _BUILTIN.get(upstream.spec.builtin or "", Offer())
            sees = self._gateway.pipeline.decisions.visible
            reads = offer.has_resources and sees(identity, uri_facts(upstream.spec, ""))
            gets = offer.has_prompts and sees(identity, _any_prompt(upstream.spec.name, trusted=upstream.spec.trusted))
            found = replace(
                found,
                has_resources=found.has_resources or reads,
                has_prompts=found.has_prompts or gets,
                subscribes=found.subscribes or (reads and offer.subscribes),
                has_tasks=found.has_tasks or (offer.has_tasks and self._has_tools(identity, name)),
                completes=found.completes or ((reads or gets) and offer.completes),
            )
            if offer.instructions and (reads or gets or self._has_tools(identity, name)):
                said += [
                    "",
                    f"Server {word(name)} says of itself. Its words stand behind |.",
                    *quoted(offer.instructions),
                ]
        return replace(found, instructions=cut_at_word("\n".join([INSTRUCTIONS, *said]), INSTRUCTIONS_CHARACTERS))

    def _has_tools(self, identity: str, server: str) -> bool:
        return any(entry.server.name == server for entry in self._gateway.pipeline.decisions.tools(identity))


def cut(capabilities: t.ServerCapabilities, offer: Offer) -> t.ServerCapabilities:
    """Return capabilities without those that no server has."""
    resources = capabilities.resources
    if resources is not None:
        resources = resources.model_copy(update={"subscribe": True if offer.subscribes else None})
    return capabilities.model_copy(
        update={
            "resources": resources if offer.has_resources else None,
            "prompts": capabilities.prompts if offer.has_prompts else None,
            "completions": capabilities.completions if offer.completes else None,
        }
    )


def _any_prompt(server: str, *, trusted: bool) -> ToolFacts:
    """Return a prompt that stands for all of a server's: hidden only where all of them are."""
    return ToolFacts(server=server, tool=f"{server}__", kind=Kind.PROMPT, trusted=trusted)
