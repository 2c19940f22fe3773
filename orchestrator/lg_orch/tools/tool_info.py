"""Describes a tool as the gateway lists it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lg_policy.wire.call_metadata import EFFECT

if TYPE_CHECKING:
    from collections.abc import Mapping


EXECUTE = "mcp_execute"
"""The gateway's tool that calls another one."""


@dataclass(frozen=True, kw_only=True)
class ToolInfo:
    """A tool as the gateway lists it. All but `name` is the server's claim, trusted only from our own servers."""

    name: str
    description: str
    server: str
    original: str
    read_only: bool
    root_id: str | None
    policy: str | None
    sandbox: Mapping[str, Any] | None
    effect: str = ""
    """What the gateway says of its calls: `allow`, `approve`, `depends`; empty where it says nothing."""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of its arguments; empty when the gateway gave none."""

    @property
    def builtin(self) -> bool:
        """Whether it is one of our own servers' tools, which report the root they work on."""
        return self.root_id is not None


def tool_info(name: str, description: str, metadata: Mapping[str, Any] | None, input_schema: object = None) -> ToolInfo:
    """Read what `langchain.mcp` keeps of a tool's definition."""
    tool = ((metadata or {}).get("mcp") or {}).get("tool") or {}
    meta, annotations = tool.get("_meta") or {}, tool.get("annotations") or {}
    server, _, original = name.partition("__")
    root, sandbox = meta.get("lg/root"), meta.get("lg/sandbox")
    return ToolInfo(
        name=name,
        description=description,
        server=str(meta.get("lg/server", server)),
        original=str(meta.get("lg/tool", original)),
        read_only=annotations.get("read_only_hint") is True,
        root_id=str(root["id"]) if isinstance(root, dict) and "id" in root else None,
        policy=str(meta["lg/policy"]) if "lg/policy" in meta else None,
        sandbox=sandbox if isinstance(sandbox, dict) else None,
        effect=str(meta.get(EFFECT) or ""),
        input_schema=input_schema if isinstance(input_schema, dict) else {},
    )


def unwrapped(name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the tool that is really called, and its arguments: rules of the run are about that one."""
    inner = arguments.get("arguments")
    while name == EXECUTE and isinstance(arguments.get("tool"), str) and isinstance(inner, dict):
        name, arguments = arguments["tool"], inner
        inner = arguments.get("arguments")
    return name, arguments
