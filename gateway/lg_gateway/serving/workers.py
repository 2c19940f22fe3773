"""Runs several gateway processes behind one address: `lg-gateway serve --transport http --workers N`.

This process holds the sockets and starts the workers, each of which is a whole gateway on the same state. It starts a
worker again when one ends, passes SIGHUP on, and ends them all. It serves nothing itself.

On Linux each worker has a socket of its own on the same port (`SO_REUSEPORT`), and the kernel spreads connections over
them. A socket outlives its worker: what waits there is served by the next one. A worker that ends again at once gives
its socket up, until it starts. Elsewhere the workers share one socket.

If this process is killed, the helper that ends orphaned servers ends the workers, and they end their servers.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from lg_gateway.processes.child_process import Reaper
from lg_gateway.serving.logs import tell_start
from lg_gateway.serving.reload import has_terminal
from lg_gateway.serving.worker import WORKER, WorkerPlace
from lg_policy.config.flags import ServeFlags
from lg_policy.config.observing import LogSettings
from lg_policy.errors import ConfigError
from lg_policy.prefork.becoming import Order
from lg_policy.prefork.spares import dismiss_spares, take_spare
from lg_policy.wire.serving import SHUTDOWN_S, listen

log = logging.getLogger(__name__)

EARLY_S = 5.0
"""A worker that ends sooner than this after its start is started again after a pause."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
END_S = SHUTDOWN_S + 10.0
"""How long workers get to end."""
USAGE = 2


@dataclass
class _Worker:
    number: int
    listener: socket.socket | None
    pid: int = 0
    program: subprocess.Popen[bytes] | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)
    early_ends: int = 0
    began: float = 0.0


class Workers:
    """The workers of one address."""

    def __init__(self, flags: ServeFlags, count: int, log: LogSettings, *, authenticated: bool) -> None:
        """Listen. Raises `ConfigError` for an address that may not be served or is taken."""
        self._flags = flags
        self._log = log
        self._authenticated = authenticated
        self._each = sys.platform == "linux"
        if self._each and flags.port:
            # Another gateway with workers would share its port with these, and its clients.
            listen(flags, authenticated=authenticated).close()
        first = listen(flags, authenticated=authenticated, shared=self._each)
        self._port = first.getsockname()[1]
        self._workers = [_Worker(0, first)]
        self._workers += [_Worker(number, self._another(first)) for number in range(1, count)]
        self._folder = tempfile.mkdtemp(prefix="lg-workers-")
        self._reaper = Reaper()
        self._ending = False
        self._status = 0

    async def run(self) -> int:
        """Run until a signal arrives; return the exit status."""
        self._reaper.start()
        shown = f"[{self._flags.host}]" if ":" in self._flags.host else self._flags.host
        tell_start(f"listening on http://{shown}:{self._port}/mcp", self._log)
        try:
            async with anyio.create_task_group() as tasks:
                for worker in self._workers:
                    await self._start(worker)
                    tasks.start_soon(self._keep, worker)
                dismiss_spares()
                await self._obey()
                await self._end()
                tasks.cancel_scope.cancel()
        finally:
            self._reaper.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        return self._status

    def _another(self, first: socket.socket) -> socket.socket:
        if not self._each:
            return first
        flags = ServeFlags(transport="http", host=self._flags.host, port=self._port)
        return listen(flags, authenticated=self._authenticated, shared=True)

    async def _start(self, worker: _Worker) -> None:
        """Start a worker. Its socket is its standard input, as inetd and systemd pass one."""
        if worker.listener is None:
            worker.listener = self._another(self._workers[0].listener or socket.socket())
        place = WorkerPlace(number=worker.number, count=len(self._workers), folder=self._folder)
        argv = [sys.executable, "-P", "-m", "lg_gateway", *sys.argv[1:], "--workers", "1"]
        environment = {**os.environ, WORKER: place.text()}
        worker.began = time.monotonic()
        # A spare process may take long to answer; meanwhile signals are heard.
        forked = await anyio.to_thread.run_sync(self._forked, worker, argv, environment)
        worker.pid = forked or self._executed(worker, argv, environment)
        self._reaper.watch(worker.pid)

    def _forked(self, worker: _Worker, argv: list[str], environment: dict[str, str]) -> int:
        order = Order(argv=tuple(argv), env=environment, cwd=os.getcwd())
        spare = take_spare() if order.fits() else None
        if spare is None or worker.listener is None:
            return 0
        with open(os.devnull, "wb") as null:
            try:
                spare.become(order, (worker.listener.fileno(), null.fileno(), 2))
            except OSError as error:
                log.info("worker %d starts as a new program: %s", worker.number, error)
                return 0
        return spare.pid

    def _executed(self, worker: _Worker, argv: list[str], environment: dict[str, str]) -> int:
        stdin = worker.listener.fileno() if worker.listener is not None else None
        worker.program = subprocess.Popen(
            argv, env=environment, stdin=stdin, stdout=subprocess.DEVNULL, start_new_session=True
        )
        return worker.program.pid

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker again whenever it ends."""
        while True:
            _, status = await anyio.to_thread.run_sync(os.waitpid, worker.pid, 0, abandon_on_cancel=True)
            self._reaper.forget(worker.pid)
            code, worker.pid = os.waitstatus_to_exitcode(status), 0
            if worker.program is not None:
                worker.program.returncode = code  # nobody else is to wait for it
            if self._ending:
                worker.ended.set()
                return
            if code == USAGE and not self._status:
                self._status = USAGE  # the settings are wrong, which it has said; another start says so again
                os.kill(os.getpid(), signal.SIGTERM)
                return
            log.warning("worker %d ended with status %d; starting it again", worker.number, code)
            worker.early_ends = worker.early_ends + 1 if time.monotonic() - worker.began < EARLY_S else 0
            if not await self._again(worker):
                return

    async def _again(self, worker: _Worker) -> bool:
        """Start a worker that has ended, after a pause if it ended early; return `False` if all are to end instead."""
        while not worker.pid:
            if worker.early_ends:
                self._give_up_socket(worker)
                await anyio.sleep(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (worker.early_ends - 1)))
            if self._ending:
                return False
            try:
                await self._start(worker)
            except (OSError, ConfigError) as error:  # no memory, no descriptors, or the port is somebody else's
                worker.early_ends += 1
                log.warning("worker %d cannot be started; trying again: %s", worker.number, error)
        return True

    def _give_up_socket(self, worker: _Worker) -> None:
        others = any(other.pid for other in self._workers)
        if self._each and others and worker.early_ends > 1 and worker.listener is not None:
            worker.listener.close()  # connections go to the others
            worker.listener = None

    async def _obey(self) -> None:
        """Pass SIGHUP on; return when the workers are to end."""
        heard = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        had_terminal = has_terminal()
        with anyio.open_signal_receiver(*heard) as signals:
            async for number in signals:
                if number != signal.SIGHUP or (had_terminal and not has_terminal()):
                    return
                self._signal(signal.SIGHUP)

    async def _end(self) -> None:
        self._ending = True
        self._signal(signal.SIGTERM)
        with anyio.move_on_after(END_S):
            for worker in self._workers:
                if worker.pid:
                    await worker.ended.wait()
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            if worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)
