"""Remembers which servers need the handshake of protocol 2025-11-25, from one start to the next.

A server that does not know protocol 2026-07-28 ends on its first message, or does not answer it. Others know it, but
their tools ask questions as 2025-11-25 does, and fail. Finding that out costs a start of the server, ten seconds, or a
call. So the state directory keeps it for a month; by then an update may have taught
the server the new protocol.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import mcp_types as t
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.replies import Answer, noted
from lg_gateway.upstreams.upstream_call import UpstreamCall
from lg_policy.errors import Conflict

log = logging.getLogger(__name__)

KEPT_S = 30 * 86400.0
ENTRIES = 500
FILE_NAME = "handshake-servers.json"
PROBE = "server/discover"
TEXT_CHARACTERS = 2_000
"""Of a failed answer that are looked through for the words of a server that could not ask."""
NOTE = (
    "the server asks questions as protocol 2025-11-25 does, and could not. The gateway speaks that protocol to it from"
    " now on. If the call has done nothing yet, repeat it"
)
_IN_VAIN = re.compile(
    r"\b(?:elicitation/create|sampling/createMessage|roots/list)\b.{0,200}\bno back-channel\b", re.DOTALL
)


class EraChanged(Conflict):
    """The server is spoken to in the other era now, and the call can be made again."""


class HandshakeMemory:
    """A file in the state directory that names those servers. If it cannot be read, it counts as empty."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = directory / FILE_NAME
        self._clock = clock

    def needs_handshake(self, spec: ServerSpec) -> bool:
        """Return whether this server needed the handshake before."""
        return _key(spec) in self._read()

    def remember(self, spec: ServerSpec, *, handshake: bool) -> None:
        """Note that a server needs the handshake, or no longer needs it."""
        known = self._read()
        if handshake is (_key(spec) in known):
            return
        known.pop(_key(spec), None)
        if handshake:
            known[_key(spec)] = self._clock()
        kept = dict(sorted(known.items(), key=lambda entry: -entry[1])[:ENTRIES])
        fresh = self._path.with_name(f"{FILE_NAME}.{os.getpid()}")
        try:
            fresh.write_text(json.dumps(kept))
            fresh.replace(self._path)
        except OSError as error:
            log.warning("cannot remember which servers need the 2025 handshake: %s", error)

    def _read(self) -> dict[str, float]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        oldest = self._clock() - KEPT_S
        entries = found.items() if isinstance(found, dict) else ()
        return {key: seen for key, seen in entries if isinstance(seen, int | float) and seen >= oldest}


class EraChoice:
    """Chooses how the next connection to a server begins.

    `mode` is "auto" (probe), "legacy" (handshake), or what is configured.
    """

    def __init__(self, spec: ServerSpec, remembered: HandshakeMemory) -> None:
        self._spec = spec
        self._remembered = remembered
        self._tried_handshake = False
        self.mode = spec.mode

    def recall(self) -> None:
        """Use what earlier runs found out."""
        if self.mode == "auto" and self._remembered.needs_handshake(self._spec):
            self.mode = "legacy"

    def connected(self, relay: Relay, protocol: str) -> None:
        """Remember what a successful connection revealed."""
        handshake = self._spec.mode == "auto" and protocol not in MODERN_PROTOCOL_VERSIONS
        if handshake and (self.mode == "legacy" or relay.unanswered(PROBE)):
            self._remembered.remember(self._spec, handshake=True)
        relay.timed_out(PROBE)

    async def made(
        self, call: UpstreamCall, make: Callable[[UpstreamCall], Awaitable[Answer]], renew: Callable[[], None]
    ) -> Answer:
        """Make a call. A server that can ask only in the handshake era is spoken to in that era from then on.

        Its call has failed then, perhaps half done. Raises `EraChanged` if it does no harm to make it again.
        """
        try:
            answer = await make(call)
        except MCPError as error:
            if not self._asked_in_vain(error.message):
                raise
            renew()
            if call.repeatable:
                raise EraChanged(NOTE) from error
            raise MCPError(error.code, f"{error.message} [the gateway: {NOTE}]", error.error.data) from error
        if not isinstance(answer, t.CallToolResult) or not answer.is_error or not self._asked_in_vain(_words(answer)):
            return answer
        renew()
        if call.repeatable:
            raise EraChanged(NOTE)
        return noted(answer, [NOTE])

    def _asked_in_vain(self, words: str) -> bool:
        """Whether a failure says that its server could not ask; then the handshake is chosen and remembered."""
        if self._spec.mode != "auto" or self.mode == "legacy" or _IN_VAIN.search(words[:TEXT_CHARACTERS]) is None:
            return False
        log.warning("%s asks questions only after the 2025 handshake; it gets that from now on", self._spec.name)
        self.mode = "legacy"
        self._remembered.remember(self._spec, handshake=True)
        return True

    def connection_failed(self, relay: Relay, *, by_itself: bool) -> bool:
        """Choose a mode after a connection failed; return whether to start the server again at once.

        `by_itself` means that the server's process started and then ended on its own. It was not just silent.
        """
        if self._spec.mode != "auto":
            return False
        if self.mode == "legacy":
            self.mode = "auto"  # the server may have been updated since it needed the handshake
            self._remembered.remember(self._spec, handshake=False)
            return False
        if not by_itself or not relay.unanswered(PROBE):
            return False
        log.warning("%s exited when sent %s; starting it again with the 2025 handshake", self._spec.name, PROBE)
        self.mode = "legacy"
        first, self._tried_handshake = not self._tried_handshake, True
        return first


def _words(answer: t.CallToolResult) -> str:
    return " ".join(block.text[:TEXT_CHARACTERS] for block in answer.content[:1] if isinstance(block, t.TextContent))


def _key(spec: ServerSpec) -> str:
    how = [spec.name, *(spec.launch.argv if spec.launch is not None else ()), spec.url or ""]
    return hashlib.sha256(json.dumps(how).encode("utf-8", "surrogatepass")).hexdigest()[:32]
