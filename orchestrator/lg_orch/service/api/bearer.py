"""Login by bearer token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from lg_orch.service.api.access import ROLES, Caller

if TYPE_CHECKING:
    from starlette.requests import Request

    from lg_orch.service.records.token_table import TokenRows


class BearerLogin:
    """Reads `Authorization: Bearer TOKEN`."""

    def __init__(self, tokens: TokenRows) -> None:
        self._tokens = tokens

    async def caller(self, request: Request) -> Caller | None:
        """Return whose token came with the request."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = await anyio.to_thread.run_sync(self._tokens.check, text.strip())
        if token is None or token.role not in ROLES:
            return None
        return Caller(name=token.name, role=token.role)
