"""Says what a client can answer, and what a server is told that it can. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import mcp_types as t
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lg_gateway.catalog import apps
from lg_gateway.processes.server_specs import ServerSpec

FORM, URL, SAMPLING, ROOTS = "form", "url", "sampling", "roots"
AskClient = Callable[[t.InputRequest], Awaitable[t.InputResponse]]
"""Puts one question to the client of a call that waits. Raises `MCPError` when the client cannot answer it."""


@dataclass(frozen=True, kw_only=True)
class ClientAbilities:
    """The kinds of questions that a client answers, whether by calling again (2026), and whether it shows pages."""

    kinds: frozenset[str] = frozenset()
    sampling_tools: bool = False
    rounds: bool = False
    pages: bool = False

    def towards(self, spec: ServerSpec) -> dict[str, Any]:
        """Return the capabilities that a server is told of, for a call of this client.

        What the server's settings do not allow, or this client cannot answer, is left out.
        """
        forms: dict[str, Any] = {kind: {} for kind in (FORM, URL) if kind in self.kinds}
        told: dict[str, Any] = {"elicitation": forms} if forms else {}
        if SAMPLING in self.kinds and spec.sampling:
            told["sampling"] = {"tools": {}} if self.sampling_tools else {}
        if ROOTS in self.kinds and spec.roots:
            told["roots"] = {}
        if self.pages:
            told["extensions"] = {apps.EXTENSION: apps.SETTINGS}
        return told


def abilities_of(declared: t.ClientCapabilities | None, version: str) -> ClientAbilities:
    """Return what a client declares. Empty elicitation capabilities mean forms."""
    kinds: set[str] = set()
    tools = False
    if declared is not None:
        elicitation, sampling = declared.elicitation, declared.sampling
        if elicitation is not None:
            kinds |= {FORM} if elicitation.form is not None or elicitation.url is None else set()
            kinds |= {URL} if elicitation.url is not None else set()
        if sampling is not None:
            kinds.add(SAMPLING)
            tools = sampling.tools is not None
        if declared.roots is not None:
            kinds.add(ROOTS)
    return ClientAbilities(
        kinds=frozenset(kinds),
        sampling_tools=tools,
        rounds=version in MODERN_PROTOCOL_VERSIONS and bool(kinds),
        pages=apps.shows_pages(declared),
    )


def kind_of(request: object) -> str:
    """Return the kind of a question; its method where there is none of that kind."""
    if isinstance(request, t.ElicitRequest):
        return FORM if isinstance(request.params, t.ElicitRequestFormParams) else URL
    if isinstance(request, t.CreateMessageRequest):
        return SAMPLING
    if isinstance(request, t.ListRootsRequest):
        return ROOTS
    return str(getattr(request, "method", "something"))[:100]


def as_error(error: MCPError) -> t.ErrorData:
    """Return a client's refusal as its server gets it."""
    return t.ErrorData(code=error.code, message=error.message[:500])
