"""The ledger: which calls were made, who decided, and whether the chain is intact."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

PAGE = 50


@dataclass(frozen=True, kw_only=True)
class CallsWanted:
    """Which calls to list. "" is any; `*` in `tool` and `who` stands for anything. `before` is a record's number."""

    tool: str = ""
    who: str = ""
    outcome: str = ""
    run: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None

    def query(self) -> dict[str, str]:
        """Return what of it stands in an address."""
        named = {"tool": self.tool, "who": self.who, "outcome": self.outcome, "run": self.run}
        named |= {"since": self.since, "until": self.until}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, kw_only=True)
class LedgerCall:
    """One call, or a note that no call made. `seq` is the number of its newest record that was found."""

    seq: int
    id: str
    time: str
    who: str
    tool: str
    about: str
    decision: str
    outcome: str
    note: bool


@dataclass(frozen=True, kw_only=True)
class CallPage:
    """Calls, newest first, and where to go on."""

    calls: tuple[LedgerCall, ...]
    older: int | None


@dataclass(frozen=True, kw_only=True)
class WholeCall:
    """All that is known of one call or question."""

    id: str
    text: str
    records: tuple[Mapping[str, object], ...]
    question: str = ""
    """The text that a person was shown, if it is kept and its digest is the ledger's."""


@dataclass(frozen=True, kw_only=True)
class ChainState:
    """What is known of the chain. `problems` is empty if it is intact."""

    records: int
    verified: int
    """The last record that was checked."""
    signed: int
    signed_at: float | None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())


class AuditSource(Protocol):
    """Reads the ledger."""

    async def calls(self, wanted: CallsWanted) -> CallPage:
        """Return one page. Raises `UsageError` for a filter that cannot be read."""
        ...

    async def call(self, named: str) -> WholeCall | None:
        """Return one call by its id or the number of a record, or what is recorded about a question."""
        ...

    async def chain(self) -> ChainState:
        """Check what is new of the chain and say how it stands."""
        ...

    def export(self, wanted: CallsWanted) -> AsyncIterator[str]:
        """Return the lines of an export: the whole chain where nothing is filtered."""
        ...
