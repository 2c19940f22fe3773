"""Sockets, system calls, processes and privileges tried from inside the sandbox."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import anyio
import pytest

from lg_exec.server.executor import Executor
from tests.attacks.conftest import output
from tests.exec.helpers import py, sandboxed, settings
from tests.support import require

pytestmark = pytest.mark.anyio

CONNECTIONS = {
    "tcp on loopback": "s = socket.socket(); s.connect(('127.0.0.1', {port}))",
    "tcp elsewhere": "s = socket.socket(); s.connect(('192.0.2.1', 80))",
    "udp": "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('192.0.2.1', 53))",
    "abstract unix": "s = socket.socket(socket.AF_UNIX); s.connect('\\0{abstract}')",
    "unix by path": "s = socket.socket(socket.AF_UNIX); s.connect('{path}')",
    "vsock": "s = socket.socket(40, socket.SOCK_STREAM); s.connect((2, 1))",
    "packet": "s = socket.socket(17, socket.SOCK_RAW)",
    "netlink audit": "s = socket.socket(16, socket.SOCK_RAW, 9)",
    "raw": "s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "name look-up": "socket.getaddrinfo('example.com', 80)",
}


@pytest.mark.attack(
    "Network",
    "TCP, UDP, Unix sockets by path and abstract, vsock, packet, netlink and raw sockets, name look-up",
)
@pytest.mark.parametrize("name", CONNECTIONS)
async def test_no_connection_leaves_the_sandbox(executor: Executor, tmp_path: Path, name: str) -> None:
    path, abstract = tmp_path / "sock", f"lg-test-{os.getpid()}"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as hidden:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(1)
        unix.bind(str(path))
        unix.listen(1)
        hidden.bind(f"\0{abstract}")
        hidden.listen(1)
        attempt = CONNECTIONS[name].format(port=tcp.getsockname()[1], abstract=abstract, path=path)
        shown = await output(executor, f"import socket\nsocket.setdefaulttimeout(3)\n{attempt}\nprint('CONNECTED')")
    assert "CONNECTED" not in shown


@pytest.mark.attack("Network", "nothing: what tests need must go on working")
async def test_loopback_and_unix_sockets_work_inside(executor: Executor) -> None:
    code = (
        "import socket, asyncio, multiprocessing\n"
        "l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen(); c = socket.create_connection(l.getsockname())\n"
        "six = socket.socket(socket.AF_INET6); six.bind(('::1', 0))\n"
        "a, b = socket.socketpair(); u = socket.socket(socket.AF_UNIX); u.bind('/tmp/s')\n"
        "print(socket.getaddrinfo('localhost', 80)[0][4][0] in ('127.0.0.1', '::1'), socket.gethostname())"
    )
    assert await output(executor, code) == "True sandbox\n"


SYSTEM_CALLS = {
    "ptrace": "libc.ptrace(16, os.getppid(), 0, 0)",
    "unshare user": "libc.unshare(0x10000000)",
    "unshare mount": "libc.unshare(0x00020000)",
    "clone into a user namespace": "libc.syscall(56 if x86 else 220, 0x10000000 | 17, 0, 0, 0, 0)",
    "mount": "libc.mount(b'/usr', b'/tmp', None, 4096, None)",
    "umount": "libc.umount2(b'{root}', 2)",
    "keyctl": "libc.syscall(250 if x86 else 219, 0, -3, 0)",
    "bpf": "libc.syscall(321 if x86 else 280, 0, 0, 0)",
    "perf": "libc.syscall(298 if x86 else 241, 0, 0, -1, -1, 0)",
    "io_uring": "libc.syscall(425, 1, 0)",
    "userfaultfd": "libc.syscall(323 if x86 else 282, 0)",
    "open by handle": "libc.syscall(304 if x86 else 265, -100, 0, 0)",
    "chroot": "libc.chroot(b'/tmp')",
    "setns": "libc.setns(0, 0)",
    "process memory": "libc.syscall(310 if x86 else 270, os.getppid(), 0, 0, 0, 0, 0)",
    "new mount api": "libc.syscall(428, -100, b'/', 1)",
    "set the clock": "libc.syscall(227 if x86 else 112, 0, 0)",
    "type into the terminal": "libc.ioctl(0, 0x5412, b'x')",
    "host name": "libc.sethostname(b'x', 1)",
    "raise a limit": "libc.setrlimit(4, (ctypes.c_ulong * 2)(1 << 40, 1 << 40))",
}


@pytest.mark.attack(
    "System calls",
    "ptrace, namespaces, mounts, keys, bpf, perf, io_uring, userfaultfd, handles, chroot, clock, terminal input",
)
@pytest.mark.parametrize("name", SYSTEM_CALLS)
async def test_the_kernel_refuses_what_no_build_needs(executor: Executor, root: Path, name: str) -> None:
    call = SYSTEM_CALLS[name].format(root=root)
    code = (
        "import ctypes, os, platform\nlibc = ctypes.CDLL(None, use_errno=True)\nx86 = platform.machine() == 'x86_64'\n"
        f"print('RESULT', {call}, ctypes.get_errno())"
    )
    shown = await output(executor, code)
    assert "RESULT -1" in shown, shown


@pytest.mark.attack("System calls", "a call by its x32 number")
async def test_a_call_of_a_foreign_abi_ends_the_process(executor: Executor) -> None:
    require(os.uname().machine == "x86_64", "x32 numbers exist on x86-64 only")
    code = "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39); print('ALIVE')"
    with anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.finished.signal == "SIGSYS"
    assert "ALIVE" not in outcome.as_json()["stdout"]


@pytest.mark.attack("Processes", "listing /proc, a signal to the server")
async def test_other_processes_are_neither_seen_nor_signalled(executor: Executor) -> None:
    code = (
        "import os\nprint(len([p for p in os.listdir('/proc') if p.isdigit()]))\n"
        f"try: os.kill({os.getpid()}, 0); print('SIGNALLED')\nexcept OSError as error: print(error)\n"
    )
    shown = await output(executor, code)
    assert int(shown.split()[0]) <= 4
    assert "SIGNALLED" not in shown


@pytest.mark.attack("Processes", "an inheritable descriptor left open by the server")
async def test_no_descriptor_of_the_server_is_inherited(executor: Executor, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        shown = await output(executor, "import os; print(sorted(os.listdir('/proc/self/fd')))")
    finally:
        os.close(fd)
    assert shown == "['0', '1', '2', '3']\n"


@pytest.mark.attack(
    "Privileges", "capabilities, no_new_privs and seccomp of the running command, looked at from inside"
)
async def test_privileges_cannot_be_gained(executor: Executor) -> None:
    code = "print([l for l in open('/proc/self/status') if l.startswith(('Cap', 'NoNewPrivs', 'Seccomp:'))])"
    shown = await output(executor, code)
    assert "NoNewPrivs:\\t1" in shown
    assert "Seccomp:\\t2" in shown
    assert shown.count("0000000000000000") == 5


@pytest.mark.attack("Network", "nothing: a template that a person gave the network must reach it")
async def test_a_template_with_network_reaches_it_and_nothing_else_is_opened(root: Path, tmp_path: Path) -> None:
    online = {"from": "python", "args_allow": ["-c=*..."], "network": True}
    with socket.socket() as listener, sandboxed(root, tmp_path / "s", settings(commands={"py": online})) as executor:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        address = listener.getsockname()
        shown = await output(
            executor,
            f"import os, socket\nsocket.create_connection({address}, 5); print('CONNECTED')\n"
            "print(len([p for p in os.listdir('/proc') if p.isdigit()]), 'UV_OFFLINE' in os.environ)\n"
            f"open({str(tmp_path / 'secret')!r})",
        )
    assert shown.splitlines()[0] == "CONNECTED"
    assert shown.splitlines()[1] == "2 False"
    assert "FileNotFoundError" in shown
