"""Commands that take more than they may, and servers that die while commands run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from lg_exec.process.environment import Programs
from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend, RunAsUser, identities
from lg_exec.server.executor import Executor, Request
from lg_exec.server.setup import choose_backend, make_place
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from lg_policy.sandbox.bubblewrap import binaries
from lg_policy.sandbox.cgroups import find_hierarchy
from tests.exec.helpers import py, settings
from tests.support import descriptors, require

pytestmark = pytest.mark.anyio


@contextlib.contextmanager
def limited(root: Path, scratch: Path, chosen: Settings, mechanism: str) -> Iterator[Executor]:
    """A sandboxed executor whose tree limits are held by the best this user has, or by sampling alone."""
    require(sys.platform == "linux", "bubblewrap runs on Linux")
    binary = next(binaries(), None)
    require(binary is not None, "bubblewrap")
    assert binary is not None
    hierarchy = find_hierarchy() if mechanism == "best" else None
    root.mkdir(exist_ok=True)
    scratch.mkdir()
    with Root(root) as opened:
        backend = BubblewrapBackend(binary, make_place(chosen, opened, str(scratch), None), hierarchy)
        yield Executor(opened, chosen, backend, Programs(opened.path, "auto", home=scratch))


OWNER = 54321
MECHANISMS = pytest.mark.parametrize("mechanism", ["best", "sampled"])


@pytest.mark.attack("Exhaustion", "a fork bomb")
@MECHANISMS
async def test_a_fork_bomb_is_named_and_ended(tmp_path: Path, mechanism: str) -> None:
    mark = f"lg-bomb-{os.urandom(4).hex()}"
    code = f"import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.01)\n# {mark}"
    with limited(tmp_path / "root", tmp_path / "s", settings(limits={"processes": 40}), mechanism) as executor:
        with anyio.fail_after(60):
            outcome = await py(executor, code, timeout_s=20)
    assert outcome.finished.limit_hit == "processes"
    assert not processes_with_part(mark)


@pytest.mark.attack("Exhaustion", "one process that takes memory")
@MECHANISMS
async def test_a_memory_bomb_of_one_process_is_named(tmp_path: Path, mechanism: str) -> None:
    code = "x = []\nwhile True: x.append(bytearray(8_000_000))"
    with limited(tmp_path / "root", tmp_path / "s", settings(limits={"memory_mb": 120}), mechanism) as executor:
        with anyio.fail_after(60):
            outcome = await py(executor, code, timeout_s=30)
    assert outcome.finished.limit_hit == "memory"
    assert not outcome.ok


@pytest.mark.attack("Exhaustion", "six processes that take memory together")
@MECHANISMS
async def test_a_memory_bomb_of_many_processes_is_named(tmp_path: Path, mechanism: str) -> None:
    child = "x = bytearray(40_000_000); time.sleep(600)"
    code = f"import os, time\nfor _ in range(6):\n if os.fork() == 0: {child}\ntime.sleep(600)"
    with limited(tmp_path / "root", tmp_path / "s", settings(limits={"memory_mb": 120}), mechanism) as executor:
        with anyio.fail_after(60):
            outcome = await py(executor, code, timeout_s=30)
    assert outcome.finished.limit_hit == "memory"


@pytest.mark.attack("Exhaustion", "endless loops in two processes")
@MECHANISMS
async def test_cpu_time_of_the_tree_is_limited(tmp_path: Path, mechanism: str) -> None:
    code = "import os\nos.fork()\nwhile True: pass"
    with limited(tmp_path / "root", tmp_path / "s", settings(limits={"cpu_s": 1}), mechanism) as executor:
        with anyio.fail_after(60):
            outcome = await py(executor, code, timeout_s=40)
    assert outcome.finished.limit_hit == "cpu"


@pytest.mark.attack("Exhaustion", "filling the throw-away copy of the root")
async def test_writing_into_the_overlay_is_limited(tmp_path: Path) -> None:
    code = "import time\nfor i in range(40): open(f'f{i}', 'wb').write(bytes(1_000_000))\ntime.sleep(600)"
    chosen = settings(limits={"disk_mb": 20})
    with limited(tmp_path / "root", tmp_path / "s", chosen, "sampled") as executor, anyio.fail_after(60):
        outcome = await py(executor, code, timeout_s=30)
    assert outcome.finished.limit_hit == "disk"
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.attack("Exhaustion", "filling /tmp and /dev/shm")
@pytest.mark.parametrize("place", ["/tmp/x", "/dev/shm/x"])
@pytest.mark.parametrize("then", ["", "time.sleep(600)"])
async def test_private_temporary_space_is_limited_and_named(tmp_path: Path, place: str, then: str) -> None:
    code = (
        f"import time\nf = open('{place}', 'wb')\n"
        f"try:\n    for _ in range(60): f.write(bytes(1_000_000)); f.flush()\nfinally: {then or 'pass'}"
    )
    chosen = settings(limits={"disk_mb": 20})
    with limited(tmp_path / "root", tmp_path / "s", chosen, "sampled") as executor, anyio.fail_after(60):
        outcome = await py(executor, code, timeout_s=30)
    assert outcome.finished.limit_hit == "disk"
    assert not outcome.ok


@pytest.mark.attack("Exhaustion", "floods of empty files in memory, which have no bytes")
@MECHANISMS
@pytest.mark.parametrize("place", [".", "/tmp", "/dev/shm"])  # inside the sandbox
async def test_empty_files_in_memory_count_as_well(tmp_path: Path, mechanism: str, place: str) -> None:
    code = f"import time\nfor n in range(5_000): open(f'{place}/{{n}}', 'w').close()\ntime.sleep(20)"
    with limited(tmp_path / "root", tmp_path / "s", settings(limits={"disk_mb": 16}), mechanism) as executor:
        with anyio.fail_after(60):
            outcome = await py(executor, code, timeout_s=30)
    assert outcome.finished.limit_hit == "disk"


@pytest.mark.attack("Exhaustion", "filling the disk through a writable root")
async def test_a_writable_root_cannot_fill_the_disk(tmp_path: Path) -> None:
    template = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}
    code = "import time\nfor i in range(40): open(f'f{i}', 'wb').write(bytes(1_000_000))\ntime.sleep(600)"
    chosen = settings(commands={"py": template}, limits={"disk_mb": 20})
    with limited(tmp_path / "root", tmp_path / "s", chosen, "sampled") as executor, anyio.fail_after(60):
        outcome = await py(executor, code, timeout_s=30)
    assert outcome.finished.limit_hit == "disk"
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.attack("Exhaustion", "one huge file, by a program that minds the signal and by one that ignores it")
@pytest.mark.parametrize("signalled", [True, False])
async def test_a_file_over_its_size_limit_is_named(tmp_path: Path, signalled: bool) -> None:
    """Python ignores the signal, as Node does, and gets an error number."""
    code = "open('f', 'wb').write(bytes(3_000_000))"
    if signalled:
        code = f"import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n{code}"
    chosen = settings(limits={"file_mb": 1})
    with limited(tmp_path / "root", tmp_path / "s", chosen, "sampled") as executor, anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.finished.limit_hit == "file_size"


@pytest.mark.attack("Exhaustion", "more open files than allowed")
async def test_too_many_open_files_are_named(tmp_path: Path) -> None:
    code = "kept = [open('/dev/null') for _ in range(100)]"
    chosen = settings(limits={"open_files": 50})
    with limited(tmp_path / "root", tmp_path / "s", chosen, "sampled") as executor, anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.finished.limit_hit == "open_files"


@pytest.mark.attack("Exhaustion", "setrlimit from inside")
async def test_limits_cannot_be_raised_from_inside(tmp_path: Path) -> None:
    code = (
        "import resource\n"
        "for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_CORE):\n"
        "    try: resource.setrlimit(kind, (resource.RLIM_INFINITY,) * 2); print('RAISED', kind)\n"
        "    except (ValueError, OSError) as error: print(error)"
    )
    with limited(tmp_path / "root", tmp_path / "s", settings(), "sampled") as executor, anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.ok
    assert "RAISED" not in outcome.as_json()["stdout"]


@pytest.mark.attack("Exhaustion", "a gigabyte on standard output")
async def test_a_gigabyte_of_output_is_bounded(tmp_path: Path) -> None:
    code = "import os\nchunk = bytes(1 << 20)\nfor _ in range(1024): os.write(1, chunk)"
    chosen = settings(limits={"output_kb": 64})
    with limited(tmp_path / "root", tmp_path / "s", chosen, "sampled") as executor, anyio.fail_after(120):
        outcome = await executor.execute(Request(cmd="py", args=("-c", code)))
    assert outcome.ok
    assert outcome.finished.stdout.total == 1 << 30
    assert outcome.finished.stdout.dropped == (1 << 30) - 65_536


@pytest.mark.attack("Exhaustion", "a hundred calls, many at once, some that leave daemons, files and links behind")
async def test_a_hundred_calls_leave_nothing_behind(tmp_path: Path) -> None:
    mark = f"lg-many-{os.urandom(4).hex()}"
    littering = (
        "import os, time\nfor name in ('left', '/tmp/left'): open(name, 'w').write('x')\nos.symlink('/', 'way')\n"
        f"if os.fork() == 0: os.setsid(); time.sleep(600)  # {mark}"
    )
    rw = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}
    chosen = settings(commands={"true": {"executable": "/bin/true"}, "rw": rw}, max_concurrent=8, max_waiting=100)
    calls = [Request(cmd="true")] * 90 + [Request(cmd="py", args=("-c", littering))] * 8
    calls += [Request(cmd="rw", args=("-c", "pass"))] * 2
    older = set(groups_of(os.getpid()))
    with limited(tmp_path / "root", tmp_path / "s", chosen, "best") as executor:
        for first in (
            Request(cmd="true"),
            Request(cmd="py", args=("-c", "pass")),
            Request(cmd="rw", args=("-c", "pass")),
        ):
            await executor.execute(first)  # what is kept for later calls of its kind is made now
        before, scratch = held(tmp_path), sorted((tmp_path / "s").rglob("*"))
        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                for call in calls:
                    group.start_soon(executor.execute, call)
        assert not held(tmp_path) - before
        assert sorted((tmp_path / "s").rglob("*")) == scratch
        groups = set(groups_of(os.getpid())) - older
    assert list((tmp_path / "root").iterdir()) == []
    assert not processes_with_part(mark)
    assert not groups


def groups_of(pid: int | str) -> list[Path]:
    """The control groups that a server has made and not removed; `*` for all servers."""
    hierarchy = find_hierarchy()
    parents = hierarchy.parents.values() if hierarchy else ()
    return [path for parent in parents for path in Path(parent).glob(f"lg-exec-{pid}-*")]


def held(folder: Path) -> set[str]:
    """This process's descriptors and children, and the mounts below a folder."""
    children = {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}
    mounts = {line for line in Path("/proc/self/mounts").read_text().splitlines() if f" {folder}/" in line}
    return descriptors() | children | mounts


