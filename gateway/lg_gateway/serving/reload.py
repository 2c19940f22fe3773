"""Reloads settings while the gateway runs. New settings are applied as a whole, or not at all.

The gateway reloads on SIGHUP and when a file changes. It checks everything before it changes anything: values, rules,
servers, and every rule against the known tools. Calls that have begun keep their decision.

Not covered: settings that need a restart (where state is kept, who may log in, the caller's name on stdio). A change of
one of them is refused together with the rest of the file. If an editor replaces a file in two steps and pauses between
them, the gateway may read what is there in between.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from lg_gateway.calls.decision_step import Policy
from lg_gateway.catalog.pin_table import read_pins_file
from lg_gateway.serving.setup import GatewaySetup, Stamp, stamp
from lg_policy.config.settings import Settings
from lg_policy.errors import ConfigError
from lg_policy.paths.file_rules import FileRules
from lg_policy.rules.rule_set import RuleBook
from lg_policy.secrets.shapes import own_shapes

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway

log = logging.getLogger(__name__)

FIXED = (
    "store", "approval.live_timeout_s", "gateway.identity", "gateway.http", "gateway.name_max",
    "gateway.restart_backoff_s", "gateway.restart_backoff_max_s", "gateway.metrics", "gateway.tracing", "log",
)  # fmt: skip
"""Settings that a running gateway cannot change."""
SHOWN = 80
IDLE_POLL_S = 2.0


class Reloader:
    """Reads the settings again and applies them. `load` reads them as at the start."""

    def __init__(self, gateway: Gateway, load: Callable[[], GatewaySetup]) -> None:
        self._gateway = gateway
        self._load = load
        self._turn = anyio.Lock()
        self._tried: dict[Path, Stamp] | None = None
        self.listens = anyio.Event()
        """Set once a SIGHUP reloads. Before that it would end the process, so nothing is announced earlier."""

    async def run(self) -> None:
        """Reload on SIGHUP, when a file changes, and before a human is asked where one has; until cancelled."""
        self._gateway.look_at_settings = self.refresh
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._on_signal)
            tasks.start_soon(self._on_change)

    async def reload(self, why: str) -> bool:
        """Read and apply the settings; return whether the gateway now uses what the files say."""
        async with self._turn:
            return await self._reload(why)

    async def refresh(self) -> None:
        """Reload if a file is not as it was read: what a human has just decided counts for the next call."""
        now = {path: stamp(path) for path in self._gateway.setup.watched}
        if now in (dict(self._gateway.setup.watched), self._tried):
            return
        self._tried = now
        await self.reload("a file changed")

    async def _reload(self, why: str) -> bool:
        try:
            setup = await anyio.to_thread.run_sync(self._load)
            policy = self._judged(setup)
        except (ConfigError, OSError, RecursionError) as error:
            return await self._refuse(why, error.text() if isinstance(error, ConfigError) else str(error))
        differences, changed = difference(self._gateway.setup, setup), self._gateway.upstream_set.changes(setup.specs)
        if not differences and not changed:
            log.info("the settings did not change (%s)", why)
            self._gateway.upstream_set.wake()
            return True
        text = "; ".join(differences) or f"other entries of {', '.join(sorted(changed))}"
        # The record comes first: settings that are not on record are not applied.
        if not await self._gateway.recorder.note("settings reloaded", text):
            return await self._refuse(why, "the ledger cannot be written")
        log.warning("settings reloaded (%s): %s", why, self._gateway.masker.mask(text))
        await self._gateway.take_over(setup, policy)
        return True

    async def _refuse(self, why: str, problem: str) -> bool:
        shown = self._gateway.masker.mask(problem)
        log.error("the settings were not reloaded (%s); the gateway keeps the current ones: %s", why, shown)
        await self._gateway.recorder.note("settings refused", problem)
        return False

    def _judged(self, setup: GatewaySetup) -> Policy:
        """Return the policy of new settings. Raises `ConfigError` for what cannot come into force."""
        gateway, settings = self._gateway, setup.settings
        before, after = flat(gateway.setup.settings), flat(settings)
        fixed = [
            key for key in before.keys() | after.keys() if _below(key, FIXED) and before.get(key) != after.get(key)
        ]
        if fixed:
            raise ConfigError(f"{min(fixed)} cannot change while the gateway runs", hint="restart the gateway")
        if lacking := [error for name, error in setup.missing.items() if name not in gateway.setup.missing]:
            raise lacking[0]
        if gone := [source for source in gateway.setup.loaded.files if not source.exists()]:
            raise ConfigError(f"{gone[0]} is gone", hint="restart the gateway to continue without it")
        own_shapes(settings.gateway.secret_patterns)
        if settings.gateway.pins_file is not None:
            read_pins_file(Path(settings.gateway.pins_file))
        FileRules.from_settings(settings.policy)  # our servers would only say so at their next start
        rules = RuleBook(settings, setup.loaded.rule_places)
        same = {name for name in gateway.upstreams if name not in gateway.upstream_set.changes(setup.specs)}
        entries = [entry for entry in gateway.catalog.entries() if entry.server.name in same]
        if problems := [problem for entry in entries for problem in rules.problems(entry.facts)]:
            raise ConfigError(f"{len(problems)} rules can never match: {problems[0]}")
        return Policy(settings=settings, rules=rules)

    async def _on_signal(self) -> None:
        # A program that was started with the signal ignored (nohup) keeps it so: it is to outlive its terminal.
        if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            self.listens.set()
            return
        had_terminal = has_terminal()
        with anyio.open_signal_receiver(signal.SIGHUP) as signals:
            self.listens.set()
            async for _ in signals:
                if had_terminal and not has_terminal():
                    # The terminal was closed: that is no request to reload, and staying would leave an orphan.
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                await self.reload("SIGHUP")

    async def _on_change(self) -> None:
        """Check the files at intervals. A change counts once the file stayed the same from one check to the next."""
        taken = seen = dict(self._gateway.setup.watched)
        while True:
            period = self._gateway.policy.settings.gateway.reload_poll_s
            await anyio.sleep(period or IDLE_POLL_S)
            now = {path: stamp(path) for path in self._gateway.setup.watched}
            if period and now == seen and now != taken:
                # What was read may be newer than what was seen here; then it is read once more, to no effect.
                taken = now
                await self.reload("a file changed")
            seen = now


def difference(before: GatewaySetup, after: GatewaySetup) -> list[str]:
    """Say what is different, without secrets: for servers, only which keys changed."""
    old, new = flat(before.settings), flat(after.settings)
    differences = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key) or _below(key, ("gateway.servers", "gateway.rules")):
            continue
        differences.append(f"{key}: {_shown(old.get(key))} -> {_shown(new.get(key))}")
    return [*differences, *_rules(before, after), *_servers(before.settings, after.settings)]


def _rules(before: GatewaySetup, after: GatewaySetup) -> list[str]:
    old, new = _by_text(before), _by_text(after)
    return [f"without rule {old[text]}" for text in old if text not in new] + [
        f"with rule {new[text]}" for text in new if text not in old
    ]


def _by_text(setup: GatewaySetup) -> dict[str, str]:
    rules, places = setup.settings.gateway.rules, setup.loaded.rule_places
    return {
        json.dumps(rule.model_dump(mode="json"), sort_keys=True): f"{rule.effect} {','.join(rule.tools)} ({place})"
        for rule, place in zip(rules, places, strict=True)
    }


def _servers(before: Settings, after: Settings) -> list[str]:
    old, new = before.gateway.servers, after.gateway.servers
    differences = [f"without server {name}" for name in sorted(old.keys() - new.keys())]
    differences += [f"with server {name}" for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        was, now = old[name].model_dump(), new[name].model_dump()
        if changed := sorted(key for key in was if was[key] != now[key]):
            differences.append(f"server {name}: {', '.join(changed)}")
    return differences


def flat(settings: Settings) -> dict[str, Any]:
    """Return settings as dotted keys; lists are values."""

    def walk(at: str, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict) or not value:
            return {at: value}
        found: dict[str, Any] = {}
        for key, inner in value.items():
            found |= walk(f"{at}.{key}" if at else str(key), inner)
        return found

    return dict(walk("", settings.model_dump(mode="json", by_alias=True)))


def _below(key: str, tables: Sequence[str]) -> bool:
    return any(key == table or key.startswith(f"{table}.") for table in tables)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def has_terminal() -> bool:
    """Whether this process has a terminal that it could open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
