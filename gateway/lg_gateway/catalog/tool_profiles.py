"""Named sets of tools: what a caller lists and calls, under which names. Pure.

A profile hides and names; it permits nothing. Rules, pins, approvals and records keep to the tools' own names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lg_gateway.catalog.catalog import CatalogEntry
from lg_policy.config.gateway import GatewaySettings, ToolProfileSettings
from lg_policy.rules.rule_set import Names


class ToolProfile:
    """One set. Contains the qualified names of its tools."""

    def __init__(self, settings: ToolProfileSettings) -> None:
        self._tools = Names(settings.tools)
        self._shown = settings.rename
        self._real = {shown: real for real, shown in settings.rename.items()}
        self._described = settings.describe

    def __contains__(self, tool: str) -> bool:
        return tool in self._tools

    def real_name(self, name: str) -> str | None:
        """Return the catalogue's name for a name that a caller uses; `None` for one that it was not given."""
        return self._real.get(name) or (None if name in self._shown else name)

    def shown(self, entries: Sequence[CatalogEntry]) -> list[CatalogEntry]:
        """Return the tools of the set as its callers see them, by name. A tool whose name another got is left out."""
        found = []
        for entry in entries:
            new = self._shown.get(entry.name)
            if entry.name in self and (new is not None or entry.listed.name not in self._real):
                found.append(self._renamed(entry, new))
        return sorted(found, key=lambda entry: entry.listed.name)

    def _renamed(self, entry: CatalogEntry, new: str | None) -> CatalogEntry:
        text = self._described.get(entry.name)
        changes: dict[str, Any] = {"name": new} if new is not None else {}
        changes |= {"description": text} if text is not None else {}
        if not changes:
            return entry
        return replace(entry, listed=entry.listed.model_copy(update=changes), profile_name=new or "")


class ToolProfiles:
    """The sets of the settings, and who has which."""

    def __init__(self, settings: GatewaySettings) -> None:
        made = {name: ToolProfile(profile) for name, profile in settings.profiles.items()}
        self._for_all = made.get(settings.profile)
        self._by_identity = [
            (Names(profile.identities), made[name]) for name, profile in settings.profiles.items() if profile.identities
        ]

    def of(self, identity: str) -> ToolProfile | None:
        """Return the set of a caller; `None` for all tools."""
        if self._for_all is not None:
            return self._for_all
        return next((profile for names, profile in self._by_identity if identity in names), None)
