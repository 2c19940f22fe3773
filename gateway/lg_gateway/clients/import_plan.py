"""What importing a client's file comes to: servers with their settings, what is left out and why, proposed rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path

from lg_gateway.clients.entry import ClientEntry, ClientFile, ProposedRule
from lg_gateway.clients.settings_file import SettingsEdit, with_servers
from lg_gateway.clients.values import PLACEHOLDER, MissingValue, Values
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """Nothing is written yet."""

    found: ClientFile
    entries: Mapping[str, ClientEntry]
    """The servers that can be imported, by their names here."""
    left_out: Mapping[str, ConfigError]
    """Why others cannot, by their names in the file."""
    edit: SettingsEdit
    asked: tuple[str, ...]
    """Secrets that the servers need and that nobody gave yet."""

    def rules(self) -> Iterator[tuple[str, ProposedRule]]:
        """Yield what the client lets run without asking, with the name of its server."""
        for name, entry in self.entries.items():
            for rule in entry.proposed:
                yield name, rule


def import_plan(
    found: ClientFile,
    settings_path: Path,
    values: Values,
    *,
    replace: bool = False,
    confine: Callable[[UpstreamSettings], UpstreamSettings] = lambda settings: settings,
) -> ImportPlan:
    """Return what importing a file would do. Raises `ConfigError` where the settings file cannot be changed.

    `confine` may give a server a sandbox.
    """
    left_out = dict(found.unusable)
    entries: dict[str, ClientEntry] = {}
    for name, entry in found.entries.items():
        unset = sorted({variable for text in texts_of(entry.settings) for variable in values.unset(text)})
        if unset and entry.settings.enabled:
            left_out[entry.written] = MissingValue(
                f"needs the environment variable {', '.join(unset)}, which is not set", hint="set it, and import again"
            )
        else:
            entries[name] = replaced(entry, settings=confine(entry.settings))
    servers = {name: entry.settings for name, entry in entries.items()}
    needed = {secret for entry in entries.values() for secret in secrets_of(entry.settings)}
    known = set(values.secrets.names(values.environ)) if needed else set()
    return ImportPlan(
        found=found,
        entries=entries,
        left_out=left_out,
        edit=with_servers(settings_path, servers, replace=replace),
        asked=tuple(sorted(needed - known)),
    )


def texts_of(settings: UpstreamSettings) -> Iterator[str]:
    """Yield every text of a server's settings that may hold a placeholder."""
    yield from (text for text in (settings.command, settings.cwd, settings.url, settings.env_file) if text)
    yield from (*settings.args, *settings.env.values(), *settings.headers.values())


def files_of(settings: UpstreamSettings) -> Iterator[str]:
    """Yield the files that are read when a server starts, and whose content it gets."""
    if settings.env_file is not None:
        yield settings.env_file
    for text in texts_of(settings):
        yield from (found["what"] for found in PLACEHOLDER.finditer(text) if found["kind"] == "file")


def secrets_of(settings: UpstreamSettings) -> Iterator[str]:
    """Yield the names of the secrets that a server needs."""
    for text in texts_of(settings):
        yield from (found["what"] for found in PLACEHOLDER.finditer(text) if found["kind"] == "secret")
