"""The attempts that a sandbox must refuse, made from inside. An interpreter reads this file alone, from its stdin.

No attempt does harm if it succeeds, because a server that runs as root may have a broken sandbox.

The argument is a JSON object. The output is another, with "refused" or the achievement of each attempt.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys

TYPE_CHECKING = False  # the typing module would cost more than all attempts together
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

GIVEN: dict[str, Any] = json.loads(sys.argv[1]) if __name__ == "__main__" else {}
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, MS_BIND = 0x10000000, 4096


def refused(action: Callable[[], object]) -> str:
    """Run an attempt that must raise `OSError`."""
    try:
        achieved = action()
    except OSError:
        return "refused"
    return "achieved: " + str(achieved)[:200]


def permission(result: int) -> str:
    """Return whether a libc call was refused for lack of permission. On other failures the kernel considered it."""
    code = ctypes.get_errno()
    return "refused" if result != 0 and code == errno.EPERM else f"achieved: result {result}, errno {code}"


def read(path: str) -> bytes:
    """Read a file."""
    with open(path, "rb") as file:
        return file.read(100)


def write(path: str) -> int:
    """Write a new file."""
    with open(path, "xb") as file:
        return file.write(b"escaped")


def may_write(path: str) -> str:
    """Open an existing file for writing, but write nothing: success must do no harm."""
    os.close(os.open(path, os.O_WRONLY))
    return "opened"


def may_create(path: str) -> str:
    """Make a file and remove it again."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)
    return "created"


def connect(family: int, address: Any) -> str:
    """Connect a stream socket."""
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(2)
        one.connect(address)
        return "connected"


def loopback() -> str:
    """Connect to a listener of our own. Test suites need that."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        connect(socket.AF_INET, listener.getsockname())
    return "works"


def status() -> str:
    """Ask the kernel about this process."""
    lines = dict(line.split(":", 1) for line in read_text("/proc/self/status").splitlines() if ":" in line)
    wanted = {"NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16}
    if GIVEN["seccomp"]:
        wanted["Seccomp"] = "2"
    wrong = [name for name, value in wanted.items() if lines.get(name, "").strip() != value]
    return "achieved: " + ", ".join(wrong) if wrong else "refused"


def read_text(path: str) -> str:
    """Read a file as text."""
    with open(path) as file:
        return file.read()


def others() -> str:
    """Look for processes other than our own few."""
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    return "refused" if len(pids) <= 4 else f"achieved: sees {len(pids)} processes"


def descriptors() -> str:
    """Look for inherited descriptors beyond the standard three. One more is open while they are listed."""
    extra = [name for name in os.listdir("/proc/self/fd") if int(name) > 2]
    return "refused" if len(extra) <= 1 else "achieved: inherited " + ", ".join(extra)


EVERYWHERE: dict[str, Callable[[], str]] = {
    "read outside": lambda: refused(lambda: read(GIVEN["secret"])),
    "write outside": lambda: refused(lambda: write(GIVEN["outside"])),
    "write to the system": lambda: refused(lambda: may_create("/usr/lg-exec-probe")),
    "connect to the host": lambda: refused(lambda: connect(socket.AF_INET, ("127.0.0.1", GIVEN["port"]))),
    "signal outside": lambda: refused(lambda: os.kill(GIVEN["pid"], 0)),
}
ON_LINUX: dict[str, Callable[[], str]] = {
    "read the launcher's environment": lambda: "achieved: seen" if b"PATH=" in read("/proc/1/environ") else "refused",
    "write a kernel setting": lambda: refused(lambda: may_write("/proc/sys/kernel/core_pattern")),
    "connect to an abstract socket": lambda: refused(lambda: connect(socket.AF_UNIX, "\0" + GIVEN["abstract"])),
    "see other processes": others,
    "inherit descriptors": descriptors,
    "new user namespace": lambda: permission(LIBC.unshare(CLONE_NEWUSER)),
    "mount": lambda: permission(LIBC.mount(b"/usr", b"/lg-exec-no-such-place", None, MS_BIND, None)),
    "keep privileges": status,
    "loopback inside": loopback,
}


def main() -> None:
    """Make every attempt."""
    results = {}
    for name, attempt in {**EVERYWHERE, **(ON_LINUX if sys.platform == "linux" else {})}.items():
        try:
            results[name] = attempt()
        except Exception as error:  # noqa: BLE001  # a probe that fails oddly has proved nothing
            results[name] = f"failed: {error!r}"
    if GIVEN["overlay"]:
        results["write below the root"] = refused(lambda: write(GIVEN["inside"]))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
