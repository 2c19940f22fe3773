"""The servers behind a gateway, their tools, the definitions that are trusted, and the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lg_console.sources.people import Person


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """One server. Latencies are milliseconds over its last calls; `None` where there were none."""

    name: str
    builtin: bool
    trusted: bool
    state: str
    era: str
    version: str
    tools: int
    restarts: int
    p50: float | None
    p95: float | None
    calls: int
    error: str
    what_to_do: str = ""
    log: str = ""
    """The last lines that it printed, where they were asked for."""


@dataclass(frozen=True, kw_only=True)
class ToolState:
    """One tool, and what policy says about a call of it without arguments by whoever was asked about."""

    name: str
    server: str
    kind: str
    description: str
    effect: str
    rule: str
    place: str
    visible: bool
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class PinState:
    """A definition that waits to be accepted, with what changed, or one that is accepted."""

    server: str
    tool: str
    state: str
    """accepted, changed or new."""
    digest: str
    basis: str
    diff: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """A rule in force, and how often it has decided."""

    number: int
    name: str
    effect: str
    tools: str
    identities: str
    place: str
    reason: str
    hits: int
    last: str


class ServersSource(Protocol):
    """Servers, tools, pins and rules."""

    async def servers(self) -> list[ServerState]:
        """Return every server."""
        ...

    async def server(self, name: str) -> ServerState | None:
        """Return one server with the end of its log."""
        ...

    async def retry(self, person: Person, name: str) -> None:
        """Start a server now that waits to be started again. Raises `NotFound`."""
        ...

    async def identities(self) -> list[str]:
        """Return who has called, for whom decisions can be looked at."""
        ...

    async def tools(self, identity: str) -> list[ToolState]:
        """Return every tool with the decision about it."""
        ...

    async def pins(self) -> list[PinState]:
        """Return definitions; those that wait come first, with what changed."""
        ...

    async def accept(self, person: Person, server: str, tool: str, digest: str) -> None:
        """Accept the waiting definition that has this digest. Raises `Conflict` if another one waits now."""
        ...

    async def rules(self) -> list[RuleState]:
        """Return the rules in force."""
        ...

    async def explain(self, tool: str, arguments: Mapping[str, Any], identity: str) -> Mapping[str, Any]:
        """Return the decision about one call and why. Raises `UnknownName`."""
        ...

    async def mark(self) -> str:
        """Return a text that is another one as soon as the state of a server has changed."""
        ...
