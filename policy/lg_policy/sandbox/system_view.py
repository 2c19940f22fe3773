"""What every sandbox sees of the system: programs and libraries, generated account files, a bare `/proc` and `/dev`.

Everything here is read-only. Files of the kernel that root could write even without capabilities, such as `/proc/sys`,
are read-only or hidden.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

SYSTEM_PREFIXES = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
"""What every sandbox shows."""
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "ssl/openssl.cnf",
    "pki/tls/certs", "pki/ca-trust/extracted", "crypto-policies", "localtime", "timezone",
    "mime.types", "protocols", "services", "terminfo",
)  # fmt: skip
_PROC_DIRS = ("acpi", "asound", "driver", "fs", "pressure", "scsi")
_PROC_FILES = (
    "cmdline", "config.gz", "kcore", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "mtrr",
    "sched_debug", "sysrq-trigger", "timer_list",
)  # fmt: skip
_ACCOUNTS = {
    "passwd": "sandbox:x:1000:1000:sandbox:{home}:/bin/sh\nroot:x:0:0:root:/:/bin/false\n"
    "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "group": "sandbox:x:1000:\nroot:x:0:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    "empty": "",
}
EMPTY = "empty"
"""The generated file that stands in for files that are hidden."""
NOTHING = "nothing"
"""An empty directory beside them, which stands in for directories that are hidden."""


def system_mounts(accounts: str, *, network: bool) -> Iterator[str]:
    """Yield bubblewrap's options for programs, libraries and account files; `network`: also how names are found."""
    yield from ("--ro-bind", "/usr", "/usr")
    for place in _SYSTEM:
        if os.path.islink(place):
            yield from ("--symlink", os.readlink(place), place)
        elif os.path.isdir(place):
            yield from ("--ro-bind", place, place)
    if os.path.isdir("/nix/store"):
        yield from ("--ro-bind", "/nix/store", "/nix/store")
    yield from ("--perms", "0755", "--dir", "/etc")
    for name in _ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for name in _ACCOUNTS:
        if name != EMPTY:
            yield from ("--ro-bind", f"{accounts}/{name}", f"/etc/{name}")
    if network:
        yield from ("--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf")


def kernel_mounts(accounts: str) -> Iterator[str]:
    """Yield bubblewrap's options for `/proc` and `/dev`."""
    yield from ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    for name in _PROC_DIRS:
        if os.path.isdir(f"/proc/{name}"):
            yield from ("--size", "4096", "--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}")
    for name in _PROC_FILES:
        if _could_be_opened(f"/proc/{name}"):
            yield from ("--ro-bind", f"{accounts}/{EMPTY}", f"/proc/{name}")
    yield from ("--dev", "/dev")


def accounts_complete(directory: str) -> bool:
    """Return whether the generated files are there."""
    return all(os.path.exists(os.path.join(directory, name)) for name in (NOTHING, *_ACCOUNTS))


def write_accounts(directory: str, home: str) -> None:
    """Write the generated files, as far as they are missing. A running command may have those that are there."""
    os.makedirs(os.path.join(directory, NOTHING), mode=0o755, exist_ok=True)
    for name, text in _ACCOUNTS.items():
        path = os.path.join(directory, name)
        if os.path.exists(path):
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.format(home=home))
        os.chmod(path, 0o444)


def _could_be_opened(path: str) -> bool:
    """Return whether this user may open the file at all. Each mount costs a call some hundredths of a millisecond."""
    return os.access(path, os.R_OK) or os.access(path, os.W_OK)
