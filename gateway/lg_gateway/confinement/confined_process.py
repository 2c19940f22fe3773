"""Starts a program in its sandbox. Without a working sandbox nothing is started.

The order is that of `lg-exec`: bubblewrap makes the namespaces and mounts and waits; the process inside is put into its
control group and gets its limits; then it becomes the program. When this process dies, the kernel ends the sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import resource
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from anyio.abc import Process

from lg_gateway.confinement import inside
from lg_gateway.confinement.confinement import INSIDE, PROXY_SOCKET, TMP, Confinement, View, within
from lg_gateway.confinement.hosts import read_patterns
from lg_gateway.confinement.pinned_paths import pinned_paths
from lg_gateway.confinement.programs import needs_of, own_interpreter
from lg_gateway.confinement.proxy import EgressProxy
from lg_gateway.confinement.refused_hosts import RefusedHosts
from lg_gateway.confinement.swapped_paths import refuse_planted, refuse_swapped, refuse_too_many
from lg_gateway.confinement.watching.home_size import HomeSize
from lg_gateway.confinement.watching.late_masks import LateMasks
from lg_policy.errors import SandboxUnavailable
from lg_policy.sandbox import process_tree, seccomp
from lg_policy.sandbox.bubblewrap import NAMESPACES, NEWER, Binary, binaries, memory_file, nul_separated
from lg_policy.sandbox.cgroups import Group, Hierarchy, find_hierarchy
from lg_policy.sandbox.hidden_paths import NO_MASKS
from lg_policy.sandbox.system_view import accounts_complete, write_accounts

log = logging.getLogger(__name__)

SETUP_S = 20.0
SAMPLE_S = 1.0
"""Between two looks at the memory of a program, where no control group counts it."""
FORWARDER = f"{INSIDE}/forward.py"
OFFLINE = {"npm_config_offline": "true", "UV_OFFLINE": "1"}
"""With these variables package managers say at once what is missing, instead of trying to download it."""
HOW_TO_GET_ONE = (
    "install bubblewrap and allow user namespaces (`lg-exec doctor` says what is missing), or take `sandbox` out"
)


@dataclass(frozen=True, kw_only=True)
class ConfinedCommand:
    """What to start: the command, its own variables, and where it should begin."""

    argv: Sequence[str]
    env: Mapping[str, str]
    directory: str = ""


@dataclass
class Confined:
    """What belongs to a running sandbox besides its process. `close` ends and removes all of it."""

    name: str
    proxy: EgressProxy | None = None
    cgroup: Group | None = None
    inner: int = 0
    inner_fd: int = -1
    status: int = -1
    """Where bubblewrap says how the program ended. It stays open: bubblewrap must be able to."""
    paths: list[str] = field(default_factory=list)
    """Files that are removed at the end."""
    over_limit: str = ""
    late_masks: LateMasks | None = None
    watches: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def refused(self) -> RefusedHosts:
        """Return the hosts that it asked for and did not get."""
        return self.proxy.refused if self.proxy is not None else RefusedHosts()

    def breach(self) -> str:
        """Name the limit that it has reached, `""` if none."""
        return self.over_limit or (self.cgroup.breach() if self.cgroup is not None else None) or ""

    async def close(self) -> None:
        """End what belongs to the sandbox. The process itself has ended before."""
        for watch in self.watches:
            watch.cancel()
        for descriptor in (self.inner_fd, self.status):
            if descriptor >= 0:
                os.close(descriptor)
        self.inner_fd = self.status = -1
        if self.proxy is not None:
            await self.proxy.close()
        if self.cgroup is not None:
            self.cgroup.close()
        for path in self.paths:
            with contextlib.suppress(OSError):
                os.unlink(path)


@functools.cache
def sandbox_binary() -> Binary | None:
    """Return the bubblewrap to use. Looked for once."""
    return next(binaries(), None)


@functools.cache
def _hierarchy() -> Hierarchy | None:
    return find_hierarchy(divide=False)


async def start_confined(
    confinement: Confinement,
    command: ConfinedCommand,
    *,
    mark: Mapping[str, str],
    placed: Sequence[tuple[str, str]] = (),
    overlay: str | None = None,
) -> tuple[Process, Confined]:
    """Start a program with pipes in its sandbox. Raises `SandboxUnavailable` and `OSError`.

    `mark` is the environment of bubblewrap itself, which can be read inside as that of process 1.
    """
    confined = Confined(confinement.name)
    try:
        launch = await prepare(confinement, command, confined, placed=placed, overlay=overlay)
        try:
            process = await anyio.open_process(
                launch.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=mark,
                start_new_session=True,
                pass_fds=launch.child_ends,
            )
        finally:
            launch.close_child_ends()
        try:
            await release(launch, confinement, confined)
        except SandboxUnavailable as error:
            raise SandboxUnavailable(f"{error.message}{await _complaint(process)}", hint=HOW_TO_GET_ONE) from error
    except BaseException:
        with anyio.CancelScope(shield=True):
            await confined.close()
        raise
    return process, confined


@dataclass
class PreparedLaunch:
    """A command line of bubblewrap, the descriptors that it inherits, and our ends of two of them."""

    argv: list[str]
    child_ends: list[int]
    status: int
    block: int

    def close_child_ends(self) -> None:
        """Close what only the child needs."""
        while self.child_ends:
            os.close(self.child_ends.pop())

    def close(self) -> None:
        """Close everything."""
        self.close_child_ends()
        for name in ("status", "block"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)


async def prepare(
    confinement: Confinement,
    command: ConfinedCommand,
    confined: Confined,
    *,
    placed: Sequence[tuple[str, str]] = (),
    overlay: str | None = None,
    terminal: bool = False,
) -> PreparedLaunch:
    """Make what the sandbox needs, and return how to start it. `terminal`: it may use the terminal of this process.

    Raises `SandboxUnavailable` and `OSError`.
    """
    binary = sandbox_binary()
    if binary is None:
        raise SandboxUnavailable(f"{confinement.name} was not started: there is no bubblewrap", hint=HOW_TO_GET_ONE)
    if overlay is not None and not binary.overlays:
        raise SandboxUnavailable(f"{binary.label} has no overlays", hint=NEWER)
    accounts = _furnish(confinement)
    needs = needs_of(command.argv[0], confinement.home)
    refuse_planted(confinement, command.argv[0], needs.paths)
    paths, argv, shown = _to_mount(confinement, needs.paths), list(command.argv), list(placed)
    if confinement.network or placed:
        interpreter, own_paths = own_interpreter()
        paths += own_paths
        shown.append((inside.__file__, FORWARDER))
        if confinement.network:
            shown.append((await _start_proxy(confinement, confined), PROXY_SOCKET))
        argv = [interpreter, "-I", "-S", FORWARDER, PROXY_SOCKET if confinement.network else "", *argv]
    await anyio.to_thread.run_sync(HomeSize(confinement).check_start)
    masks = NO_MASKS
    if confinement.shows_root:
        confined.late_masks = LateMasks(confinement)
        masks = await anyio.to_thread.run_sync(confined.late_masks.at_start)
    pinned = pinned_paths(confinement, masks, confinement.modes(paths))
    refuse_too_many(confinement, masks, len(pinned))
    refuse_swapped(confinement, [*paths, *confinement.read, *confinement.write, *(place for _, place in shown)])
    view = View(
        confinement=confinement,
        accounts=accounts,
        needs=paths,
        masks=masks,
        pinned=pinned,
        placed=shown,
        overlay=overlay,
        directory=command.directory,
    )
    filter_program = seccomp.build()
    alone = [] if terminal and filter_program is not None else ["--new-session"]  # the filter refuses TIOCSTI
    options = [*NAMESPACES, *alone]
    for name, value in _environment(confinement, command, needs.search).items():
        options += ["--setenv", name, value]
    status, status_end = os.pipe()
    block_end, block = os.pipe()
    ends = [status_end, block_end, memory_file("args", nul_separated([*options, *view.options()]))]
    flags = ["--json-status-fd", str(status_end), "--block-fd", str(block_end), "--args", str(ends[2])]
    if filter_program is not None:
        ends.append(memory_file("seccomp", filter_program))
        flags += ["--seccomp", str(ends[-1])]
    return PreparedLaunch(argv=[binary.path, *flags, "--", *argv], child_ends=ends, status=status, block=block)


def _to_mount(confinement: Confinement, needed: Iterable[str]) -> list[str]:
    """Leave out links in named directories: those show them, and nothing can be mounted over one that leads out."""
    named = (*confinement.read, *confinement.write)
    return [path for path in needed if not (os.path.islink(path) and any(within(path, place) for place in named))]


async def release(launch: PreparedLaunch, confinement: Confinement, confined: Confined) -> None:
    """Wait for the process inside, limit it, and let it become the program. Raises `SandboxUnavailable`."""
    try:
        inner = confined.inner = await _inner_process(launch.status)
        confined.inner_fd = os.pidfd_open(inner)
        hierarchy = _hierarchy()
        if hierarchy is not None:
            confined.cgroup = Group(hierarchy, confinement)
            await anyio.to_thread.run_sync(confined.cgroup.add, inner)
        if os.geteuid() != 0:  # the kernel does not count the processes of root
            most = _capped(resource.RLIMIT_NPROC, confinement.processes + 2)
            resource.prlimit(inner, resource.RLIMIT_NPROC, (most, most))
        resource.prlimit(inner, resource.RLIMIT_CORE, (0, 0))
        os.write(launch.block, b"\n")
    except (OSError, ValueError) as error:
        raise SandboxUnavailable(f"the sandbox of {confinement.name} could not be limited: {error}") from error
    finally:
        confined.status, launch.status = launch.status, -1
        launch.close()
    if confined.cgroup is None or "memory" not in confined.cgroup.controllers:
        confined.watches.append(asyncio.ensure_future(_watch_memory(confined, confinement.memory_mb << 20)))
    if confinement.private_home is not None:
        confined.watches.append(asyncio.ensure_future(_watch_home(confined, HomeSize(confinement))))
    if confined.late_masks is not None:
        confined.watches.append(asyncio.ensure_future(confined.late_masks.watch(inner)))


async def _inner_process(status: int) -> int:
    """Read from bubblewrap which process it made. Raises `SandboxUnavailable`."""
    loop, heard, data = asyncio.get_running_loop(), asyncio.Event(), bytearray()
    os.set_blocking(status, False)

    def listen() -> None:
        read = os.read(status, 4_096)
        data.extend(read)
        if b"\n" in data or not read:
            heard.set()

    loop.add_reader(status, listen)
    try:
        async with asyncio.timeout(SETUP_S):
            await heard.wait()
    except TimeoutError as error:
        raise SandboxUnavailable(f"bubblewrap did not start within {SETUP_S:g} s") from error
    finally:
        loop.remove_reader(status)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(json.loads(bytes(data).splitlines()[0])["child-pid"]) if data else _not_set_up()
    return _not_set_up()


def _not_set_up() -> int:
    raise SandboxUnavailable("the sandbox could not be set up")


async def _complaint(process: Process) -> str:
    """Return what bubblewrap says about its failure, and end it."""
    text = b""
    with contextlib.suppress(anyio.EndOfStream, anyio.ClosedResourceError), anyio.move_on_after(1):
        while process.stderr is not None and len(text) < 4_000:
            text += await process.stderr.receive()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with anyio.CancelScope(shield=True):
        await process.aclose()
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.startswith("bwrap: ")]
    return f": {lines[-1]}" if lines else ""


async def _watch_memory(confined: Confined, limit: int) -> None:
    """End a program that uses more memory than it may."""
    while True:
        await asyncio.sleep(SAMPLE_S)
        pids = process_tree.members(confined.inner)
        over = process_tree.usage(pids).memory > limit
        if over and await anyio.to_thread.run_sync(process_tree.proportional_memory, pids) > limit:
            _end_for(confined, "memory", f"used more than {limit >> 20} MB of memory")
            return


async def _watch_home(confined: Confined, home: HomeSize) -> None:
    """End a program whose home takes more of the disk than it may."""
    why = await home.reached(confined.inner)
    _end_for(confined, f"disk: {why}", why)


def _end_for(confined: Confined, limit: str, why: str) -> None:
    confined.over_limit = limit
    log.warning("%s was ended: %s", confined.name, why)
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(confined.inner_fd, signal.SIGKILL)


def _environment(confinement: Confinement, command: ConfinedCommand, search: Sequence[str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TERM", "TZ") if name in os.environ}
    made = {"PATH": ":".join([*confinement.path, *search]), "HOME": confinement.home, "TMPDIR": TMP, "LANG": "C.UTF-8"}
    made |= {"USER": "sandbox", "LOGNAME": "sandbox", "SHELL": "/bin/sh"}
    own = {name: value for name, value in command.env.items() if not (confinement.network and _names_no_proxy(name))}
    return made | kept | _network_variables(confinement) | own


def _network_variables(confinement: Confinement) -> dict[str, str]:
    """Return what tells programs how they get out. Those of the proxy's port come from inside."""
    if not confinement.network:
        return OFFLINE
    if read_patterns(confinement.network).names_loopback:  # then the proxy leads to this machine's
        return {}
    return dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1,::1")


