"""What of a server's offer a pin covers, under which name, and how an offer is taken apart and put together. Pure.

A tool's pin has the tool's own name; the others say what they are: `prompt greet`, `resource test://a`, `instructions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import mcp_types as t

    from lg_gateway.catalog.offer import Offer

PARTS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""Of a tool."""
OTHER_PARTS = ("uri", "uriTemplate", "name", "title", "description", "mimeType", "arguments", "annotations")
"""Of a resource, a template or a prompt. Sizes and times change with the content."""
PAGE = "lg/app-page"
"""In a tool's `_meta`, inside the gateway only: the digest of the page of its app."""
_APP = {"ui": "ui", "ui/resourceUri": "resourceUri", PAGE: "page"}
"""What of a tool's `_meta` belongs to its app, and what a pin calls it."""
_TIME = "lastModified"
_RESOURCE = "resource "


@dataclass(frozen=True)
class Instructions:
    """What a server says of itself to models."""

    text: str


Definition: TypeAlias = "t.Tool | t.Resource | t.ResourceTemplate | t.Prompt | Instructions"


def pin_name(item: Definition) -> str:
    """Return the name of a definition's pin."""
    import mcp_types as t

    if isinstance(item, t.Tool):
        return item.name
    if isinstance(item, t.Resource):
        return f"{_RESOURCE}{item.uri}"
    if isinstance(item, t.ResourceTemplate):
        return f"template {item.uri_template}"
    return f"prompt {item.name}" if isinstance(item, t.Prompt) else "instructions"


def definition_of(item: Definition) -> dict[str, Any]:
    """Return the part of a definition that a pin covers."""
    if isinstance(item, Instructions):
        return {"instructions": item.text}
    import mcp_types as t

    whole = item.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(item, t.Tool):
        found = {name: whole[name] for name in PARTS if name in whole}
        meta = item.meta or {}
        app = {key: meta[name] for name, key in _APP.items() if name in meta}
        return found | ({"app": app} if app else {})
    found = {name: whole[name] for name in OTHER_PARTS if name in whole}
    if "annotations" in found:
        found["annotations"] = {key: value for key, value in found["annotations"].items() if key != _TIME}
    ui = (item.meta or {}).get("ui")
    return found | ({"ui": ui} if ui is not None else {})


def definitions(offer: Offer) -> list[Definition]:
    """Return all definitions of an offer, tools first."""
    said = [Instructions(offer.instructions)] if offer.instructions else []
    return [*offer.tools, *said, *offer.prompts, *offer.templates, *offer.resources]


def only(offer: Offer, accepted: Sequence[Definition]) -> Offer:
    """Return an offer with the accepted definitions alone."""
    import mcp_types as t

    said = next((item.text for item in accepted if isinstance(item, Instructions)), "")
    return replace(
        offer,
        tools=[item for item in accepted if isinstance(item, t.Tool)],
        prompts=[item for item in accepted if isinstance(item, t.Prompt)],
        templates=[item for item in accepted if isinstance(item, t.ResourceTemplate)],
        resources=[item for item in accepted if isinstance(item, t.Resource)],
        instructions=said,
    )


def page_of_tool(tool: t.Tool) -> str | None:
    """Return the URI of the page of a tool's app; `None` for a tool without one."""
    meta = tool.meta or {}
    ui = meta.get("ui")
    uri = ui.get("resourceUri") if isinstance(ui, dict) else None
    uri = uri if uri is not None else meta.get("ui/resourceUri")
    return uri if isinstance(uri, str) and uri.startswith("ui://") else None


def held_pages(names: Iterable[str], tools: Iterable[t.Tool]) -> list[str]:
    """Return the pages of tools that wait: while they do, their apps are not shown either."""
    waiting = frozenset(names)
    return [uri for tool in tools if tool.name in waiting and (uri := page_of_tool(tool)) is not None]


def held_uris(names: Iterable[str]) -> list[str]:
    """Return the URIs of resources among the names of pins: while they wait, they are not read either."""
    return [name.removeprefix(_RESOURCE) for name in names if name.startswith(_RESOURCE)]
