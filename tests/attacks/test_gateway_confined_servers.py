"""What a third-party server in its sandbox tries: read, write, connect, grow, outlive the gateway."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from lg_policy.errors import SandboxUnavailable
from tests.gateway.confinement.boxes import confinement, leftovers, run_command, run_confined, tried
from tests.gateway.rig import alive, until
from tests.policy.outgoing.small_proxy import small_proxy

pytestmark = pytest.mark.anyio

SECRET = "hunter2-not-for-you"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / ".git" / "hooks").mkdir(parents=True)
    for name in (".env", ".git/config", "plain.txt"):
        (root / name).write_text(SECRET if name != "plain.txt" else "plain")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_text(SECRET)
    return root


@pytest.mark.attack("Confined programs", "reads the root, the home directory, keys, passwords, processes of the host")
async def test_nothing_of_the_machine_is_read_that_is_not_named(tmp_path: Path, root: Path) -> None:
    os.environ["TEST_SECRET"] = SECRET
    try:
        places = [root / "plain.txt", root / ".env", tmp_path / "home" / ".netrc", tmp_path / "state", "/etc/shadow"]
        reads = [
            f"open({str(place)!r}).read()" if place != tmp_path / "state" else f"os.listdir({str(place)!r})"
            for place in places
        ]
        shown, _ = await run_confined(
            confinement(tmp_path),
            tried(*reads, "open('/proc/1/environ').read()", f"os.kill({os.getpid()}, 0)", "dict(os.environ)"),
        )
    finally:
        del os.environ["TEST_SECRET"]
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["failed"] * 5
    assert SECRET not in shown
    assert "failed ProcessLookupError" in lines


@pytest.mark.attack("Confined programs", "reads `.env` in a named root, writes `.git/hooks` and read-only paths")
async def test_in_a_named_root_denied_names_are_masked_and_protected_ones_stay(tmp_path: Path, root: Path) -> None:
    rules = {"masked_root": str(root), "hide": (".env", ".git/config"), "protect": (".git",)}
    code = tried(
        f"open({str(root / '.env')!r}).read()",
        f"open({str(root / '.git/config')!r}).read()",
        f"open({str(root / '.git/hooks/post-commit')!r}, 'w')",
        f"open({str(root / 'plain.txt')!r}).read()",
        f"open({str(root / 'new.txt')!r}, 'w').write('made')",
    )
    shown, _ = await run_confined(confinement(tmp_path, write=(str(root),), **rules), code)
    lines = shown.splitlines()
    assert SECRET not in shown
    assert lines[2:] == ["failed OSError", "reached plain", "reached 4"]
    assert (root / "new.txt").read_text() == "made"
    shown, _ = await run_confined(confinement(tmp_path, read=(str(root),), **rules), code)
    assert shown.splitlines()[3:] == ["reached plain", "failed OSError"]
    assert SECRET not in shown


@pytest.mark.attack("Confined programs", "connects past the proxy: loopback, addresses, DNS, Unix and abstract sockets")
async def test_no_connection_gets_out_but_through_the_proxy(tmp_path: Path, root: Path) -> None:
    unix, abstract = str(tmp_path / "docker.sock"), f"\0lg-{os.getpid()}-{tmp_path.name}"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        listeners = []
        for address in (unix, abstract):
            found = socket.socket(socket.AF_UNIX)
            found.bind(address)
            found.listen()
            listeners.append(found)
        code = tried(
            f"socket.create_connection(('127.0.0.1', {port}), 5)",
            f"socket.socket(socket.AF_UNIX).connect({unix!r})",
            f"socket.socket(socket.AF_UNIX).connect({abstract!r})",
            "socket.create_connection(('192.0.2.1', 80), 5)",
            "socket.getaddrinfo('name.example', 443)",
            f"urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=20)",
            f"urllib.request.urlopen('http://name.example:{port}/', timeout=20)",
        )
        for entries in ((), ("allowed.example",)):
            shown, confined = await run_confined(confinement(tmp_path, network=entries), code)
            assert "reached" not in shown
            assert len(shown.splitlines()) == 7
        assert f"name.example:{port}" in confined.refused.counts
        for found in listeners:
            found.close()
    assert leftovers(tmp_path) == []


@pytest.mark.attack("Confined programs", "connects to the one address that is named, which works")
async def test_a_named_address_is_reached_through_the_proxy(tmp_path: Path, root: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        shown, _ = await run_confined(
            confinement(tmp_path, network=(f"127.0.0.1:{port}",)),
            tried(f"urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=30).read()"),
        )
    assert shown.strip() == "reached b'hello'"


LOOK = """
import os, sys, time
def hidden(path):
    try:
        return os.listdir(path) == [] if os.path.isdir(path) else open(path).read() == ""
    except FileNotFoundError:
        return False
