"""`scripts/dev.sh` for real: in a clone whose path has spaces, called from a directory that tries to take over."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lg_policy.version import __version__
from tests.e2e.repository import write_project
from tests.support import require

ROOT = Path(__file__).resolve().parent.parent.parent
NO_NETWORK = re.compile(
    r"error sending request|dns error|Failed to fetch|No matching distribution|[Cc]onnection|offline"
)
MS = re.MULTILINE | re.DOTALL
BUILDING = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
TESTING = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist")
LEFT_OUT = ("bench", "conformance", "eval")
"""Folders that nothing here uses; each file costs its compilation."""
PLAIN = ("sh", "env", "cat", "cksum", "readlink")

pytestmark = [
    pytest.mark.timeout(900),  # downloads a hundred packages where no cache has them
    pytest.mark.usefixtures("no_windows"),
]


@dataclass(frozen=True, kw_only=True)
class Done:
    status: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A clone of this project and how to call its script."""

    path: Path
    environ: dict[str, str]

    @property
    def script(self) -> Path:
        return self.path / "scripts" / "dev.sh"

    def start(self, *arguments: str, cwd: Path, via: str | Path | None = None, **extra: str) -> subprocess.Popen[str]:
        argv = [str(via or self.script), *arguments]
        environ = self.environ | extra
        pipe = subprocess.PIPE
        return subprocess.Popen(
            argv, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )

    def call(self, *arguments: str, cwd: Path, via: str | Path | None = None, **extra: str) -> Done:
        return ended(self.start(*arguments, cwd=cwd, via=via, **extra))


def ended(process: subprocess.Popen[str]) -> Done:
    with process:
        try:
            out, err = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Done(status=process.returncode, out=out, err=err)


@pytest.fixture(scope="session")
def no_windows() -> None:
    require(os.name == "posix", "a POSIX system; Windows has dev.ps1")


def copied(place: Path) -> Path:
    """Clone the last commit into `place`, with the scripts and requirements as they are in the working tree."""
    git = shutil.which("git")
    require(git is not None and (ROOT / ".git").exists(), "git and a git clone")
    argv = [
        str(git),
        "-c",
        f"safe.directory={ROOT}",
        "-c",
        f"safe.directory={ROOT / '.git'}",
        "clone",
        "--quiet",
        "--no-local",
    ]
    subprocess.run([*argv, str(ROOT), str(place)], check=True, timeout=120)
    shutil.copytree(ROOT / "scripts", place / "scripts", dirs_exist_ok=True)
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, place / name)
    return place


def needed(*names: str, extra: str = "") -> set[str]:
    """These packages and what they need, by what is installed here."""
    found: set[str] = set()
    left = [(name, extra) for name in names]
    while left:
        name, wanted = left.pop()
        for requirement in map(Requirement, requires(name) or ()):
            fits = requirement.marker is None or requirement.marker.evaluate({"extra": wanted})
            if fits and (known := canonicalize_name(requirement.name)) not in found:
                found.add(known)
                left += [(known, each) for each in ("", *requirement.extras)]
    return found | {canonicalize_name(name) for name in names}


def keep_requirements(place: Path, names: Collection[str]) -> None:
    """Leave only the pinned requirements of these names in a clone."""
    pinned = place / "requirements.txt"
    entries = re.findall(r"^[\w.-]+==.*?(?=^[\w.-]+==|\Z)", pinned.read_text("utf-8"), flags=MS)
    pinned.write_text("".join(entry for entry in entries if canonicalize_name(entry.split("==")[0]) in names))


