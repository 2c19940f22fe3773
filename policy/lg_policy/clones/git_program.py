"""Runs git for the service: with no settings, hooks, prompts or helpers but those an operator names, and within limits.

Addresses, trees and attributes are hostile. Nothing here may run in a repository whose `.git` something else could
write to: its settings name programs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lg_policy.errors import LgError, LimitExceeded, UpstreamUnavailable

POLL_S = 0.05
SIZE_POLL_S = 1.0
"""Seconds between two looks at how much was written."""
STDERR_BYTES = 4_000
_PASSED = (
    "PATH", "TMPDIR", "SSH_AUTH_SOCK", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)  # fmt: skip
_ALWAYS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.untrackedCache=false", "core.pager=cat",
    "submodule.recurse=false", "fetch.recurseSubmodules=false", "protocol.allow=never", "gc.auto=0",
    "maintenance.auto=false", "http.followRedirects=false", "commit.gpgSign=false", "advice.detachedHead=false",
    "fetch.fsckObjects=false", "diff.external=", "init.defaultBranch=main",
)  # fmt: skip


class GitFailed(UpstreamUnavailable):
    """Git could not do what it was asked for."""


class GitEnded(LgError):
    """Git was ended because nobody waits for it any more."""

    code = "interrupted"


def never() -> bool:
    """Never stop."""
    return False


@dataclass(frozen=True, kw_only=True)
class Git:
    """How git is run."""

    environ: Mapping[str, str]
    config: Path | None = None
    """An operator's settings of git, for credentials and proxies."""
    stopped: Callable[[], bool] = field(default=never)
    """Asked while git runs; it is ended when this is true."""

    def run(
        self,
        *arguments: str,
        scheme: str = "",
        timeout_s: float,
        watched: Path | None = None,
        most_bytes: int = 10**8,
        data: bytes = b"",
        more: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return what git prints. `scheme` is the one transport it may use.

        Ends it after `timeout_s`, or once it has printed or written below `watched` more than `most_bytes`. Raises
        `GitFailed`, `LimitExceeded`, `GitEnded`.
        """
        program = shutil.which("git", path=self.environ.get("PATH"))
        if program is None:
            raise GitFailed("git is not installed on the machine of this worker", hint="install git there")
        argv = [program]
        for setting in (*_ALWAYS, *([f"protocol.{scheme}.allow=always"] if scheme else [])):
            argv += ["-c", setting]
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as given:
            given.write(data)
            given.seek(0)
            process = subprocess.Popen(
                [*argv, *arguments], env=self._environment(scheme, more or {}), cwd="/", stdin=given, stdout=printed,
                stderr=said, start_new_session=True,
            )  # fmt: skip
            try:
                self._watch(process, timeout_s, most_bytes, lambda: _written(watched, printed.fileno()))
            finally:
                _end(process)
            if process.returncode != 0:
                said.seek(0)
                text = said.read(STDERR_BYTES).decode("utf-8", "replace").strip()
                raise GitFailed(f"git {_verb(arguments)} failed: {text or f'status {process.returncode}'}")
            printed.seek(0)
            return printed.read()

    def _watch(
        self, process: subprocess.Popen[bytes], timeout_s: float, most_bytes: int, written: Callable[[], int]
    ) -> None:
        begun = looked = time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
            now, over = time.monotonic(), process.returncode is not None
            if over or now - looked > SIZE_POLL_S:
                looked = now
                if written() > most_bytes:
                    raise LimitExceeded(f"git wrote more than {most_bytes // 1_000_000} MB")
            if over:
                return
            if now - begun > timeout_s:
                raise LimitExceeded(f"git took longer than {timeout_s:g} s")
            if self.stopped():
                raise GitEnded("git was ended before it was done")

    def _environment(self, scheme: str, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: self.environ[name] for name in _PASSED if name in self.environ}
        return {
            **kept,
            "LC_ALL": "C.UTF-8",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": str(self.config) if self.config is not None else os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oClearAllForwardings=yes",
            "GIT_SSH_VARIANT": "ssh",
            "GIT_ALLOW_PROTOCOL": scheme or "none",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            **more,
        }


def _verb(arguments: Sequence[str]) -> str:
    return next((word for word in arguments if not word.startswith(("-", "/"))), "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and whatever it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _written(folder: Path | None, printed: int) -> int:
    total = os.fstat(printed).st_size
    if folder is None:
        return total
    for above, _, names in os.walk(folder, onerror=lambda _error: None):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(above, name)).st_size
    return total