@pytest.mark.attack("Processes", "the server killed and terminated at several moments")
@pytest.mark.parametrize("building", [1, 2, 4])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_commands_die_with_the_server(tmp_path: Path, number: signal.Signals, building: int) -> None:
    require(sys.platform == "linux" and next(binaries(), None) is not None, "bubblewrap")
    root = tmp_path / "root"
    root.mkdir()
    config = tmp_path / "c.toml"
    config.write_text('[exec.commands.py]\nfrom = "python"\nargs_allow = ["-c=*..."]\n')
    mark = f"lg-server-{os.urandom(4).hex()}"
    code = (
        f"import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.fork()\ntime.sleep(600) # {mark}"
    )
    request = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "exec", "arguments": {"cmd": "py", "args": ["-c", code]}},
    }
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    command = [sys.executable, "-P", "-m", "lg_exec", "--root", str(root), "--config", str(config)]
    older = set(groups_of("*"))  # of servers that were killed with all that cleans up, whose numbers come again
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        server.stdin.write("".join(json.dumps(each) + "\n" for each in (hello, ready, request)).encode())
        server.stdin.flush()
        with anyio.fail_after(60):
            # With 1 the sandbox is still being built, with 4 the command has forked.
            while len(processes_with_part(mark)) < building:
                await anyio.sleep(0.001)
            server.send_signal(number)
            while processes_with_part(mark) or set(groups_of(server.pid)) - older:
                await anyio.sleep(0.05)
    finally:
        server.kill()
        server.communicate()