def environment() -> dict[str, str]:
    """The tester's own environment, with the real caches and without uv, pytest's settings and any other `LG_*`."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("XDG_", "LG_", "PYTEST", "UV_"))}
    folders = [folder for folder in kept["PATH"].split(":") if folder and not (Path(folder) / "uv").exists()]
    return kept | {"PATH": ":".join(folders)}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that tries to be the installers' configuration, Python's standard library and the PATH."""
    folder = tmp_path_factory.mktemp("hostile repo")
    unreachable = "http://127.0.0.1:1/simple"
    (folder / "uv.toml").write_text(f'index-url = "{unreachable}"\n')
    (folder / "pyproject.toml").write_text(f'[tool.uv]\nindex-url = "{unreachable}"\nrequired-version = "==0.0.1"\n')
    (folder / "pip.conf").write_text(f"[global]\nindex-url = {unreachable}\n")
    (folder / ".python-version").write_text("9.9.9\n")
    (folder / ".env").write_text("LG_CONFIG=/nonexistent\nUV_OFFLINE=1\n")
    trap = "import pathlib; pathlib.Path(__file__).parent.joinpath('TAKEN').touch()\n"
    modules = (
        "sitecustomize",
        "usercustomize",
        "argparse",
        "re",
        "json",
        "venv",
        "pip",
        "ensurepip",
        "lg_policy",
        "lg_fs",
    )
    for name in modules:
        (folder / f"{name}.py").write_text(trap)
        (folder / name).mkdir()
        for inner in ("__init__.py", "__main__.py", "cli.py"):
            (folder / name / inner).write_text(trap.replace(".parent.", ".parent.parent."))
    for name in ("python3", "python", "uvx", "git", "cat", "cksum", "readlink", "bash"):
        (folder / name).write_text(f'#!/bin/sh\ntouch "{folder}/TAKEN"\nexit 1\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, hostile: Path) -> Clone:
    """A clone that two callers at once, standing in the hostile directory, made usable.

    Its requirements are those of the programs and of one test file: the environment that runs this has all of them.
    """
    above = tmp_path_factory.mktemp("with spaces")
    (above / "uv.toml").write_text((hostile / "uv.toml").read_text())
    made = Clone(path=copied(above / "the clone"), environ=environment())
    for name in LEFT_OUT:
        shutil.rmtree(made.path / name)
    ours = needed("lg-orchestration-platform", extra="orch") | needed("lg-orchestration-platform", *BUILDING, *TESTING)
    keep_requirements(made.path, ours)
    hostile_settings = {"PYTHONPATH": ".", "PIP_USER": "1", "PIP_CONFIG_FILE": "pip.conf", "UV_CONFIG_FILE": "uv.toml"}
    hostile_path = {"PATH": f".::{made.environ['PATH']}:", "PIP_REQUIREMENT": "requirements.txt", "CDPATH": str(above)}
    both = [made.start("setup", cwd=hostile, **hostile_settings, **hostile_path) for _ in range(2)]
    results = [ended(process) for process in both]
    failed = [result.err for result in results if result.status != 0]
    require(not any(NO_NETWORK.search(text) for text in failed), f"a package index within reach: {failed}")
    assert not failed
    assert [result.out for result in results] == ["", ""]
    assert sum("making " in result.err for result in results) == 1, "two callers made the environment"
    return made


def version_from(clone: Clone, cwd: Path, **extra: str) -> Done:
    return clone.call("fs", "--version", cwd=cwd, **extra)


def test_a_fresh_clone_becomes_usable_from_a_hostile_directory_without_seeing_it(clone: Clone, hostile: Path) -> None:
    assert not (hostile / "TAKEN").exists()
    assert version_from(clone, hostile) == Done(status=0, out=f"lg-fs {__version__}\n", err="")
    assert not (hostile / "TAKEN").exists()


def test_the_environment_is_the_pinned_one_and_compiled(clone: Clone) -> None:
    python = clone.path / ".venv" / "bin" / "python"
    argv = [str(clone.path / ".venv" / "bin" / "uv"), "pip", "list", "--format=freeze", "--python", str(python)]
    listed = subprocess.run(
        argv, cwd="/", env=clone.environ, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    installed = {line for line in listed.split() if not line.startswith(("lg-orch", "pip==", "setuptools=="))}
    pinned = "".join(
        (ROOT / name).read_text("utf-8") for name in ("requirements.txt", "scripts/bootstrap-requirements.txt")
    )
    assert len(installed) > 50
    assert installed <= set(re.findall(r"^[A-Za-z0-9._-]+==[^\s;]+", pinned, flags=re.MULTILINE))
    packages = next((clone.path / ".venv" / "lib").glob("python*/site-packages"))
    assert list((packages / "pydantic" / "__pycache__").glob("main.*.pyc"))


def test_what_is_current_is_left_alone_and_nothing_is_said(clone: Clone, tmp_path: Path) -> None:
    stamp = clone.path / ".venv" / "lg-stamp"
    before = stamp.stat().st_mtime_ns
    assert clone.call("setup", cwd=tmp_path) == Done(status=0, out="", err="")
    assert stamp.stat().st_mtime_ns == before


def test_the_script_finds_its_clone_through_links_and_relative_names(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "first").symlink_to(clone.script)
    (tmp_path / "bin" / "second").symlink_to("first")
    expected = Done(status=0, out=f"lg-fs {__version__}\n", err="")
    assert clone.call("fs", "--version", cwd=tmp_path, via=tmp_path / "bin" / "second") == expected
    assert clone.call("fs", "--version", cwd=clone.path, via="scripts/dev.sh") == expected
    assert clone.call("fs", "--version", cwd=clone.path / "scripts", via="./dev.sh") == expected
    by_name = ended(
        subprocess.Popen(
            ["sh", "-c", "second fs --version"],
            cwd=tmp_path,
            env=clone.environ | {"PATH": f"{tmp_path / 'bin'}:{clone.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    assert by_name == expected


def test_arguments_reach_the_program_as_they_were_given(clone: Clone, tmp_path: Path) -> None:
    done = clone.call("fs", "--root", "no such directory; $(touch x) *", "--log-level", "error", cwd=tmp_path)
    assert done.status == 2
    assert "no such directory; $(touch x) *" in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_main_job_works_on_the_repository_one_stands_in(clone: Clone, tmp_path: Path) -> None:
    project = write_project(tmp_path / "a project")
    private = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = clone.call("run", "summarize repo", "--trace", cwd=project / "src", **private)
    assert done.status == 0, done.err
    assert done.out.startswith("# Summary of `a project`")
    assert "tidal.cli:main" in done.out
    assert len(list((project / "artifacts" / "runs").iterdir())) == 1


def test_the_tests_run_in_the_clone_wherever_one_stands(clone: Clone, hostile: Path) -> None:
    done = clone.call("test", "--collect-only", "-q", "tests/test_packaging.py", cwd=hostile)
    assert done.status == 0, done.out + done.err
    assert "tests/test_packaging.py" in done.out
    assert not (hostile / "TAKEN").exists()


def without_requirements(place: Path) -> None:
    """Leave in a clone only the requirements that build it, so that one more set-up takes seconds."""
    project = place / "pyproject.toml"
    project.write_text(re.sub(r"^dependencies = \[.*?^\]", "dependencies = []", project.read_text("utf-8"), flags=MS))
    keep_requirements(place, BUILDING)


def test_an_interrupted_set_up_is_begun_anew(clone: Clone, tmp_path: Path) -> None:
    without_requirements(clone.path)
    (clone.path / ".venv" / "lg-unfinished").touch()
    (clone.path / ".venv" / "left over").touch()
    done = version_from(clone, tmp_path)
    assert done.status == 0, done.err
    assert "making " in done.err
    assert not (clone.path / ".venv" / "left over").exists()
    assert not (clone.path / ".venv" / "lg-unfinished").exists()


def test_a_changed_project_file_brings_the_environment_up_to_date_in_place(clone: Clone, tmp_path: Path) -> None:
    project = clone.path / "pyproject.toml"
    text = project.read_text("utf-8")
    project.write_text(
        text.replace('lg-fs = "lg_fs.cli:main"', 'lg-fs = "lg_fs.cli:main"\nlg-also-fs = "lg_fs.cli:main"')
    )
    done = version_from(clone, tmp_path)
    assert done.status == 0, done.err
    assert "up to date" in done.err
    assert (clone.path / ".venv" / "bin" / "lg-also-fs").exists()
    assert version_from(clone, tmp_path).err == ""


def test_a_clone_that_was_moved_runs_from_its_new_place_and_uses_an_installed_uv(clone: Clone, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    shutil.copy(clone.path / ".venv" / "bin" / "uv", tools / "uv")
    moved = Clone(path=tmp_path / "moved clone", environ=clone.environ | {"PATH": f"{tools}:{clone.environ['PATH']}"})
    shutil.copytree(clone.path, moved.path, symlinks=True)
    without_requirements(moved.path)
    done = version_from(moved, tmp_path)
    assert done.status == 0, done.err
    assert f"with {tools / 'uv'}" in done.err
    (listed,) = (moved.path / ".venv" / "lib").glob("python*/site-packages/*lg_orchestration_platform*.pth")
    assert {Path(line).is_relative_to(moved.path) for line in listed.read_text().splitlines()} == {True}


@pytest.fixture
def bare(tmp_path: Path) -> Clone:
    """The scripts alone, with no environment made, and a PATH that has neither Python nor uv."""
    place = tmp_path / "bare clone"
    (place / "scripts").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", place / "scripts", dirs_exist_ok=True)
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, place / name)
    tools = tmp_path / "plain tools"
    tools.mkdir()
    for name in PLAIN:
        (tools / name).symlink_to(str(shutil.which(name)))
    return Clone(path=place, environ={"PATH": str(tools), "HOME": str(tmp_path)})


def test_without_a_suitable_python_it_says_what_it_looked_for(bare: Clone, tmp_path: Path) -> None:
    done = bare.call("setup", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert "no Python 3.11 or newer found" in done.err
    chosen = bare.call("setup", cwd=tmp_path, LG_PYTHON="/no/such/python")
    assert (chosen.status, chosen.out) == (2, "")
    assert "LG_PYTHON=/no/such/python is not a Python 3.11 or newer" in chosen.err


def test_help_and_wrong_commands_make_nothing(bare: Clone, tmp_path: Path) -> None:
    told = bare.call("--help", cwd=tmp_path)
    assert (told.status, told.out) == (0, "")
    assert "usage:" in told.err
    wrong = bare.call("rnu", cwd=tmp_path)
    assert wrong.status == 2
    assert "unknown command: rnu" in wrong.err
    assert not (bare.path / ".venv").exists()


def test_a_clone_that_cannot_be_written_says_whose_move_it_is(bare: Clone, tmp_path: Path) -> None:
    # root may write anywhere, unless it gives up the capability to
    dropped = [str(shutil.which("setpriv")), "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    require(not dropped or shutil.which("setpriv") is not None, "setpriv, as root")
    bare.path.chmod(0o555)
    argv = [*dropped, str(bare.script), "setup"]
    environ = bare.environ | {"LG_PYTHON": sys.executable}
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    bare.path.chmod(0o755)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot write to" in done.stderr
    assert "Clone the repository into a directory of your own" in done.stderr


def python_without_ensurepip(place: Path) -> Path:
    """A Python as Debian ships it without its python3-venv package: this one, less `ensurepip`."""
    library = Path(sysconfig.get_path("stdlib"))
    (place / "bin").mkdir(parents=True)
    (place / "lib" / library.name).mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name not in {"ensurepip", "site-packages", "dist-packages"}:
            (place / "lib" / library.name / entry.name).symlink_to(entry)
    python = place / "bin" / library.name
    shutil.copy(os.path.realpath(sys.executable), python)
    works = subprocess.run([str(python), "-I", "-c", "import venv"], capture_output=True, timeout=60).returncode == 0
    require(works, "a Python whose program can be copied")
    return python


def test_a_python_without_ensurepip_and_no_uv_names_the_missing_package(bare: Clone, tmp_path: Path) -> None:
    done = bare.call("setup", cwd=tmp_path, LG_PYTHON=str(python_without_ensurepip(tmp_path / "incomplete python")))
    assert (done.status, done.out) == (2, "")
    assert f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in done.err
    assert (bare.path / ".venv" / "lg-unfinished").exists(), "a later call must not take this for an environment"
