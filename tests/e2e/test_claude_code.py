"""Claude Code itself reads what was installed for it, with `CLAUDE_CLI=/path/to/claude`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.e2e.programs import lg_gateway


def test_claude_code_connects_to_what_was_installed(tmp_path: Path, project: Path, environ: dict[str, str]) -> None:
    claude = str(shutil.which(os.environ["CLAUDE_CLI"]))
    lg_gateway("install", "claude-code", cwd=project, environ=environ)

    def listed() -> str:
        argv = [claude, "mcp", "list"]
        done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "✔ Connected" in listed()
    lg_gateway("install", "claude-code", "--remove", cwd=project, environ=environ)
    kept = json.loads((tmp_path / "home" / ".claude.json").read_bytes())
    assert "firstStartTime" in kept, "Claude Code has written into its file meanwhile"
    assert not kept["mcpServers"]
    assert "lg-gateway" not in listed()
