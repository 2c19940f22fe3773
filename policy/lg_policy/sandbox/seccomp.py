"""The seccomp filter of the sandbox: the kernel refuses calls that builds and tests never need. Pure, no libseccomp.

It is a deny list, because an allow list breaks compilers and language runtimes. Namespaces and missing capabilities do
the confining; the filter leaves less of the kernel to a command that looks for a hole in them. A call of a foreign ABI
(32-bit, x32) ends the process, because its number would slip past the list.

Not covered: faults of the kernel in calls that are allowed. Architectures other than x86-64 and arm64 get no filter.
"""

from __future__ import annotations

import platform
import struct

_LD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS, _EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026, 0x00050061
_NR, _ARCH, _ARG0, _ARG1, _ARG2 = 0, 4, 16, 24, 32


def _names(*lines: str) -> list[str]:
    return " ".join(lines).split()


_REFUSED = _names(
    "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd keyctl add_key request_key bpf perf_event_open",
    "userfaultfd mount umount2 pivot_root chroot setns unshare kexec_load kexec_file_load init_module",
    "finit_module delete_module open_by_handle_at open_tree move_mount fsopen fsconfig fsmount fspick",
    "mount_setattr swapon swapoff reboot settimeofday clock_settime acct quotactl quotactl_fd fanotify_init",
    "syslog move_pages migrate_pages vhangup sethostname setdomainname lookup_dcookie open_tree_attr",
)
_REFUSED_X86_64 = _names("modify_ldt iopl ioperm")
_ABSENT = ["io_uring_setup", "io_uring_enter", "io_uring_register", "clone3"]  # callers fall back to something older
# Numbers from 424 on are the same everywhere.
_COMMON = {
    "pidfd_getfd": 438, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "mount_setattr": 442, "quotactl_fd": 443, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "clone3": 435, "open_tree_attr": 467,
}  # fmt: skip
_X86_64 = _COMMON | {
    "arch": 0xC000003E, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "keyctl": 250,
    "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "mount": 165,
    "umount2": 166, "pivot_root": 155, "chroot": 161, "setns": 308, "unshare": 272, "kexec_load": 246,
    "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176, "open_by_handle_at": 304,
    "swapon": 167, "swapoff": 168, "reboot": 169, "settimeofday": 164, "clock_settime": 227, "acct": 163,
    "quotactl": 179, "fanotify_init": 300, "syslog": 103, "move_pages": 279, "migrate_pages": 256, "vhangup": 153,
    "sethostname": 170, "setdomainname": 171, "lookup_dcookie": 212, "socket": 41, "clone": 56, "ioctl": 16,
    "socketpair": 53, "modify_ldt": 154, "iopl": 172, "ioperm": 173,
}  # fmt: skip
_AARCH64 = _COMMON | {
    "arch": 0xC00000B7, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "keyctl": 219,
    "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "mount": 40,
    "umount2": 39, "pivot_root": 41, "chroot": 51, "setns": 268, "unshare": 97, "kexec_load": 104,
    "kexec_file_load": 294, "init_module": 105, "finit_module": 273, "delete_module": 106, "open_by_handle_at": 265,
    "swapon": 224, "swapoff": 225, "reboot": 142, "settimeofday": 170, "clock_settime": 112, "acct": 89,
    "quotactl": 60, "fanotify_init": 262, "syslog": 116, "move_pages": 239, "migrate_pages": 238, "vhangup": 58,
    "sethostname": 161, "setdomainname": 162, "lookup_dcookie": 18, "socket": 198, "clone": 220, "ioctl": 29,
    "socketpair": 199,
}  # fmt: skip
_TABLES = {"x86_64": _X86_64, "aarch64": _AARCH64}

_NEW_NAMESPACES = 0x7E020000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into, or paste into, the terminal the server was started from
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_RAW, _TYPE_MASK = 3, 0xF


def numbers(machine: str) -> dict[str, int]:
    """Return the numbers of the calls that the filter knows, and as `arch` that of the architecture."""
    return dict(_TABLES[machine])


def build(machine: str | None = None) -> bytes | None:
    """Return the filter program for `bwrap --seccomp`; `None` for an architecture without a table."""
    table = _TABLES.get(machine or platform.machine())
    if table is None:
        return None
    program = [_op(_LD, _ARCH), _op(_JEQ, table["arch"], 1, 0), _op(_RET, _KILL), _op(_LD, _NR)]
    if table is _X86_64:
        program += [_op(_JGE, 0x40000000, 0, 1), _op(_RET, _KILL)]  # x32 carries bit 30
    for name in (*_REFUSED, *(_REFUSED_X86_64 if table is _X86_64 else ())):
        program += [_op(_JEQ, table[name], 0, 1), _op(_RET, _EPERM)]
    for name in _ABSENT:
        program += [_op(_JEQ, table[name], 0, 1), _op(_RET, _ENOSYS)]
    program += _only_for(table["clone"], [_op(_LD, _ARG0), _op(_JSET, _NEW_NAMESPACES, 0, 1), _op(_RET, _EPERM)])
    terminal = [_op(_LD, _ARG1), _op(_JEQ, _TIOCSTI, 1, 0), _op(_JEQ, _TIOCLINUX, 0, 1), _op(_RET, _EPERM)]
    program += _only_for(table["ioctl"], terminal)
    program += _only_for(table["socket"], _sockets()) + _only_for(table["socketpair"], _sockets())
    return b"".join([*program, _op(_RET, _ALLOW)])


def _sockets() -> list[bytes]:
    """Allow Unix, IPv4 and IPv6 without raw sockets, and the routing socket that libc asks for interfaces."""
    return [
        _op(_LD, _ARG0),
        _op(_JEQ, _AF_UNIX, 6, 0),
        _op(_JEQ, _AF_INET, 5, 0),
        _op(_JEQ, _AF_INET6, 4, 0),
        _op(_JEQ, _AF_NETLINK, 0, 2),
        _op(_LD, _ARG2),
        _op(_JEQ, 0, 5, 0),
        _op(_RET, _EAFNOSUPPORT),
        _op(_LD, _ARG1),
        _op(_AND, _TYPE_MASK),
        _op(_JEQ, _SOCK_RAW, 0, 1),
        _op(_RET, _EPERM),
    ]


def _only_for(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body`, which may return, for one system call. Then load the number of the call again."""
    return [_op(_JEQ, number, 0, len(body)), *body, _op(_LD, _NR)]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