open(os.path.expanduser("~/runs"), "w").close()
while open(sys.argv[1]).read() != "all made":
    time.sleep(0.05)
ends = time.monotonic() + 50
while not all(map(hidden, sys.argv[2:])) and time.monotonic() < ends:
    time.sleep(0.05)
print({path: hidden(path) for path in sys.argv[2:]})
"""


@pytest.mark.attack("Confined programs", "waits for a denied name that is made, or made anew, while it runs")
@pytest.mark.parametrize("mode", ["read", "write"])
async def test_a_denied_name_is_hidden_also_if_it_is_made_later(tmp_path: Path, root: Path, mode: str) -> None:
    names = [str(root / name) for name in (".env", "new/.env", "keys")]
    box = confinement(tmp_path, masked_root=str(root), hide=("**/.env", "keys/"), **{mode: (str(root),)})
    shown: list[str] = []

    async def run() -> None:
        shown.append((await run_confined(box, LOOK, str(root / "plain.txt"), *names))[0])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until((Path(str(box.private_home)) / "runs").exists)
        (root / "edited").write_text(SECRET)
        (root / "edited").replace(root / ".env")  # as editors do: the mask goes away with the old file
        for name in ("new", "keys"):
            (root / name).mkdir()
            (root / name / ".env").write_text(SECRET)
        (root / "plain.txt").write_text("all made")
    assert shown == [f"{dict.fromkeys(names, True)}\n"]
    assert (root / ".env").read_text() == SECRET, "it is hidden, not changed"


@pytest.mark.attack("Confined programs", "fills the disk from its own home, start after start")
async def test_a_home_that_is_kept_ends_at_its_limit(tmp_path: Path, root: Path) -> None:
    box = confinement(tmp_path, home_mb=2, raise_home_with="raise it")
    fill = "import os\nfor n in range(4):\n open(os.path.expanduser(f'~/{n}'), 'wb').write(os.urandom(1 << 20))\n"
    wait = "import time\ntime.sleep(50)\nprint('survived')"
    await run_confined(box, fill)
    shown, confined = await run_confined(box, wait)
    assert "survived" not in shown
    assert confined.breach().startswith("disk: its home ")
    assert confined.breach().endswith(" 2 MB are allowed; remove files there, or raise it")
    with pytest.raises(SandboxUnavailable, match="takes 4 MB, and 2 MB are allowed") as refused:
        await run_confined(box, wait)
    assert refused.value.hint.startswith("remove files there, or raise it")
    for name in "012":
        (Path(str(box.private_home)) / name).unlink()
    assert (await run_confined(box, "print('again')"))[0] == "again\n"


@pytest.mark.attack("Confined programs", "fills the disk with files that it has deleted and holds open")
async def test_deleted_files_that_are_open_count_for_the_home(tmp_path: Path, root: Path) -> None:
    box = confinement(tmp_path, home_mb=2, raise_home_with="raise it")
    fill = """
import os, time
kept = []
for _ in range(200):
    kept.append(open(os.path.expanduser("~/file"), "w+b"))
    kept[-1].write(os.urandom(1 << 20))
    kept[-1].flush()
    os.unlink(kept[-1].name)
    time.sleep(0.25)
