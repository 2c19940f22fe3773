"""Who calls, and what they may do.

Roles, each with what the one before may do: a `viewer` reads runs; an `approver` answers their questions and adds
guidance; an `operator` creates, resumes, forks, undoes and cancels them.

`Login` finds out who sends a request. The API takes a list of them, and the first that knows the caller counts: bearer
tokens here, a session's cookie for pages. One that goes by a cookie must check the request's origin itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from lg_orch.service.api.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

Role = Literal["viewer", "approver", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "approver", "operator")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who has logged in. `name` is what runs and their journals are told."""

    name: str
    role: Role


class Login(Protocol):
    """Finds out who sends a request."""

    async def caller(self, request: Request) -> Caller | None:
        """Return the caller; `None` where the request carries nothing that this kind of login reads, or it is wrong."""
        ...


def may(caller: Caller, needed: Role) -> bool:
    """Tell whether a caller's role is enough."""
    return ROLES.index(caller.role) >= ROLES.index(needed)


async def require_role(logins: Sequence[Login], request: Request, needed: Role) -> Caller:
    """Return who calls. Raises `ApiError`: 401 for a stranger, 403 for a role that is not enough."""
    for login in logins:
        caller = await login.caller(request)
        if caller is None:
            continue
        if not may(caller, needed):
            raise ApiError(
                403, "policy_denied", f"this needs the role {needed}, and {caller.name} is {caller.role}",
                hint=f"`lg-orch tokens create NAME --role {needed}` makes a token for it",
            )  # fmt: skip
        return caller
    raise ApiError(
        401, "login_required", "no valid token came with the request",
        hint="send Authorization: Bearer TOKEN; `lg-orch tokens create NAME` makes one",
        headers={"www-authenticate": 'Bearer realm="lg-orch"'},
    )  # fmt: skip
