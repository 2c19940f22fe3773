"""Python in a sandbox reads the bytecode of its own installation and compiles what is in the root."""

from __future__ import annotations

import os
import py_compile
import sys
from typing import TYPE_CHECKING

import pytest

from lg_exec.process.worker_thread import StoppedError, Work
from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend
from lg_exec.sandbox.probes import attempt, failures
from lg_exec.sandbox.python_bytecode import MAX_KEPT, PythonBytecode, shared_folder
from lg_exec.server.executor import Request
from tests.exec.helpers import make_venv, sandboxed, settings

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = {"pj": {"executable": "python", "from": "project", "args_allow": ["-c=*..."]}}
CODE = """
import os, packaged, packaged.inner, own
for module in (packaged, packaged.inner, own):
    print(os.path.realpath(module.__cached__))
"""


def packages(environment: Path) -> list[Path]:
    """Modules of a package in an environment."""
    site = next((environment / "lib").glob("python3*")) / "site-packages"
    modules = [site / "packaged" / "__init__.py", site / "packaged" / "inner" / "__init__.py"]
    for module in modules:
        module.parent.mkdir()
        module.write_text("x = 1\n")
    return modules


@pytest.mark.anyio
async def test_packages_of_an_environment_are_not_compiled_for_each_command_and_modules_of_the_root_are(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    made = [py_compile.compile(str(module)) for module in packages(make_venv(root / ".venv"))]
    (root / "own.py").write_text("x = 1\n")
    py_compile.compile(str(root / "own.py"))
    with sandboxed(root, tmp_path / "scratch", settings(commands=PROJECT, environment=".venv")) as executor:
        outcome = await executor.execute(Request(cmd="pj", args=("-c", CODE)))
    *shown, own = outcome.finished.stdout.text().splitlines()
    assert shown == made
    assert own.startswith("/tmp/.cache/pycache/"), "not the one beside its source"


@pytest.mark.anyio
async def test_a_sandbox_that_is_only_probed_needs_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "root"
    root.mkdir()
    with sandboxed(root, tmp_path / "scratch", settings()) as executor:
        assert isinstance(executor.backend, BubblewrapBackend)
        assert not failures(await attempt(executor.backend, str(root)))
    assert list((tmp_path / "cache" / "lg" / "python-bytecode").iterdir()) == []


def test_links_are_made_once_for_all_servers_and_again_where_they_were_cleaned_up(tmp_path: Path) -> None:
    library = compiled_library(tmp_path / "env")
    places, kept = [str(tmp_path / "env")], tmp_path / "kept"
    bytecode = PythonBytecode(str(kept))
    first = bytecode.arguments("/p", places, Work())
    (folder,) = kept.iterdir()
    made = folder.stat().st_ino
    assert first == ("--ro-bind", str(folder), f"/p{library}")
    assert bytecode.arguments("/p", places, Work()) == first
    assert PythonBytecode(str(kept)).arguments("/p", places, Work()) == first
    assert folder.stat().st_ino == made
    links = sorted(path.relative_to(folder) for path in folder.rglob("packaged/*"))
    assert [str(path).partition("packaged/")[2] for path in links] == [
        f"__init__.{sys.implementation.cache_tag}.pyc", "inner",
    ]  # fmt: skip
    folder.rename(tmp_path / "gone")
    assert bytecode.arguments("/p", places, Work()) == first
    assert folder.is_dir()
    assert bytecode.arguments("/p", [str(tmp_path / "nothing")], Work()) == ()


def test_an_installed_package_has_links_to_it_made(tmp_path: Path) -> None:
    library = compiled_library(tmp_path / "env")
    places = [str(tmp_path / "env")]
    bytecode = PythonBytecode(str(tmp_path / "kept"))
    before = bytecode.arguments("/p", places, Work())
    (library / "site-packages" / "later").mkdir()
    os.utime(library / "site-packages", ns=(1, 1))
    assert PythonBytecode(str(tmp_path / "kept")).arguments("/p", places, Work()) != before


def test_few_libraries_keep_their_links_and_those_in_use_all(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for number in range(2 * MAX_KEPT):
        (kept / f"{number:032}").mkdir(parents=True)
        if number < MAX_KEPT:  # the others were used just now
            os.utime(kept / f"{number:032}", (number, number))
    compiled_library(tmp_path / "env")
    made = PythonBytecode(str(kept)).arguments("/p", [str(tmp_path / "env")], Work())
    assert {path.name for path in kept.iterdir()} == {
        *(f"{number:032}" for number in range(MAX_KEPT, 2 * MAX_KEPT)), made[1].rpartition("/")[2],
    }  # fmt: skip


def test_links_that_are_used_again_are_not_the_oldest(tmp_path: Path) -> None:
    compiled_library(tmp_path / "env")
    places, kept = [str(tmp_path / "env")], str(tmp_path / "kept")
    folder = PythonBytecode(kept).arguments("/p", places, Work())[1]
    os.utime(folder, (1, 1))
    PythonBytecode(kept).arguments("/p", places, Work())
    assert os.stat(folder).st_mtime > 1


def test_a_cache_that_cannot_be_written_costs_no_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    compiled_library(tmp_path / "env")
    (tmp_path / "kept").write_text("no directory")
    assert PythonBytecode(str(tmp_path / "kept")).arguments("/p", [str(tmp_path / "env")], Work()) == ()
    assert "compiled for each command" in caplog.text


def test_a_cache_that_a_command_could_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "root" / ".cache"))
    assert shared_folder(str(tmp_path / "root")) is None
    assert shared_folder(str(tmp_path / "other")) == str(tmp_path / "root" / ".cache" / "lg" / "python-bytecode")


def test_a_call_that_is_stopped_while_links_are_made_leaves_the_next_one_all_of_them(tmp_path: Path) -> None:
    compiled_library(tmp_path / "env")
    bytecode, stopped, places = PythonBytecode(str(tmp_path / "kept")), Work(), (str(tmp_path / "env"),)
    stopped.stop()
    with pytest.raises(StoppedError):
        bytecode.arguments("/p", places, stopped)
    assert list((tmp_path / "kept").iterdir()) == []
    assert bytecode.arguments("/p", places, Work())


def compiled_library(environment: Path) -> Path:
    """The library of an environment with compiled packages in it."""
    for module in packages(make_venv(environment)):
        py_compile.compile(str(module))
    return next((environment / "lib").glob("python3*"))