print("survived")
"""
    shown, confined = await run_confined(box, fill)
    assert "survived" not in shown
    assert " MB of it in deleted files that are still open, and 2 MB are allowed" in confined.breach()
    assert (await run_confined(box, "print('again')"))[0] == "again\n"


@pytest.mark.attack("Confined programs", "uses the proxy of the gateway's environment, or names one in its own")
async def test_a_proxy_of_the_environment_carries_named_hosts_only(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_proxy(tmp_path) as proxy, small_proxy(root) as target:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url.replace("//", "//ann:secret@"))
        far, other = (f"http://{host}.example.test:{target.port}" for host in ("far", "other"))
        own = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), proxy.url)
        shown, confined = await run_confined(
            confinement(tmp_path, network=(f"far.example.test:{target.port}",)),
            tried(
                f"urllib.request.urlopen('{far}', timeout=30).read()",
                f"urllib.request.urlopen('{other}', timeout=30).read()",
                f"socket.create_connection(('127.0.0.1', {proxy.port}), 5)",
                "'secret' in str(os.environ)",
            ),
            **own,
            NO_PROXY="*",
        )
        asked = proxy.asked
    # The target is another such proxy, which is sent no whole address: it hangs up, and that is an answer.
    assert [line.split()[0] for line in shown.splitlines()] == ["failed", "failed", "failed", "reached"]
    assert shown.splitlines()[-1] == "reached False"
    assert asked == [f"GET {far}/"]
    assert list(confined.refused.counts) == [f"other.example.test:{target.port}"]


@pytest.mark.attack("Confined programs", "makes namespaces, mounts, traces, types into a terminal")
async def test_the_kernel_gives_it_no_more_rights(tmp_path: Path, root: Path) -> None:
    code = tried(
        "ctypes.CDLL(None).unshare(0x10000000) == 0 or 1/0",
        "ctypes.CDLL(None).mount(b'/usr', b'/tmp', None, 4096, None) == 0 or 1/0",
        "ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0 or 1/0",
        "os.open('/dev/tty', os.O_RDWR)",
        "open('/usr/lg-test', 'w')",
        "open('/proc/sys/kernel/core_pattern', 'w')",
    )
    shown, _ = await run_confined(confinement(tmp_path), code)
    assert "reached" not in shown
    assert len(shown.splitlines()) == 6


@pytest.mark.attack("Confined programs", "puts links into a named directory or its home, for the next start to follow")
async def test_a_link_that_it_has_planted_is_not_followed_at_the_next_start(tmp_path: Path, root: Path) -> None:
    tool = tmp_path / "home" / ".tool"
    tool.mkdir()
    boxes = [
        (confinement(tmp_path, write=(str(root),)), confinement(tmp_path, write=(str(root / "sub"),)), root / "sub"),
        (confinement(tmp_path), confinement(tmp_path, read=(str(tool),)), Path(tmp_path / "home" / ".tool")),
    ]
    (root / "sub").mkdir()
    for first, second, place in boxes:
        plant = (
            f"import os\nif os.path.isdir({str(place)!r}): os.rmdir({str(place)!r})\nos.symlink('/usr', {str(place)!r})"
        )
        shown, _ = await run_confined(first, plant)
        assert shown == ""
        with pytest.raises(SandboxUnavailable, match=r"link|leads to"):
            await run_confined(second, "print('started')")


@pytest.mark.attack("Confined programs", "renames the directory above a denied name, to find it under another later")
async def test_a_denied_name_does_not_come_free_by_renaming_what_is_above_it(tmp_path: Path, root: Path) -> None:
    for name in ("config/keys/prod", "deploy/run.sh", "sub/.env"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(SECRET)
    rules = {"masked_root": str(root), "hide": ("config/keys/prod", ".env"), "protect": ("deploy/run.sh",)}
    renames = [f"os.rename({str(root / name)!r}, {str(root / name)!r} + '2')" for name in ("config/keys", "config")]
    renames += [f"os.rename({str(root / name)!r}, {str(root / name)!r} + '2')" for name in ("deploy", "sub")]
    shown, _ = await run_confined(confinement(tmp_path, write=(str(root),), **rules), tried(*renames))
    assert shown.splitlines() == ["failed OSError"] * 3 + ["reached None"]
    assert (root / "config" / "keys" / "prod").read_text() == SECRET
    # `.env` is denied everywhere, so what is above it may go anywhere.
    shown, _ = await run_confined(
        confinement(tmp_path, write=(str(root),), **rules), tried(f"open({str(root / 'sub2' / '.env')!r}).read()")
    )
    assert SECRET not in shown
    parent = tmp_path / "parent"
    parent.mkdir()
    root = root.rename(parent / "root")
    rules["masked_root"] = str(root)
    above = f"os.rename({str(root)!r}, {str(root)!r} + '2')"
    shown, _ = await run_confined(confinement(tmp_path, write=(str(parent),), **rules), tried(above))
    assert shown.splitlines() == ["failed OSError"]


@pytest.mark.attack("Confined programs", "replaces its own command, so that the next start shows what it leads to")
async def test_a_command_that_a_program_may_change_does_not_show_what_it_leads_to(tmp_path: Path, root: Path) -> None:
    key = tmp_path / "home" / ".ssh" / "id"
    key.parent.mkdir()
    key.write_text(SECRET)
    command = root / "bin" / "server"
    command.parent.mkdir()
    command.write_text(
        f"#!/bin/sh\ncd {root}\nmv bin old\nmkdir bin\nprintf '#!/bin/sh\\ncat {key}\\n' > bin/npx\nchmod 755 bin/npx\n"
        "ln -s npx bin/server\nln -s ../../home/.ssh/id bin/node\necho planted\n"
    )
    command.chmod(0o755)
    box = confinement(tmp_path, write=(str(root),))
    assert await run_command(box, str(command)) == "planted\n"
    with pytest.raises(SandboxUnavailable, match=r"bin/node leads to .*/\.ssh/id"):
        await run_command(box, str(command))
    # A virtual environment that the program may change works: its links lead to an installation of Python.
    (root / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    assert await run_command(box, str(root / "bin" / "python"), "-c", "print(1)") == "1\n"


@pytest.mark.attack("Confined programs", "takes all memory, or starts processes without end")
async def test_memory_and_processes_end_at_their_limits(tmp_path: Path, root: Path) -> None:
    box = confinement(tmp_path, memory_mb=128, processes=24)
    shown, confined = await run_confined(box, "x = bytearray(400 << 20)\nimport time\ntime.sleep(30)\nprint('had it')")
    assert "had it" not in shown
    del confined
    forks = """