def _names_no_proxy(name: str) -> bool:
    """Return whether a variable says what goes past the proxy. Nothing does: the program would only try in vain."""
    return name.lower() == "no_proxy"


def _furnish(confinement: Confinement) -> str:
    """Make the directories of a sandbox, and return that of the generated files. Raises `OSError`."""
    os.makedirs(confinement.state, mode=0o700, exist_ok=True)
    if confinement.private_home is not None:
        os.makedirs(confinement.private_home, mode=0o700, exist_ok=True)
    accounts = f"{confinement.state}/accounts"
    if not accounts_complete(accounts):
        write_accounts(accounts, confinement.home)
    return accounts


async def _start_proxy(confinement: Confinement, confined: Confined) -> str:
    rules = read_patterns(confinement.network)
    _sweep(confinement.state)
    path = f"{confinement.state}/proxy-{os.getpid()}-{os.urandom(4).hex()}.sock"
    confined.proxy = EgressProxy(
        rules, owner=confinement.name, add_with=confinement.add_with, keep=confinement.refusals
    )
    confined.paths.append(path)
    await confined.proxy.start(path)
    return path


def _sweep(state: str) -> None:
    """Remove the sockets of processes that were killed."""
    for name in os.listdir(state):
        if name.startswith("proxy-") and name.endswith(".sock"):
            pid = name.split("-")[1]
            if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{state}/{name}")


def _capped(kind: int, wanted: int) -> int:
    highest = resource.getrlimit(kind)[1]
    return wanted if highest == resource.RLIM_INFINITY else min(wanted, highest)
