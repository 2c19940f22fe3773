"""The command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lg_exec.cli import main

HEAVY = """
import sys
from lg_exec.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print([m for m in ("mcp", "pydantic", "re2", "jsonschema", "pathspec") if m in sys.modules])
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_doctor_says_that_the_sandbox_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "--sandbox", "off", "doctor"]) == 0
    shown = capsys.readouterr().out
    assert "OFF in the settings" in shown
    assert "limit: memory" in shown
    assert "NOT HELD" not in shown


def test_a_wrong_root_ends_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path / "missing"), "doctor"]) == 2
    assert "missing" in capsys.readouterr().err


def test_a_malformed_template_ends_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[exec.commands.x]\nargs_allow = ["--opt="]\n')
    assert main(["--root", str(tmp_path), "--config", str(config), "doctor"]) == 2
    assert "--opt=" in capsys.readouterr().err


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argument", ["doctor", "--help"])
def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path, argument: str, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "lg_exec", "--root", str(tmp_path), argument],
            stdout=output, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.stderr == ""