def processes_with_part(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (
                    f"# {mark}".encode() in (entry / "cmdline").read_bytes()
                    and b"-P" not in (entry / "cmdline").read_bytes()
                ):
                    found.append(int(entry.name))
    return found


@pytest.mark.attack("Exhaustion", "a fork bomb where the server is root and the root directory somebody else's")
def test_the_process_limit_holds_for_root_too(tmp_path: Path) -> None:
    """The kernel does not hold a real root to the rlimit, whatever a user namespace calls it.

    Commands run as the owner of the root directory, where that user can reach everything and may be limited, else as
    this server's own user: the probes decide.
    """
    if os.geteuid() != 0:
        assert list(identities(str(tmp_path))) == [None], "an ordinary user stays who it is"
        return
    with tempfile.TemporaryDirectory() as place:  # pytest's own directories are closed to others
        root, scratch = Path(place, "root"), Path(place, "s")
        root.mkdir()
        scratch.mkdir()
        os.chmod(place, 0o755)
        os.chown(root, OWNER, OWNER)
        assert list(identities(str(root))) == [RunAsUser(user=OWNER, group=OWNER), None]
        with Root(root) as opened:
            chosen = settings(limits={"processes": 30})
            backend = choose_backend(chosen, opened, str(scratch), None, {})
            executor = Executor(opened, chosen, backend, Programs(opened.path, "auto", home=scratch))
            code = "cat /proc/self/uid_map; n=0; while [ $n -lt 200 ]; do n=$((n + 1)); sleep 60 & done; wait"
            outcome = anyio.run(executor.execute, Request(cmd="sh", args=("-c", code), timeout_s=20))
    inside, outside, _ = outcome.as_json()["stdout"].split()
    assert (inside, outside) in (("1000", str(OWNER)), ("1000", "0"))
    assert outcome.finished.limit_hit == "processes"
