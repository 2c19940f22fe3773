"""Installed with pip into an environment of its own, without the clone: the servers alone, and all of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import require
from tests.third_party import python_program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a build needs, apart from the clone: a build may leave things behind."""
    target = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target / name)
    for name in ("policy", "servers", "gateway", "orchestrator", "console"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def run(program: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *args], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False
    )


def test_the_servers_work_without_the_orchestrators_extra_and_the_main_job_with_it(
    source: Path, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway = python_program(tmp_path_factory.mktemp("base"), str(source), "lg-gateway")
    orch = str(Path(gateway).with_name("lg-orch"))
    listed = run(gateway, "tools", cwd=project)
    refused = run(orch, "run", "summarize repo", cwd=project)
    assert listed.returncode == 0, listed.stderr
    assert "fs__apply_patch" in listed.stdout
    assert refused.returncode == 2
    (line,) = re.findall(r"\((\S.* install .*)\)$", refused.stderr.strip())
    environ = dict(os.environ) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    hinted = subprocess.run(line, shell=True, cwd=project, capture_output=True, text=True, timeout=150, env=environ)
    assert hinted.returncode == 0, f"{line}: {hinted.stderr}"
    again = run(orch, "run", "summarize repo", cwd=project)
    assert again.returncode == 0, f"after {line}: {again.stderr}"
    assert "tidal.cli:main" in again.stdout
    assert_the_hint_of_a_provider_installs_it(orch, project)


def assert_the_hint_of_a_provider_installs_it(orch: str, project: Path) -> None:
    """The command that is printed is run as it stands; what is missing then is no package any more."""
    asking = ("run", "fix it", "--model", "anthropic:claude-opus-5")
    refused = run(orch, *asking, cwd=project)
    assert refused.returncode == 2
    (line,) = re.findall(r"\((\S.* install .*)\)$", refused.stderr.strip())
    environ = dict(os.environ) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    hinted = subprocess.run(line, shell=True, cwd=project, capture_output=True, text=True, timeout=150, env=environ)
    assert hinted.returncode == 0, f"{line}: {hinted.stderr}"
    again = run(orch, *asking, cwd=project)
    assert "there is no API key for anthropic:claude-opus-5" in again.stderr, f"after {line}: {again.stderr}"


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(argv, cwd=source, check=True, capture_output=True, timeout=120)
    return next(target.glob("*.whl"))


def uv() -> str:
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    require(found is not None, "uv")
    return str(found)


def installed(argv: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, env=dict(os.environ) | environ, capture_output=True, text=True, timeout=150)
    require(done.returncode == 0, f"a package index within reach: {done.stderr[-400:]}")
    return done


def test_the_wheel_is_a_tool_of_uv_and_what_it_installs_into_a_client_stays_valid(
    wheel: Path, tmp_path: Path, project: Path
) -> None:
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    installed([uv(), "tool", "install", "--no-config", "-q", "-p", sys.executable, f"{wheel}[orch]"], places)
    gateway = str(tmp_path / "bin" / "lg-gateway")
    environ = dict(os.environ) | {"HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [gateway, "install", "cursor"], cwd=project, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    entry = json.loads((tmp_path / "home" / ".cursor" / "mcp.json").read_text())["mcpServers"]["lg"]
    listed = run(entry["command"], "tools", *entry["args"], cwd=tmp_path)
    assert "fs__apply_patch" in listed.stdout, listed.stderr
    assert_the_hint_of_a_provider_installs_it(str(tmp_path / "bin" / "lg-orch"), project)


def test_the_wheel_runs_by_uvx_which_warns_before_its_path_goes_into_a_client(
    wheel: Path, tmp_path: Path, project: Path
) -> None:
    argv = [uv(), "tool", "run", "--no-config", "-q", "-p", sys.executable, "--from", str(wheel), "lg-gateway"]
    environ = {"HOME": str(tmp_path / "home"), "UV_CACHE_DIR": str(tmp_path / ".cache" / "uv")}
    assert "lg-gateway" in installed([*argv, "--version"], environ).stdout
    done = installed([*argv, "install", "cursor", "--dry-run", "--root", str(project)], environ)
    assert "is in a cache and may go away" in done.stderr


def test_the_wheel_is_installed_by_pipx(wheel: Path, tmp_path: Path) -> None:
    pipx = python_program(tmp_path, "pipx", "pipx")
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "PIP_NO_COMPILE": "1"}
    installed([pipx, "install", "-q", "--python", sys.executable, str(wheel)], places)
    assert "lg-gateway" in run(str(tmp_path / "bin" / "lg-gateway"), "--version", cwd=tmp_path).stdout
