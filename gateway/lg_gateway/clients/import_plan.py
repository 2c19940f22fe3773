"""What importing a client's file comes to: servers with their settings, what is left out and why, proposed rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path

from lg_gateway.clients.entry import ClientEntry, ClientFile, ProposedRule
from lg_gateway.clients.plain_secrets import PlainSecret, without_plain_secrets
from lg_gateway.clients.settings_file import SettingsEdit, servers_in, table_of, with_servers
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
    plain: Mapping[str, tuple[PlainSecret, ...]]
    """What stands in plain text in the entries that would be added, by server."""
    kept: tuple[PlainSecret, ...]
    """What goes into the secret store when the plan is carried out."""

    def write(self, values: Values) -> str:
        """Carry it out. Returns where secrets went, "" if there were none. Raises `ConfigError`."""
        places = dict.fromkeys(values.secrets.put(secret.name, secret.value, values.environ) for secret in self.kept)
        self.edit.write()
        return " and ".join(places)

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
    keep_secrets: bool = False,
    confine: Callable[[UpstreamSettings], UpstreamSettings] = lambda settings: settings,
    check: Callable[[str, UpstreamSettings], None] = lambda _name, _settings: None,
) -> ImportPlan:
    """Return what importing a file would do. Raises `ConfigError` where the settings file cannot be changed.

    `confine` may give a server a sandbox. `check` raises `ConfigError` for one that settings cannot have.
    `keep_secrets`: what stands in plain text goes into the secret store.
    """
    left_out = dict(found.unusable)
    entries: dict[str, ClientEntry] = {}
    for name, entry in found.entries.items():
        unset = sorted({variable for text in texts_of(entry.settings) for variable in values.unset(text)})
        if unset and entry.settings.enabled:
            left_out[entry.written] = MissingValue(
                f"needs the environment variable {', '.join(unset)}, which is not set", hint="set it, and import again"
            )
            continue
        settings = confine(entry.settings)
        try:
            check(name, settings)
        except ConfigError as error:
            left_out[entry.written] = error
        else:
            entries[name] = replaced(entry, settings=settings)
    plain = _plain_secrets(entries, settings_path, values, keep=keep_secrets)
    servers = {name: entry.settings for name, entry in entries.items()}
    edit = with_servers(settings_path, servers, replace=replace)
    plain = {name: secrets for name, secrets in plain.items() if name in edit.added or name in edit.unchanged}
    kept = tuple(secret for secrets in plain.values() for secret in secrets) if keep_secrets else ()
    needed = {secret for entry in entries.values() for secret in secrets_of(entry.settings)}
    needed -= {secret.name for secret in kept}
    known = set(values.secrets.names(values.environ)) if needed else set()
    return ImportPlan(
        found=found,
        entries=entries,
        left_out=left_out,
        edit=edit,
        asked=tuple(sorted(needed - known)),
        plain=plain,
        kept=kept,
    )


def _plain_secrets(
    entries: dict[str, ClientEntry], settings_path: Path, values: Values, *, keep: bool
) -> dict[str, tuple[PlainSecret, ...]]:
    """Return what stands in plain text in entries, by server. With `keep` it is taken out of them, in place.

    A server that the settings have already is left as it is there, in plain text or not.
    """
    known = servers_in(settings_path)
    plain: dict[str, tuple[PlainSecret, ...]] = {}
    for name, entry in entries.items():
        settings, secrets = without_plain_secrets(name, entry.settings, settings_path)
        if not secrets or known.get(name) == table_of(entry.settings):
            continue
        there = known.get(name) == table_of(settings)
        if there and all(values.secrets.get(secret.name, values.environ) == secret.value for secret in secrets):
            entries[name] = replaced(entry, settings=settings)
            continue
        plain[name] = secrets
        if keep:
            entries[name] = replaced(entry, settings=settings)
    return plain


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
