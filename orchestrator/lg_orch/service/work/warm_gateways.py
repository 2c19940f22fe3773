"""Keeps the gateway that a run has started for the next run of the same repository: to start one costs the most.

A gateway is lent to one run at a time, and only to a run that would start it with the very same arguments, settings and
environment; the settings file is named by its content. It is asked anew what it offers, so that it is known to live.

It is kept only if its run ended by itself and asked no human anything: an answer that holds "until its client ends"
ends with the run. A run in a clone has a gateway of its own, which ends with it.
"""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from lg_orch.engine.driver import import_heavy
from lg_orch.tools.gateway import connect, local_launch, start
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from anyio.abc import TaskGroup

    from lg_orch.settings.setup import CommandSetup
    from lg_orch.tools.connection import Connection
    from lg_orch.tools.gateway import GatewayLaunch

log = logging.getLogger(__name__)
LOG = "warm-gateway.log"
ASK_S = 30.0
"""Seconds in which a kept gateway must say what it offers."""
AGE_S = 3_600.0
"""Seconds after which no further run gets a gateway: what it read when it began, such as a secret, may have changed."""
Key = tuple[tuple[str, ...], str, tuple[tuple[str, str], ...]]


@dataclass(kw_only=True)
class Loan:
    """A connection while a run has it; `None` where the run has to start a gateway itself."""

    connection: Connection | None
    keep: bool = False
    """Whether the next run may have it too."""


@dataclass(kw_only=True)
class _Kept:
    """One gateway that runs."""

    launch: GatewayLaunch
    root: RootHandle
    ready: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)
    connection: Connection | None = None
    lent: bool = True
    begun: float = field(default_factory=anyio.current_time)
    unused_since: float = 0.0


class RootHandle:
    """The directory that a repository's path named when its gateway began. It is kept open, so that no other gets its
    number."""

    def __init__(self, path: Path) -> None:
        """Raise `OSError` where there is none."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def is_there(self) -> bool:
        """Whether the path still names it."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except OSError:
            return False

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


class WarmGateways:
    """The gateways of one worker, in its event loop. At most `most` wait for a run at a time."""

    def __init__(
        self, group: TaskGroup, *, idle_s: float, most: int, ask_s: float = ASK_S, age_s: float = AGE_S
    ) -> None:
        """`ask_s`: seconds in which a kept gateway must say what it offers; `age_s`: how long it is kept at most."""
        self._group = group
        self._idle_s = idle_s
        self._most = most
        self._ask_s = ask_s
        self._age_s = age_s
        self._kept: dict[Key, _Kept] = {}

    @asynccontextmanager
    async def lent(self, setup: CommandSetup, environ: Mapping[str, str]) -> AsyncIterator[Loan]:
        """Lend a gateway of a repository for the length of the block."""
        kept = await self._taken(setup, environ) if self._idle_s > 0 else None
        loan = Loan(connection=kept.connection if kept is not None else None)
        try:
            yield loan
        finally:
            if kept is not None:
                self._returned(kept, keep=loan.keep)

    def end(self) -> None:
        """End all of them, those that are lent with their run."""
        self._idle_s = 0.0
        for kept in self._kept.values():
            if not kept.lent:
                kept.over.set()

    async def _taken(self, setup: CommandSetup, environ: Mapping[str, str]) -> _Kept | None:
        launch = await anyio.to_thread.run_sync(_launch, setup, environ)
        key = _key(launch)
        kept = self._kept.get(key)
        if kept is not None and kept.lent:
            return None
        if kept is not None and not kept.over.is_set():
            kept.lent = True
            if anyio.current_time() - kept.begun > self._age_s:
                kept.over.set()
            elif await _is_there(kept, self._ask_s):
                return kept
        try:
            root = await anyio.to_thread.run_sync(RootHandle, setup.root)
        except OSError:
            return None  # the run says better what is wrong
        kept, there = self._begun(key, launch, root), False
        try:
            await kept.ready.wait()
            there = kept.connection is not None
        finally:
            if not there:
                kept.over.set()  # the run that waited for it may have been stopped meanwhile
        return kept if there else None

    def _begun(self, key: Key, launch: GatewayLaunch, root: RootHandle) -> _Kept:
        for other in self._kept.values():
            if other.launch.cwd == launch.cwd and not other.lent:
                other.over.set()  # the repository has other settings now
        kept = self._kept[key] = _Kept(launch=launch, root=root)
        self._group.start_soon(self._run, key, kept)
        return kept

    def _returned(self, kept: _Kept, *, keep: bool) -> None:
        kept.lent, kept.unused_since = False, anyio.current_time()
        if not keep or self._idle_s <= 0:
            kept.over.set()
        waiting = sorted(
            (other for other in self._kept.values() if not other.lent), key=lambda other: other.unused_since
        )
        for oldest in waiting[: max(0, len(waiting) - self._most)]:
            oldest.over.set()

    async def _run(self, key: Key, kept: _Kept) -> None:
        """Start a gateway, and end it when it is over or nobody has used it for a while."""
        path = kept.launch.log_path
        try:
            async with AsyncExitStack() as stack:
                with quick_imports():
                    streams = await stack.enter_async_context(start(kept.launch))
                await anyio.to_thread.run_sync(import_heavy)
                kept.connection = await stack.enter_async_context(connect(streams, log_path=path))
                kept.ready.set()
                await self._idle(kept)
                kept.over.set()
        except Exception:
            # Whatever breaks it: the run that waits for it starts one itself, and says what is wrong with that.
            log.warning("a gateway that was kept for %s has ended", kept.launch.cwd, exc_info=True)
        finally:
            if self._kept.get(key) is kept:
                del self._kept[key]
            kept.over.set()
            kept.ready.set()
            kept.root.close()

    async def _idle(self, kept: _Kept) -> None:
        while not kept.over.is_set():
            left = self._idle_s if kept.lent else kept.unused_since + self._idle_s - anyio.current_time()
            if left <= 0:
                return
            with anyio.move_on_after(left):
                await kept.over.wait()


async def _is_there(kept: _Kept, within_s: float) -> bool:
    """Ask a gateway what it offers now; whether it has answered, and still works on the directory of its path."""
    if kept.over.is_set() or kept.connection is None or kept.connection.again is None:
        return False
    there = False
    try:
        if not await anyio.to_thread.run_sync(kept.root.is_there):
            return False
        with anyio.move_on_after(within_s):
            kept.connection = await kept.connection.again()
            there = True
    except Exception:
        # Whatever the client raises for a process that is gone: another gateway is started.
        log.warning("the gateway that was kept for %s does not answer", kept.launch.cwd, exc_info=True)
    finally:
        if not there:
            kept.over.set()
    return there


def _launch(setup: CommandSetup, environ: Mapping[str, str]) -> GatewayLaunch:
    state: Path = setup.state.path
    return local_launch(
        root=setup.root, allow_broad=setup.flags.allow_broad_root, state_dir=state, settings=setup.loaded.settings,
        environ=environ, log_path=state / LOG, named_by_content=True,
    )  # fmt: skip


def _key(launch: GatewayLaunch) -> Key:
    return launch.argv, str(launch.cwd), tuple(sorted(launch.env.items()))
