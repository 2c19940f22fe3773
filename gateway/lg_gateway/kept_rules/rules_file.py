"""Changes the rules in the user's settings file, under a lock and as a whole. Everything else stays, byte for byte.

A link to another file is followed, as people who keep their settings in a repository of their own have it. Refused is
a file that lies below a root that the gateway works on, one that is not the user's, and one that everybody can write
to, or whose folder: then somebody else would say what the rules are. A read-only file is left as it is.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lg_gateway.clients.formats.toml_text import parse_toml
from lg_gateway.clients.settings_file import read_settings_text
from lg_gateway.kept_rules.rule_text import rule_text, with_rule, without_rule
from lg_gateway.store.locking import ProcessLock
from lg_policy.config.settings import RuleSettings
from lg_policy.errors import ConfigError
from lg_policy.state import config_home, make_private, replace_file

LOCK_S = 10.0


@dataclass(frozen=True, kw_only=True)
class RulesFile:
    """The user's settings file. `closed` are directories in which it must not lie: the roots of gateways."""

    path: Path
    closed: tuple[str, ...] = ()

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules as they are written. Raises `ConfigError`."""
        return _rules(read_settings_text(self.path)[1])

    def add(self, rule: Mapping[str, Any], comment: str = "") -> str:
        """Write a rule at the end of the file; return its text. Raises `ConfigError`, and nothing is changed then."""
        RuleSettings.model_validate(dict(rule))
        try:
            block = rule_text(rule, comment)
            with self._locked():
                before, text = read_settings_text(self.path)
                self._write(before, with_rule(text, block))
        except ValueError as error:
            raise self._by_hand(error) from error
        return block

    def remove(self, index: int, rule: RuleSettings) -> dict[str, Any]:
        """Take out a rule that was read before; return it as it was written.

        Raises `ConfigError` unless the very same rule still stands there.
        """
        with self._locked():
            before, text = read_settings_text(self.path)
            found = _rules(text)
            if index >= len(found) or _as_read(found[index]) != rule:
                raise ConfigError(f"the rules in {self.path} have changed meanwhile", hint="list them again")
            written = found[index]
            try:
                self._write(before, without_rule(text, index))
            except ValueError as error:
                raise self._by_hand(error) from error
        return written

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._check_place()
            if not self.path.parent.exists():
                make_private(self.path.parent)
            lock = ProcessLock(self.path.parent / "config.lock", timeout_s=LOCK_S)
            try:
                with lock.held():
                    yield
            finally:
                lock.close()
        except OSError as error:
            raise ConfigError(f"cannot change {self.path}: {error}", hint="no rule was written") from error

    def _check_place(self) -> None:
        real = os.path.realpath(self.path)
        for root in self.closed:
            if os.path.commonpath([os.path.realpath(root), real]) == os.path.realpath(root):
                raise ConfigError(
                    f"{self.path} lies below the root {root}, where a repository could change it",
                    hint="no rule was written; keep your settings file outside",
                )
        if sys.platform == "win32":
            return
        folder = os.path.dirname(real)
        if os.path.lexists(real):
            status = os.lstat(real)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise ConfigError(f"{self.path} is no file of yours", hint="no rule was written")
            if not status.st_mode & stat.S_IWUSR:
                raise ConfigError(f"{self.path} is read-only", hint="no rule was written; run `chmod u+w` on it")
            if status.st_mode & stat.S_IWOTH:
                raise ConfigError(f"everybody can write to {self.path}", hint="no rule was written; `chmod o-w` it")
        if os.path.isdir(folder) and os.stat(folder).st_mode & stat.S_IWOTH:
            raise ConfigError(f"everybody can write to {folder}", hint="no rule was written; run `chmod o-w` on it")

    def _write(self, before: bytes | None, text: str) -> None:
        real = Path(os.path.realpath(self.path))
        mode = stat.S_IMODE(real.stat().st_mode) if before is not None else 0o600
        replace_file(real, text.encode(), mode)

    def _by_hand(self, error: ValueError) -> ConfigError:
        return ConfigError(f"cannot change {self.path}: {error}", hint="no rule was written; change it by hand")


def rules_file(environ: Mapping[str, str], closed: Iterable[str | os.PathLike[str]] = ()) -> RulesFile:
    """Return the settings file of this user."""
    return RulesFile(path=config_home(environ) / "config.toml", closed=tuple(os.fspath(path) for path in closed))


def _as_read(rule: Mapping[str, Any]) -> RuleSettings | None:
    try:
        return RuleSettings.model_validate(dict(rule))
    except ValidationError:
        return None  # somebody else has just written it, and it is none


def _rules(text: str) -> list[dict[str, Any]]:
    gateway = parse_toml(text).get("gateway", {})
    rules = gateway.get("rules", []) if isinstance(gateway, dict) else None
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigError("gateway.rules in your settings file is no list of tables")
    return rules
