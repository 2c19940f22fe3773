"""The lines that our programs print about installing name this environment and what is missing in it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lg_policy.install_hints import extra_command, extra_packages, install_command

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_named_by_its_packages_since_an_index_may_not_have_ours(extra: str) -> None:
    assert {Requirement(text) for text in extra_packages(extra)} == {Requirement(text) for text in EXTRAS[extra]}
    assert "lg-orchestration-platform" not in extra_command(extra)


def test_the_line_installs_into_the_environment_of_the_program() -> None:
    assert shlex.split(install_command("a[b]>=1")) == [sys.executable, "-m", "pip", "install", "a[b]>=1"]


def test_without_pip_as_in_an_environment_of_uv_the_line_uses_uv() -> None:
    code = (
        "import sys; sys.modules['pip'] = None\n"
        "from lg_policy.install_hints import install_command; print(install_command('a'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["uv", "pip", "install", "--python", sys.executable, "a"], done.stderr


def test_no_program_tells_anybody_to_install_our_distribution_by_name() -> None:
    folders = ("policy", "servers", "gateway", "orchestrator")
    texts = {path: path.read_text("utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert [path for path, text in texts.items() if "lg-orchestration-platform[" in text] == []