import os, time
made = 0
try:
    while made < 200:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except OSError:
    print("refused after", made < 40)
else:
    print("made", made)
"""
    if os.geteuid() != 0 or confined_by_group(tmp_path):
        shown, _ = await run_confined(box, forks)
        assert shown.strip() == "refused after True"


def confined_by_group(_tmp_path: Path) -> bool:
    """Whether a control group counts processes here; the kernel does not count those of root by rlimit."""
    from lg_policy.sandbox.cgroups import find_hierarchy

    found = find_hierarchy(divide=False)
    return found is not None and "pids" in found.parents


OUTER = """
import asyncio, sys
from pathlib import Path
from tests.gateway.confinement.boxes import confinement, sandbox_binary
from lg_gateway.confinement.confined_process import ConfinedCommand, start_confined
from lg_gateway.processes.child_process import Reaper

async def main():
    code = "import os, time; os.fork() or os.setsid(); time.sleep(600)"
    box = confinement(Path(sys.argv[1]))
    reaper = Reaper()
    reaper.start()
    command = ConfinedCommand(argv=[sys.executable, "-c", code], env={})
    process, confined = await start_confined(box, command, mark=reaper.mark())
    print(confined.inner, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.attack("Confined programs", "goes on after the gateway was killed with SIGKILL")
async def test_it_ends_with_the_gateway_however_that_ends(tmp_path: Path, root: Path) -> None:
    confinement(tmp_path)  # skips where there is no sandbox
    outer = subprocess.Popen(
        [sys.executable, "-c", OUTER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert outer.stdout is not None
        inner = int(outer.stdout.readline())
        assert alive(inner)
        outer.kill()
        await until(lambda: not alive(inner))
    finally:
        outer.kill()
        outer.wait()
        if outer.stdout is not None:
            outer.stdout.close()
