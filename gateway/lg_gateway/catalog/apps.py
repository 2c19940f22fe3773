"""The extension `io.modelcontextprotocol/ui`: pages of tools that a client shows to its user.

A connection to a server serves many clients, and any of them can show pages. So the connection itself declares the
extension, and tools that only pages call are left out of the lists of clients that show none. A 2026 server also
hears with each call whether that call's client shows pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mcp_types as t

EXTENSION = "io.modelcontextprotocol/ui"
PAGE_TYPE = "text/html;profile=mcp-app"
SETTINGS: dict[str, Any] = {"mimeTypes": [PAGE_TYPE]}
"""What a client that shows pages declares under the extension's name."""


def shows_pages(declared: t.ClientCapabilities | None) -> bool:
    """Whether a client says that it shows pages, of the one type there is."""
    extensions = declared.extensions if declared is not None else None
    settings = (extensions or {}).get(EXTENSION)
    types = settings.get("mimeTypes") if isinstance(settings, dict) else None
    return isinstance(types, list) and PAGE_TYPE in types


def only_for_pages(tool: t.Tool) -> bool:
    """Whether only pages call a tool, and no model: its server says `visibility: ["app"]`."""
    ui = (tool.meta or {}).get("ui")
    return isinstance(ui, dict) and ui.get("visibility") == ["app"]
