"""One console: what it shows, who may log in, and what all of its routes share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_console.live.marks import Marks
from lg_console.live.stream import Streams
from lg_console.login.guard import Guard, NotLoggedIn, Visitor
from lg_console.login.sessions import SessionTable
from lg_console.sources.ledger import AuditSource
from lg_console.sources.people import People, SessionStore
from lg_console.sources.questions import ApprovalsSource
from lg_console.sources.runs import RunsSource
from lg_console.sources.servers import ServersSource

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lg_console.login.oidc import ProviderLogin

Handler = Callable[["Request", Visitor], Awaitable["Response"]]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a program has to show. `None` is a section that it does not have."""

    approvals: ApprovalsSource | None = None
    audit: AuditSource | None = None
    servers: ServersSource | None = None
    runs: RunsSource | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the console in its navigation."""

    path: str
    title: str
    key: str
    """Pressed after `g`, it leads there."""


class Console:
    """A console over some sources. `name` says in the header whose it is."""

    def __init__(
        self,
        sources: Sources,
        *,
        people: People,
        store: SessionStore,
        name: str,
        provider: Callable[[], ProviderLogin | None] = lambda: None,
    ) -> None:
        """`provider` returns the identity provider as the settings name it now: they may change while this runs."""
        self.sources = sources
        self.people = people
        self.name = name
        self.sessions = SessionTable(store)
        self.store = store
        self._provider = provider
        self.guard = Guard(self.sessions, people, provider=self._provider_named)
        self.streams = Streams(Marks(_topics(sources)), self.guard)

    @property
    def provider(self) -> ProviderLogin | None:
        """The identity provider that people log in with."""
        return self._provider()

    def _provider_named(self) -> str:
        provider = self.provider
        return provider.named if provider is not None else ""

    def sections(self) -> list[Section]:
        """Return the sections that there are."""
        found = []
        if self.sources.runs is not None:
            found.append(Section(path="/runs", title="Runs", key="r"))
        if self.sources.approvals is not None:
            found.append(Section(path="/approvals", title="Approvals", key="a"))
        if self.sources.audit is not None:
            found.append(Section(path="/audit", title="Audit", key="u"))
        if self.sources.servers is not None:
            found += [
                Section(path="/servers", title="Servers", key="s"),
                Section(path="/tools", title="Tools", key="t"),
                Section(path="/pins", title="Pins", key="p"),
                Section(path="/policy", title="Policy", key="y"),
            ]
        return found

    async def link(self, address: str) -> str:
        """Return a link that logs in whoever opens it first, within a minute, as the person at this machine."""
        return f"{address}/login#link={await self.sessions.link()}"


def _topics(sources: Sources) -> Mapping[str, Callable[[str], Awaitable[str]]]:
    found: dict[str, Callable[[str], Awaitable[str]]] = {}
    if sources.approvals is not None:
        approvals = sources.approvals
        found["approvals"] = lambda _rest: approvals.mark()
    if sources.runs is not None:
        runs = sources.runs
        found["runs"] = lambda _rest: runs.mark()
        found["run"] = runs.run_mark
    if sources.servers is not None:
        servers = sources.servers
        found["servers"] = lambda _rest: servers.mark()
    return found


__all__ = ["Console", "Handler", "NotLoggedIn", "Section", "Sources"]
