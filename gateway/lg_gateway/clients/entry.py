"""What a client's file says of one server, in the gateway's own terms, and what it says that is only shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError


class UnusableEntry(ConfigError):
    """An entry whose meaning is not certain, or that the gateway cannot do. It costs that entry."""


@dataclass(frozen=True, kw_only=True)
class ProposedRule:
    """Tools that a client lets run without asking. It is shown and never applied."""

    tools: tuple[str, ...]
    """Names of the server's own; `*` is all."""
    key: str
    """The key of the client's file that said so."""

    @property
    def dangerous(self) -> bool:
        """Whether it covers every tool, also those that the server adds later."""
        return "*" in self.tools


@dataclass(frozen=True, kw_only=True)
class ClientEntry:
    """One server of a client's file. Placeholders are in the gateway's syntax and not filled in."""

    name: str
    """Its name here."""
    written: str
    """Its name in the file."""
    settings: UpstreamSettings
    notes: tuple[str, ...] = ()
    proposed: tuple[ProposedRule, ...] = ()


@dataclass(kw_only=True)
class ClientFile:
    """The servers of a file, and why other entries cannot be used, by their names in the file."""

    path: Path
    client: str
    table: str = ""
    """The keys above its servers."""
    entries: dict[str, ClientEntry] = field(default_factory=dict)
    unusable: dict[str, ConfigError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What a person is asked for: the name of each secret, and the file's description of it."""

    def problem(self, name: str) -> ConfigError:
        """Return why an entry cannot be used, with the place where it stands."""
        error = self.unusable[name]
        place = ".".join(part for part in (self.table, name[:80]) if part)
        return ConfigError(f"{self.path}: {place}: {error.message}", hint=error.hint)

    @property
    def servers(self) -> dict[str, UpstreamSettings]:
        """The settings of each server, by its name here."""
        return {name: entry.settings for name, entry in self.entries.items()}
