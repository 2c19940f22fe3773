"""Hides names in a running sandbox: enters its mount namespace, and mounts nothing over each.

An interpreter runs this file alone, since only a process with one thread may enter a user namespace. The argument is a
process of the sandbox. Standard input has the paths, each with a NUL behind it. What could not be hidden is printed in
the same form; a path that the sandbox does not show needs no hiding.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys

OWNER_OF_NAMESPACE = 0xB701
NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000
BIND, READ_ONLY = 4096, 1 | 2 | 4 | 8


def enter(libc: ctypes.CDLL, pid: str) -> None:
    """Enter the namespace of mounts of a process, and the user namespace that owns it. Raises `OSError`."""
    mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    owner = fcntl.ioctl(mounts, OWNER_OF_NAMESPACE)
    own = os.stat("/proc/self/ns/user").st_ino == os.fstat(owner).st_ino
    for namespace, kind in ((mounts, NEW_MOUNTS),) if own else ((owner, NEW_USER), (mounts, NEW_MOUNTS)):
        if libc.setns(namespace, kind):
            raise OSError(ctypes.get_errno(), "cannot enter the sandbox")
    os.chdir("/")


def hide(libc: ctypes.CDLL, path: bytes) -> bool:
    """Mount nothing over a file or a directory. Return whether it is hidden, or not there."""
    if not os.path.lexists(path):
        return True
    if os.path.isdir(path):
        return not libc.mount(b"none", path, b"tmpfs", READ_ONLY, b"size=4k,mode=555")
    return not libc.mount(b"/dev/null", path, None, BIND, None)


def main() -> None:
    """Hide what standard input names."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = [path for path in sys.stdin.buffer.read().split(b"\0") if path]
    enter(libc, sys.argv[1])
    sys.stdout.buffer.write(b"".join(path + b"\0" for path in paths if not hide(libc, path)))


if __name__ == "__main__":
    main()
