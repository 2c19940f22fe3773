"""Commands of `lg-gateway`, run to their end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.gateway.rig import program_environment


def run(*args: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "lg_gateway", *args],
        capture_output=True,
        text=True,
        env=program_environment(environment),
        timeout=60,
        cwd=cwd,
    )


def pins(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "lg_gateway", "pins", *args, "--config", str(tmp_path / "gateway.toml")]
    return subprocess.run(command, capture_output=True, text=True, env=program_environment())
