"""Bytecode that a repository or a command left for Python to run instead of the source."""

from __future__ import annotations

import os
import py_compile
from typing import TYPE_CHECKING

import pytest

from tests.attacks.conftest import output
from tests.exec.helpers import PY, sandboxed, settings

if TYPE_CHECKING:
    from pathlib import Path

    from lg_exec.server.executor import Executor

pytestmark = pytest.mark.anyio
SHOW = "import sys; sys.path.insert(0, '.'); import calc; print(calc.x)"
POISON = """
import json.decoder, os, py_compile
cached = json.decoder.__cached__
open('evil.py', 'w').write('raise SystemExit("POISONED")')
for place in (cached, os.path.realpath(cached), os.path.dirname(os.path.realpath(cached)) + '/new.pyc'):
    try:
        py_compile.compile('evil.py', cfile=place)
        print('WRITTEN', place)
    except OSError as error:
        print('refused')
try:
    os.rename('/tmp/.cache/pycache' + os.path.dirname(os.path.dirname(json.__file__)), '/tmp/moved')
    print('MOVED')
except OSError:
    print('refused')
"""


@pytest.mark.attack("Hostile repository", "bytecode in `__pycache__` that differs from the source beside it")
@pytest.mark.parametrize("mode", ["overlay", "ro", "rw"])
@pytest.mark.parametrize("kind", list(py_compile.PycInvalidationMode))
async def test_bytecode_of_the_root_is_not_run(
    root: Path, tmp_path: Path, mode: str, kind: py_compile.PycInvalidationMode
) -> None:
    source = root / "calc.py"
    source.write_text("x = 'bytecode'\n")
    os.utime(source, (1, 1))
    py_compile.compile(str(source), invalidation_mode=kind)
    source.write_text("x = 'source 1'\n")  # as long, and as old
    os.utime(source, (1, 1))
    chosen = settings(commands={"py": {**PY, "root": mode}})
    with sandboxed(root, tmp_path / "scratch", chosen, state=tmp_path / "state") as executor:
        assert (await output(executor, SHOW)).strip() == "source 1"


@pytest.mark.attack("Hostile repository", "bytecode for a Python that ignores its environment")
@pytest.mark.parametrize("options", [["-I"], ["-B", "-W", "ignore", "-sE"]])
async def test_bytecode_of_the_root_is_not_run_by_a_python_that_ignores_its_environment(
    root: Path, tmp_path: Path, options: list[str]
) -> None:
    source = root / "calc.py"
    source.write_text("x = 'bytecode'\n")
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    source.write_text("x = 'source 1'\n")
    chosen = settings(commands={"py": {**PY, "prefix": options}})
    with sandboxed(root, tmp_path / "scratch", chosen, state=tmp_path / "state") as executor:
        assert (await output(executor, SHOW)).strip() == "source 1"


@pytest.mark.attack("Hostile repository", "a command that changes the bytecode which later commands read")
async def test_bytecode_of_the_interpreter_cannot_be_changed_for_later_commands(executor: Executor) -> None:
    shown = await output(executor, POISON)
    assert "refused" in shown
    assert "MOVED" not in shown
    assert "POISONED" not in await output(executor, "import json.decoder; print(json.loads('1'))")
