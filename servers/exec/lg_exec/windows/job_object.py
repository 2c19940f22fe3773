"""Windows Job Objects by ctypes: groups of processes with common limits. A group ends when its last handle is closed.

Structures, flags and messages are those of Microsoft's reference ("Job Objects", "JOBOBJECT_*"), in the 64-bit layout.
They are written in types of fixed size, so they have that layout on every 64-bit system and can be checked there.

Not covered: a job limits and ends processes, it confines nothing. Memory is what was committed, not what is resident.
Messages of the completion port may get lost, and then a limit that was reached is not named.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from functools import cache
from typing import Any

KILL_ON_JOB_CLOSE = 0x2000
DIE_ON_UNHANDLED_EXCEPTION = 0x400  # no dialogue that waits for somebody
JOB_MEMORY = 0x200
PROCESS_MEMORY = 0x100
ACTIVE_PROCESS = 0x8
JOB_TIME = 0x4
TERMINATED = 1
"""The exit code of processes that `JobObject.terminate` ends."""

_BASIC_ACCOUNTING, _ASSOCIATE_PORT, _EXTENDED_LIMITS = 1, 7, 9
_BREACHES = {1: "cpu", 2: "cpu", 3: "processes", 9: "memory", 10: "memory"}  # JOB_OBJECT_MSG_*
_TERMINATE_AND_SET_QUOTA = 0x0001 | 0x0100
_QUERY_LIMITED = 0x1000
_SUSPEND_RESUME = 0x0002
_SNAP_THREADS = 0x4
_STILL_ACTIVE = 259
_INVALID_HANDLE = c_void_p(-1).value


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION. Times are in units of 100 ns."""

    _fields_ = (
        ("per_process_user_time", c_int64),
        ("per_job_user_time", c_int64),
        ("flags", c_uint32),
        ("minimum_working_set", c_size_t),
        ("maximum_working_set", c_size_t),
        ("active_processes", c_uint32),
        ("affinity", c_size_t),
        ("priority_class", c_uint32),
        ("scheduling_class", c_uint32),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION. Memory in bytes; `io` is IO_COUNTERS."""

    _fields_ = (
        ("basic", BasicLimits),
        ("io", c_uint64 * 6),
        ("process_memory", c_size_t),
        ("job_memory", c_size_t),
        ("peak_process_memory", c_size_t),
        ("peak_job_memory", c_size_t),
    )


class Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION. Times in units of 100 ns, ended processes included."""

    _fields_ = (
        ("user_time", c_int64),
        ("kernel_time", c_int64),
        ("period_user_time", c_int64),
        ("period_kernel_time", c_int64),
        ("page_faults", c_uint32),
        ("total_processes", c_uint32),
        ("active_processes", c_uint32),
        ("terminated_processes", c_uint32),
    )


class CompletionPort(ctypes.Structure):
    """JOBOBJECT_ASSOCIATE_COMPLETION_PORT."""

    _fields_ = (("key", c_void_p), ("port", c_void_p))


class ThreadEntry(ctypes.Structure):
    """THREADENTRY32."""

    _fields_ = (
        ("size", c_uint32),
        ("usage", c_uint32),
        ("thread", c_uint32),
        ("process", c_uint32),
        ("base_priority", c_int32),
        ("delta_priority", c_int32),
        ("flags", c_uint32),
    )


def limits_of(*, memory_bytes: int, processes: int, cpu_s: float) -> ExtendedLimits:
    """Return the limits of a job that ends with its handle. Breaking away is not allowed, so no process leaves it."""
    flags = KILL_ON_JOB_CLOSE | DIE_ON_UNHANDLED_EXCEPTION | JOB_MEMORY | PROCESS_MEMORY | ACTIVE_PROCESS | JOB_TIME
    basic = BasicLimits(flags=flags, active_processes=processes, per_job_user_time=int(cpu_s * 10_000_000))
    return ExtendedLimits(basic=basic, process_memory=memory_bytes, job_memory=memory_bytes)


class JobObject:
    """One job with its limits. Raises `OSError` where Windows refuses, as do its methods."""

    def __init__(self, limits: ExtendedLimits) -> None:
        self._api = _kernel32()
        self._handle = _made("CreateJobObjectW", self._api.CreateJobObjectW(None, None))
        self._port = None
        try:
            self._set(_EXTENDED_LIMITS, limits)
            port = self._api.CreateIoCompletionPort(_INVALID_HANDLE, None, 0, 1)
            self._port = _made("CreateIoCompletionPort", port)
            self._set(_ASSOCIATE_PORT, CompletionPort(key=self._handle, port=self._port))
        except OSError:
            self.close()
            raise

    def _set(self, kind: int, value: ctypes.Structure) -> None:
        done = self._api.SetInformationJobObject(self._handle, kind, byref(value), sizeof(value))
        _made("SetInformationJobObject", done)

    def assign(self, pid: int) -> None:
        """Put a process into the job; what it starts from now on is born there."""
        process = _made("OpenProcess", self._api.OpenProcess(_TERMINATE_AND_SET_QUOTA, False, pid))
        try:
            _made("AssignProcessToJobObject", self._api.AssignProcessToJobObject(self._handle, process))
        finally:
            self._api.CloseHandle(process)

    def terminate(self) -> None:
        """End every process of the job at once, with exit code `TERMINATED`."""
        _made("TerminateJobObject", self._api.TerminateJobObject(self._handle, TERMINATED))

    def accounting(self) -> Accounting:
        """Return what the job's processes have used, and how many run."""
        found = Accounting()
        self._query(_BASIC_ACCOUNTING, found)
        return found

    def peak_memory(self) -> int:
        """Return the most memory that was committed at one time, in bytes."""
        found = ExtendedLimits()
        self._query(_EXTENDED_LIMITS, found)
        return int(found.peak_job_memory)

    def _query(self, kind: int, into: ctypes.Structure) -> None:
        done = self._api.QueryInformationJobObject(self._handle, kind, byref(into), sizeof(into), None)
        _made("QueryInformationJobObject", done)

    def breach(self) -> str | None:
        """Return the name of a limit that Windows says was reached since the last call."""
        named, message, key, data = None, c_uint32(), c_size_t(), c_void_p()
        while self._api.GetQueuedCompletionStatus(self._port, byref(message), byref(key), byref(data), 0):
            named = named or _BREACHES.get(message.value)
        return named

    def close(self) -> None:
        """Close the handles, which ends what is left; again is harmless."""
        for handle in (self._handle, self._port):
            if handle is not None:
                self._api.CloseHandle(handle)
        self._handle = self._port = None


def resume(pid: int) -> None:
    """Let a process go on that was started suspended. Raises `OSError`, also if no thread of it is found."""
    api = _kernel32()
    snapshot = api.CreateToolhelp32Snapshot(_SNAP_THREADS, 0)
    if snapshot == _INVALID_HANDLE:
        raise _failure("CreateToolhelp32Snapshot")
    resumed = 0
    try:
        entry = ThreadEntry(size=sizeof(ThreadEntry))
        more = api.Thread32First(snapshot, byref(entry))
        while more:
            if entry.process == pid:
                _resume_thread(api, entry.thread)
                resumed += 1
            more = api.Thread32Next(snapshot, byref(entry))
    finally:
        api.CloseHandle(snapshot)
    if not resumed:
        raise OSError(f"process {pid} has no thread to resume")


def _resume_thread(api: Any, number: int) -> None:
    thread = _made("OpenThread", api.OpenThread(_SUSPEND_RESUME, False, number))
    try:
        if api.ResumeThread(thread) == 0xFFFFFFFF:
            raise _failure("ResumeThread")
    finally:
        api.CloseHandle(thread)


def runs(pid: int) -> bool:
    """Return whether a process with that number runs."""
    api = _kernel32()
    process = api.OpenProcess(_QUERY_LIMITED, False, pid)
    if process is None:
        return False
    code = c_uint32()
    try:
        _made("GetExitCodeProcess", api.GetExitCodeProcess(process, byref(code)))
    finally:
        api.CloseHandle(process)
    return code.value == _STILL_ACTIVE


def _made(function: str, result: Any) -> Any:
    if not result:
        raise _failure(function)
    return result


def _failure(function: str) -> OSError:
    if sys.platform != "win32":
        return OSError(f"{function} failed")
    return OSError(None, f"{function}: {ctypes.FormatError()}", None, ctypes.get_last_error())


_RETURNS = {
    "CreateJobObjectW": (c_void_p, (c_void_p, c_void_p)),
    "SetInformationJobObject": (c_int32, (c_void_p, c_int32, c_void_p, c_uint32)),
    "QueryInformationJobObject": (c_int32, (c_void_p, c_int32, c_void_p, c_uint32, c_void_p)),
    "AssignProcessToJobObject": (c_int32, (c_void_p, c_void_p)),
    "TerminateJobObject": (c_int32, (c_void_p, c_uint32)),
    "CreateIoCompletionPort": (c_void_p, (c_void_p, c_void_p, c_size_t, c_uint32)),
    "GetQueuedCompletionStatus": (c_int32, (c_void_p, c_void_p, c_void_p, c_void_p, c_uint32)),
    "OpenProcess": (c_void_p, (c_uint32, c_int32, c_uint32)),
    "GetExitCodeProcess": (c_int32, (c_void_p, c_void_p)),
    "OpenThread": (c_void_p, (c_uint32, c_int32, c_uint32)),
    "ResumeThread": (c_uint32, (c_void_p,)),
    "CreateToolhelp32Snapshot": (c_void_p, (c_uint32, c_uint32)),
    "Thread32First": (c_int32, (c_void_p, c_void_p)),
    "Thread32Next": (c_int32, (c_void_p, c_void_p)),
    "CloseHandle": (c_int32, (c_void_p,)),
}


@cache
def _kernel32() -> Any:
    if sys.platform != "win32":
        raise OSError("job objects exist on Windows only")
    library = ctypes.WinDLL("kernel32", use_last_error=True)
    for name, (result, arguments) in _RETURNS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
