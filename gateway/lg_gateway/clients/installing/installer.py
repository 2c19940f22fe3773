"""Works out what an installation does to a client's file, and takes one back. Read this first.

The file is always worked out from what it was before we touched it: installing again with other options is installing
once. Where nobody changed the file since, taking back gives the earlier file, byte for byte. Where somebody did, only
our entries are taken out, and what was moved is put in again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lg_gateway.clients.entry import ClientEntry
from lg_gateway.clients.import_plan import ImportPlan, import_plan, secrets_of
from lg_gateway.clients.installing.client_file import ClientText, is_ours, read_file, write_file
from lg_gateway.clients.installing.entries import NAMES, InstallRow, Launch
from lg_gateway.clients.installing.records import InstallRecord, Records, digest
from lg_gateway.clients.reading import servers_of
from lg_gateway.clients.secret_store import SecretStore
from lg_gateway.clients.settings_file import read_settings_text, reserved_names, without_servers
from lg_gateway.clients.values import Values
from lg_policy.builtin_servers import BUILTINS
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class InstallTarget:
    """One file of one client."""

    client: str
    row: InstallRow
    path: Path


@dataclass(frozen=True, kw_only=True)
class InstallPlan:
    """What is about to be done. Nothing is written yet."""

    target: InstallTarget
    current: bytes | None
    after: bytes
    base: bytes | None
    """The file without us."""
    record: InstallRecord
    moved: ImportPlan | None
    """What is moved behind the gateway."""

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        return self.after != self.current or bool(self.moved and self.moved.edit.added)


class Installer:
    """Installs for one user. `settings_path` is where servers are moved to, unless `check` refuses them."""

    def __init__(
        self,
        environ: Mapping[str, str],
        settings_path: Path,
        check: Callable[[str, UpstreamSettings], None] = lambda _name, _settings: None,
    ) -> None:
        self._check = check
        self._environ = environ
        self._settings = settings_path
        self.records = Records(environ)

    def plan(
        self, target: InstallTarget, launches: Sequence[Launch], *, move: bool, keep_secrets: bool = False
    ) -> InstallPlan:
        """Return what installing does to a file. Raises `ConfigError` where it cannot be done safely.

        `keep_secrets`: what stands in plain text in what is moved goes into the secret store.
        """
        current = read_file(target.path, target.row)
        kept = self.records.find(target.client, target.path)
        base = self._undone(target, current, kept)
        text = ClientText(target.path, target.row, base)
        raw = text.entries()
        move = raw != {} and (move or (kept is not None and kept[0].moved != {}))
        moved = self._moved(target, text, keep_secrets=keep_secrets) if move else None
        taken = {} if moved is None else {entry.written: raw[entry.written] for entry in _movable(moved)}
        text.drop_all(taken)
        entries = {launch.name: target.row.entry(launch) for launch in launches}
        for name, entry in entries.items():
            if name in raw and not is_ours(raw[name]):
                raise ConfigError(f"{target.path} has a server {name!r} that is not ours", hint="rename or remove it")
            text.put(name, entry)
        record = InstallRecord(
            client=target.client,
            path=str(target.path),
            existed=base is not None,
            after=digest(text.data()),
            entries=entries,
            moved=taken,
            **(self._settings_part(target, kept[0] if kept is not None else None, moved) if moved is not None else {}),
        )
        return InstallPlan(target=target, current=current, after=text.data(), base=base, record=record, moved=moved)

    def _settings_part(self, target: InstallTarget, before: InstallRecord | None, moved: ImportPlan) -> dict[str, Any]:
        """Return what is remembered of the settings: what has to be taken out of them with the last client."""
        uses = tuple(entry.name for entry in _movable(moved))
        path = str(self._settings)
        others = [other for other in self.records.all() if other.path != str(target.path)]
        others = [other for other in others if other.moved and other.settings_path == path]
        earlier = [*others, *([before] if before is not None and before.moved else [])]
        added = {name: values for other in others for name, values in other.added.items()}
        added = {name: values for name, values in added.items() if name in BUILTINS or name in uses}
        return {
            "settings_path": path,
            "settings_existed": all(other.settings_existed for other in earlier)
            if earlier
            else self._settings.exists(),
            "added": {**added, **(before.added if before is not None else {}), **moved.edit.added},
            "uses": uses,
            "secrets": _secrets(before, moved),
        }

    def install(self, plan: InstallPlan) -> str:
        """Do it: first what is needed to take it back, then the settings, then the client's file.

        Returns where secrets are kept, "" if there were none.
        """
        self.records.keep(plan.record, plan.base)
        kept = plan.moved.write(Values(environ=self._environ)) if plan.moved is not None else ""
        write_file(plan.target.path, plan.target.row, plan.current, plan.after)
        return kept

    def remove(self, target: InstallTarget) -> bool:
        """Take everything back. Returns whether there was anything."""
        current = read_file(target.path, target.row)
        kept = self.records.find(target.client, target.path)
        base = self._undone(target, current, kept)
        if base != current:
            write_file(target.path, target.row, current, base)
        if kept is None:
            return base != current
        if kept[0].added:
            self._clear_settings(kept[0])
        self.records.forget(target.client, target.path)
        return True

    def _undone(
        self, target: InstallTarget, current: bytes | None, kept: tuple[InstallRecord, bytes | None] | None
    ) -> bytes | None:
        """Return the file without us."""
        if kept is None:
            return _without(target, current, NAMES.values())
        record, before = kept
        if current is None:
            return before if record.moved else None
        if digest(current) == record.after:
            return before
        data = _without(target, current, record.entries)
        text = ClientText(target.path, target.row, data)
        for name, entry in record.moved.items():
            if name not in text.entries():
                text.put(name, entry)
        return text.data()

    def _moved(self, target: InstallTarget, text: ClientText, *, keep_secrets: bool) -> ImportPlan:
        found = servers_of(text.document(), client=target.client, reserved=reserved_names(self._settings))
        values = Values(environ=self._environ, root=Path(os.getcwd()))
        return import_plan(found, self._settings, values, keep_secrets=keep_secrets, check=self._check)

    def _clear_settings(self, record: InstallRecord) -> None:
        """Take the servers out of the settings that were moved there, unless another client's were the same."""
        others = {name for other in self.records.all() if other.path != record.path for name in other.uses}
        path = Path(record.settings_path)
        ours = {name: values for name, values in record.added.items() if name not in BUILTINS and name not in others}
        edit = without_servers(path, ours)
        edit.write()
        added: dict[str, Mapping[str, Any]] = {
            name: values for name, values in record.added.items() if name in BUILTINS
        }
        if set(edit.left) <= set(added):
            without_servers(path, added).write()
        self._forget_secrets(record, path)
        if not record.settings_existed and path.exists() and not path.read_bytes().strip():
            path.unlink()

    def _forget_secrets(self, record: InstallRecord, path: Path) -> None:
        """Forget what was kept for the servers that were taken out, unless something names it still."""
        text = read_settings_text(path)[1]
        others = {name for other in self.records.all() if other.path != record.path for name in other.secrets}
        for name in record.secrets:
            if name not in others and f"${{secret:{name}}}" not in text:
                SecretStore().remove(name, self._environ)


def _movable(plan: ImportPlan) -> list[ClientEntry]:
    """Return the entries that the settings have now: others stay with the client."""
    there = plan.edit.added.keys() | set(plan.edit.unchanged)
    return [entry for name, entry in plan.entries.items() if name in there]


def _secrets(before: InstallRecord | None, moved: ImportPlan | None) -> tuple[str, ...]:
    """Return the names of what is kept for the servers that are moved, now and before: not what a person is asked."""
    found = dict.fromkeys(before.secrets if before is not None else ())
    if moved is not None:
        names = (name for entry in _movable(moved) for name in secrets_of(entry.settings))
        found |= dict.fromkeys(name for name in names if name not in moved.found.inputs)
    return tuple(found)


def _without(target: InstallTarget, current: bytes | None, names: Iterable[str]) -> bytes | None:
    """Return the file without entries of these names that start a program of ours."""
    if current is None:
        return None
    text = ClientText(target.path, target.row, current)
    for name in names:
        if is_ours(text.entries().get(name)):
            text.drop(name)
    return text.data()
