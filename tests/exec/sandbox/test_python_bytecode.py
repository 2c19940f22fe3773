"""Python in a sandbox reads the bytecode of its own installation and compiles what is in the root."""

from __future__ import annotations

import py_compile
import sys
from typing import TYPE_CHECKING

import pytest

from lg_exec.process.worker_thread import StoppedError, Work
from lg_exec.sandbox.python_bytecode import PythonBytecode
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


def test_links_are_made_once_and_again_where_they_were_cleaned_up(
    tmp_path: Path,
) -> None:
    modules = packages(make_venv(tmp_path / "env"))
    for module in modules:
        py_compile.compile(str(module))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bytecode = PythonBytecode(str(scratch))
    first = bytecode.arguments("/p", [str(tmp_path / "env")], Work())
    assert first == bytecode.arguments("/p", [str(tmp_path / "env")], Work())
    library = next((tmp_path / "env" / "lib").glob("python3*"))
    assert first[-1] == f"/p{library}"
    (folder,) = scratch.iterdir()
    links = sorted(path.relative_to(folder) for path in folder.rglob("packaged/*"))
    assert [str(path).partition("packaged/")[2] for path in links] == [
        f"__init__.{sys.implementation.cache_tag}.pyc", "inner",
    ]  # fmt: skip
    folder.rename(tmp_path / "gone")
    assert bytecode.arguments("/p", [str(tmp_path / "env")], Work())[1] != str(folder)
    assert PythonBytecode(str(scratch)).arguments("/p", [str(tmp_path / "nothing")], Work()) == ()


def test_a_call_that_is_stopped_while_links_are_made_leaves_the_next_one_all_of_them(tmp_path: Path) -> None:
    for module in packages(make_venv(tmp_path / "env")):
        py_compile.compile(str(module))
    bytecode, stopped, prefix = PythonBytecode(str(tmp_path)), Work(), "/p"
    stopped.stop()
    with pytest.raises(StoppedError):
        bytecode.arguments(prefix, (str(tmp_path / "env"),), stopped)
    assert bytecode.arguments(prefix, (str(tmp_path / "env"),), Work())
