"""The system call filter, run by an interpreter of its instructions, for both architectures."""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from lg_policy.sandbox import seccomp
from tests.support import require

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = pytest.mark.parametrize("machine", ARCHITECTURES)
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_TIPC, AF_VSOCK = 1, 2, 10, 16, 17, 30, 40
STREAM, DATAGRAM, RAW, CLOEXEC = 1, 2, 3, 0o2000000


def answer(machine: str, number: int, *args: int, arch: int | None = None) -> int:
    """What the filter says to a call."""
    program = seccomp.build(machine)
    assert program is not None
    steps = [struct.unpack("=HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
    padded = [*args, *[0] * (6 - len(args))]
    data = struct.pack("=iIQ6Q", number, ARCHITECTURES[machine] if arch is None else arch, 0, *padded)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += if_true if holds else if_false


def number_of(machine: str, name: str) -> int:
    return seccomp.numbers(machine)[name]


@MACHINES
def test_what_no_build_needs_is_refused_and_what_is_newer_than_needed_is_absent(machine: str) -> None:
    refused = ["ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "perf_event_open", "kexec_load", "fsopen"]
    refused += ["process_vm_readv", "open_by_handle_at", "userfaultfd", "pidfd_getfd", "init_module", "reboot"]
    for name in refused:
        assert answer(machine, number_of(machine, name)) == ERRNO | errno.EPERM, name
    for name in ("io_uring_setup", "io_uring_enter", "clone3"):
        assert answer(machine, number_of(machine, name)) == ERRNO | errno.ENOSYS, name


@MACHINES
def test_every_other_call_is_allowed(machine: str) -> None:
    special = {name: number for name, number in seccomp.numbers(machine).items() if name != "arch"}
    others = [number for number in range(480) if number not in special.values()]
    assert {answer(machine, number) for number in others} == {ALLOW}


@MACHINES
def test_clone_starts_threads_and_processes_but_no_namespace(machine: str) -> None:
    clone = number_of(machine, "clone")
    assert answer(machine, clone, 0x11) == ALLOW
    assert answer(machine, clone, 0x3D0F00) == ALLOW  # a thread
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(machine, clone, flag | 0x11) == ERRNO | errno.EPERM, hex(flag)


@MACHINES
@pytest.mark.parametrize("call", ["socket", "socketpair"])
def test_only_sockets_that_tests_need_can_be_made(machine: str, call: str) -> None:
    number = number_of(machine, call)
    for family in (AF_UNIX, AF_INET, AF_INET6):
        for kind in (STREAM, DATAGRAM, STREAM | CLOEXEC):
            assert answer(machine, number, family, kind, 0) == ALLOW
    assert answer(machine, number, AF_INET, RAW, 1) == ERRNO | errno.EPERM
    assert answer(machine, number, AF_INET6, RAW | CLOEXEC, 58) == ERRNO | errno.EPERM
    assert answer(machine, number, AF_NETLINK, RAW, 9) == ERRNO | errno.EAFNOSUPPORT
    for family in (0, AF_PACKET, AF_TIPC, AF_VSOCK, 38):
        assert answer(machine, number, family, STREAM, 0) == ERRNO | errno.EAFNOSUPPORT


@MACHINES
def test_nothing_is_typed_into_the_terminal(machine: str) -> None:
    ioctl = number_of(machine, "ioctl")
    assert answer(machine, ioctl, 0, 0x5401) == ALLOW
    for request in (0x5412, 0x541C, 1 << 32 | 0x5412):  # the kernel looks at 32 bits only
        assert answer(machine, ioctl, 0, request) == ERRNO | errno.EPERM


@MACHINES
def test_numbers_of_a_foreign_architecture_end_the_process(machine: str) -> None:
    for arch in (0x40000003, 0x40000028, 0, *ARCHITECTURES.values()):
        if arch != ARCHITECTURES[machine]:
            assert answer(machine, 1, arch=arch) == KILL
    if machine == "x86_64":
        assert answer(machine, 0x40000001) == KILL


def test_there_is_no_filter_for_an_architecture_without_a_table() -> None:
    assert seccomp.build("riscv64") is None


@MACHINES
def test_the_numbers_are_those_of_the_kernels_own_headers(machine: str) -> None:
    """arm64 uses the generic table; every Linux machine has that header."""
    headers = {
        "aarch64": "/usr/include/asm-generic/unistd.h",
        "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    }
    if machine == "x86_64" and os.uname().machine != machine:
        return
    header = Path(headers[machine])
    require(header.exists(), "the kernel's headers (linux-libc-dev)")
    known = {
        name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    }
    mine = {name: number for name, number in seccomp.numbers(machine).items() if name in known}
    assert {name: known[name] for name in mine} == mine
    assert len(mine) > 50
