"""Whether a backend is a sandbox on this machine. The probes try to break out of it; version numbers do not count."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from lg_exec.process.container import Finished, Limits, Timing
from lg_exec.process.environment import Program
from lg_exec.process.run import run
from lg_exec.sandbox.interface import CommandJob
from lg_policy.errors import LgError

if TYPE_CHECKING:
    from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend
    from lg_exec.sandbox.seatbelt import SeatbeltBackend

_LIMITS = Limits(
    timeout_s=20, cpu_s=20, memory_mb=512, processes=32, open_files=256, file_mb=16, disk_mb=16, output_kb=64
)


@dataclass(frozen=True, kw_only=True)
class _EscapeTargets:
    """What the attempts try to reach outside the sandbox: a secret, places to write, listeners, this process."""

    secret: str
    outside: str
    inside: str
    port: int
    abstract: str
    pid: int


async def attempt(backend: BubblewrapBackend | SeatbeltBackend, root: str) -> dict[str, str]:
    """Make every attempt inside the backend. The result maps its name to "refused" or to what happened instead."""
    with _targets(root) as targets:
        timing = Timing(grace_s=0.5, progress_s=60)
        source = files("lg_exec.sandbox").joinpath("escape_attempts.py").read_bytes()
        try:
            container = backend.contain(_job(backend, targets))
            done = await run(container, stdin=source, limits=_LIMITS, timing=timing)
        except (LgError, OSError) as error:
            return {"start": f"failed: {error}"}
        return _judge(done, targets)


def own_python() -> Program:
    """Return this interpreter's real program. That of a virtual environment may lie where the sandbox shows nothing."""
    base = (sys.base_prefix, os.path.realpath(sys.base_prefix))
    return Program(
        path=os.path.realpath(sys.executable),
        prefixes=tuple(dict.fromkeys(prefix for prefix in base if not f"{prefix}/".startswith("/usr/"))),
    )


def _job(backend: BubblewrapBackend | SeatbeltBackend, targets: _EscapeTargets) -> CommandJob:
    given = {**asdict(targets), "overlay": backend.overlays, "seccomp": backend.filters}
    return CommandJob(
        program=own_python(),
        args=("-I", "-S", "-", json.dumps(given)),
        env={},
        cwd="",
        root_mode="overlay" if backend.overlays else "ro",
        network=False,
        limits=_LIMITS,
        masked=False,
    )


def _judge(done: Finished, targets: _EscapeTargets) -> dict[str, str]:
    try:
        results = {str(name): str(result) for name, result in json.loads(done.stdout.text()).items()}
    except ValueError:
        return {"start": f"failed: exit {done.exit_code} {done.signal} {done.stderr.text()[-500:]}"}
    if "write below the root" in results:
        # Inside, the write must work, because that is what an overlay is for. Outside, nothing may be seen of it.
        worked = results["write below the root"] != "refused"
        leaked = os.path.lexists(targets.inside)
        results["write below the root"] = "works" if worked and not leaked else f"worked {worked}, leaked {leaked}"
    if os.path.lexists(targets.outside):
        results["write outside"] = "achieved: the file exists"
    return results


def failures(results: Mapping[str, str]) -> list[str]:
    """Return the attempts that were not refused, and what does not work inside but should."""
    return [f"{name}: {result}" for name, result in results.items() if result not in ("refused", "works")]


@contextmanager
def _targets(root: str) -> Iterator[_EscapeTargets]:
    with tempfile.TemporaryDirectory(prefix="lg-exec-probe-") as directory:
        secret = os.path.join(directory, "secret")
        with open(secret, "w", encoding="ascii") as file:
            file.write("secret")
        mark = secrets.token_hex(8)
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen(1)
            if sys.platform == "linux":  # abstract names exist there only
                unix.bind(f"\0lg-exec-probe-{mark}")
                unix.listen(1)
            yield _EscapeTargets(
                secret=secret,
                outside=os.path.join(directory, "written"),
                inside=os.path.join(root, f".lg-exec-probe-{mark}"),
                port=tcp.getsockname()[1],
                abstract=f"lg-exec-probe-{mark}",
                pid=os.getpid(),
            )
