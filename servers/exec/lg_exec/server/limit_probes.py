"""Whether the limits hold on this machine. `doctor` goes over each of them with a small command."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass, field, replace
from typing import Any

from lg_exec.process.container import Finished, Limits, Timing
from lg_exec.process.run import run
from lg_exec.sandbox.interface import NOT_LIMITED, Backend, CommandJob
from lg_exec.sandbox.probes import own_python
from lg_exec.windows.job_object import runs
from lg_policy.errors import LgError

_AMPLE = Limits(
    timeout_s=20, cpu_s=20, memory_mb=512, processes=64, open_files=256, file_mb=64, disk_mb=64, output_kb=64
)
_TIMING = Timing(grace_s=0.2, progress_s=60)
HELD = "held"


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """Code that goes over one limit; `lowered` are the limits that differ from the ample ones."""

    code: str
    lowered: dict[str, Any] = field(default_factory=dict)


_TRIALS = {
    "time": _Trial(code="import time; time.sleep(60)", lowered={"timeout_s": 0.5}),
    "cpu": _Trial(code="while True: pass", lowered={"cpu_s": 0.3}),
    "memory": _Trial(
        code="import time; kept = [bytearray(1 << 20) for _ in range(300)]; time.sleep(1.5)", lowered={"memory_mb": 64}
    ),
    "processes": _Trial(
        code="import subprocess, sys, time\nsleep = [sys.executable, '-I', '-S', '-c', 'import time; time.sleep(3)']\n"
        "kept = [subprocess.Popen(sleep) for _ in range(12)]\ntime.sleep(1.5)"
        if sys.platform == "win32"
        else "import os, time\nfor _ in range(60):\n    if os.fork() == 0: break\ntime.sleep(1.5)",
        lowered={"processes": 6 if sys.platform == "win32" else 20},
    ),
    "open_files": _Trial(code="kept = [open('/dev/null') for _ in range(100)]", lowered={"open_files": 50}),
    "file_size": _Trial(
        code="import os\nwith open(os.environ['TMPDIR'] + '/x', 'wb') as file: file.write(bytes(3 << 20))",
        lowered={"file_mb": 1},
    ),
    "disk": _Trial(
        code="import os\nfor n in range(10):\n    with open(os.environ['TMPDIR'] + f'/{n}', 'wb') as file:\n"
        "        file.write(bytes(1 << 20))",
        lowered={"disk_mb": 5},
    ),
}


async def try_limits(backend: Backend) -> dict[str, str]:
    """Go over every limit. The result maps its name to "held" or to what happened instead. Takes some seconds."""
    trials = {name: trial for name, trial in _TRIALS.items() if backend.report.enforced.get(name) != NOT_LIMITED}
    results = {name: await _try(backend, name, trial) for name, trial in trials.items()}
    results["output"] = await _flood(backend)
    results["end of daemons"] = await (_detached(backend) if sys.platform == "win32" else _daemon(backend))
    return results


async def _run(backend: Backend, code: str, limits: Limits) -> Finished:
    job = CommandJob(
        program=own_python(), args=("-I", "-S", "-c", code), env={}, cwd="", root_mode="ro", network=False,
        limits=limits,
    )  # fmt: skip
    return await run(backend.contain(job), stdin=b"", limits=limits, timing=_TIMING)


async def _try(backend: Backend, name: str, trial: _Trial) -> str:
    try:
        done = await _run(backend, trial.code, replace(_AMPLE, **trial.lowered))
    except (LgError, OSError) as error:
        return f"failed: {error}"
    return HELD if done.limit_hit == name else f"NOT HELD: {_ending(done)}"


async def _flood(backend: Backend) -> str:
    try:
        done = await _run(backend, "print('x' * 1_000_000)", _AMPLE)
    except (LgError, OSError) as error:
        return f"failed: {error}"
    return HELD if done.stdout.dropped else f"NOT HELD: {_ending(done)}"


async def _daemon(backend: Backend) -> str:
    mark = f"lg-exec-doctor-{secrets.token_hex(8)}"
    code = (
        "import os, signal, sys\nfor number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
        "if os.fork(): sys.exit()\nos.setsid()\nif os.fork(): os._exit(0)\n"
        f"os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(20)', {mark!r}])"
    )
    try:
        await _run(backend, code, _AMPLE)
    except (LgError, OSError) as error:
        return f"failed: {error}"
    return "NOT HELD: a daemon is left" if _runs(mark) else HELD


async def _detached(backend: Backend) -> str:
    """Do on Windows what `_daemon` does. The process that is left behind prints its number, it bears no mark."""
    code = (
        "import subprocess, sys\nsleep = [sys.executable, '-I', '-S', '-c', 'import time; time.sleep(20)']\n"
        "print(subprocess.Popen(sleep, creationflags=0x8, stdin=-3, stdout=-3, stderr=-3).pid)"
    )
    try:
        done = await _run(backend, code, _AMPLE)
        left = runs(int(done.stdout.text()))
    except (LgError, OSError, ValueError) as error:
        return f"failed: {error}"
    return "NOT HELD: a detached process is left" if left else HELD


def _ending(done: Finished) -> str:
    return f"exit {done.exit_code}, signal {done.signal}, limit {done.limit_hit}, {done.stderr.text()[-200:].strip()}"


def _runs(mark: str) -> bool:
    """Return whether a process has the mark as an argument."""
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    return True
        except OSError:
            continue  # ended meanwhile
    return False
