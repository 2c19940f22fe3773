"""Installed with pip into an environment of its own, without the clone: the servers alone, and all of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.third_party import python_program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a build needs, apart from the clone: a build may leave things behind."""
    target = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target / name)
    for name in ("policy", "servers", "gateway", "orchestrator"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def run(program: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *args], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False
    )


def test_the_servers_and_the_gateway_work_without_the_orchestrators_extra(
    source: Path, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway = python_program(tmp_path_factory.mktemp("base"), str(source), "lg-gateway")
    listed = run(gateway, "tools", cwd=project)
    refused = run(str(Path(gateway).with_name("lg-orch")), "run", "summarize repo", cwd=project)
    assert listed.returncode == 0, listed.stderr
    assert "fs__apply_patch" in listed.stdout
    assert refused.returncode == 2
    assert "[orch]" in refused.stderr


def test_the_main_job_works_with_the_extra(
    source: Path, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    orch = python_program(tmp_path_factory.mktemp("orch"), f"{source}[orch]", "lg-orch")
    done = run(orch, "run", "summarize repo", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "tidal.cli:main" in done.stdout
