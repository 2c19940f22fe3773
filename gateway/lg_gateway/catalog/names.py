"""Makes the names that clients see, and the metadata beside them. Pure.

A public name depends only on its server's name and its own, so that adding a server never renames anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Mapping
from typing import Any

from lg_gateway.processes.server_specs import ServerSpec
from lg_policy.wire.call_metadata import SERVER, TOOL

NAME_LENGTH = 40
"""Of a tool, unless `gateway.name_max` says otherwise: clients put their own prefix before it."""
SEPARATOR = "__"
RESERVED = ("mcp_discover", "mcp_execute", "mcp_result")
"""The gateway's own tools."""
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_BARE = re.compile(r"[A-Za-z0-9_./-]{1,128}")
_HASH = 8
# Keys that describe the upstream's own connection, or that only the gateway may say.
_OWN_META = ("io.modelcontextprotocol/", SERVER, TOOL)
_BUILTIN_META = "lg/"
Public = Callable[[str, str], str]
"""Returns the address of a server's URI."""


def public_name(server: str, tool: str, longest: int = NAME_LENGTH) -> str:
    """Return `server__tool` in at most `longest` characters of `[A-Za-z0-9_-]`.

    A name that had to be shortened or rewritten ends in a hash of the whole original, so that two tools never meet.
    `server__` always stands before it, whatever the limit: rules name a server's tools by that.
    """
    longest = max(longest, len(server) + len(SEPARATOR) + 1 + _HASH + 1)
    plain = _ODD.sub("_", tool)
    name = f"{server}{SEPARATOR}{plain}"
    if plain == tool and len(name) <= longest:
        return name
    mark = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{name[: longest - _HASH - 1]}_{mark}"


def seen_name(spec: ServerSpec, own: str, qualified: str, servers: Container[str]) -> str:
    """Return the name that clients see: the qualified one, or with `naming = "none"` the server's own.

    A name of its own that reads as another server's, or as one of the gateway's tools, stays qualified.
    """
    if not spec.bare or _BARE.fullmatch(own) is None or own in RESERVED:
        return qualified
    server, separator, _ = own.partition(SEPARATOR)
    return qualified if separator and server in servers else own


def cleaned_meta(spec: ServerSpec, meta: Mapping[str, Any] | None, public: Public) -> dict[str, Any] | None:
    """Return the metadata of a definition as clients see it; only our own servers may say `lg/…`."""
    kept = {
        key: value
        for key, value in (meta or {}).items()
        if not key.startswith(_OWN_META) and (spec.builtin or not key.strip().casefold().startswith(_BUILTIN_META))
    }
    return with_addresses(kept, lambda uri: public(spec.name, uri)) or None


def with_addresses(meta: dict[str, Any], public: Callable[[str], str]) -> dict[str, Any]:
    """Return metadata in which the address of an app's page is the one that clients use."""
    ui, old = meta.get("ui"), meta.get("ui/resourceUri")
    if isinstance(ui, Mapping) and isinstance(ui.get("resourceUri"), str):
        meta = meta | {"ui": {**ui, "resourceUri": public(ui["resourceUri"])}}
    if isinstance(old, str):
        meta = meta | {"ui/resourceUri": public(old)}
    return meta
