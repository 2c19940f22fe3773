"""Who has logged in to the console, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from lg_policy.errors import PolicyDenied


class Role(StrEnum):
    """What a person may do: look; answer questions that a user may answer; do everything."""

    VIEWER = "viewer"
    APPROVER = "approver"
    OPERATOR = "operator"


_RANK = {Role.VIEWER: 0, Role.APPROVER: 1, Role.OPERATOR: 2}


class LoggedInBy(StrEnum):
    """What somebody logged in with."""

    LINK = "link"
    TOKEN = "token"  # noqa: S105  a word
    RUN_TOKEN = "run token"  # noqa: S105  a word
    """A token of the run service. Programs hold such tokens too, so it answers for runs and nothing else."""
    PROVIDER = "provider"
    """An identity provider."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person, never an agent. `local`: logged in with a link that this machine's terminal showed."""

    name: str
    """As the ledger names them."""
    role: Role
    local: bool = False
    by: LoggedInBy = LoggedInBy.TOKEN
    provider: str = ""
    """Of a login with an identity provider, what the settings said about it then (`ProviderLogin.named`)."""

    @property
    def at_gateway(self) -> Person:
        """This person with the rights for what is a gateway's.

        A token of the run service only looks there. What only an operator may approve takes more than a link.
        """
        if self.by is LoggedInBy.RUN_TOKEN:
            return replace(self, role=Role.VIEWER, local=False)
        if self.by is LoggedInBy.LINK and self.has(Role.APPROVER):
            return replace(self, role=Role.APPROVER)
        return self

    def has(self, role: Role) -> bool:
        """Whether this person may do what the role may."""
        return _RANK[self.role] >= _RANK[role]

    def need(self, role: Role) -> None:
        """Raise `PolicyDenied` unless this person may do what the role may."""
        if not self.has(role):
            raise PolicyDenied(
                f"{self.name} is {self.role}; this needs the role {role}", hint="log in as somebody who has it"
            )

    @property
    def manages(self) -> bool:
        """Whether the settings are this person's to change: at their own machine, or as an operator."""
        return self.has(Role.OPERATOR) or (self.local and self.has(Role.APPROVER))

    def need_to_manage(self) -> None:
        """Raise `PolicyDenied` unless this person may change settings."""
        if not self.manages:
            raise PolicyDenied(
                f"{self.name} may not change settings here", hint="an operator may, and who logged in on this machine"
            )


class People(Protocol):
    """Who may log in, and where that is recorded."""

    async def operator(self, token: str) -> Person | None:
        """Return whom an operator's token names. Every other token, above all an agent's, is nobody's."""
        ...

    async def stands(self, person: Person) -> bool:
        """Whether somebody who logged in with a token still has one that gives this role: it may have been revoked."""
        ...

    async def note(self, what: str, person: str, detail: str = "") -> None:
        """Record a login, or a login that failed."""
        ...


class SessionStore(Protocol):
    """Where sessions and one-time links are kept: rows that nobody can make or change without the program's key."""

    async def read(self, key: str) -> str | None:
        """Return a row."""
        ...

    async def write(self, key: str, body: str, expires: float) -> None:
        """Write a row, which may be removed after `expires`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a row."""
        ...

    async def take(self, key: str) -> str | None:
        """Return a row and remove it: of two that take it at once, one gets it."""
        ...
