"""Runs this measurement from a copy of the programs, so that nobody who edits the work tree changes what is measured.

The copy has an environment of its own: the same interpreter, the copied packages first, then the libraries of the
environment that this was started from.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import tempfile
import tomllib
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
MARK = "LG_BENCH_COPY"
"""The variable that tells a program that it runs from the copy, and where that is."""


def in_a_copy(module: str, arguments: Sequence[str]) -> None:
    """Become the same module of a copy. Returns at once in the copy."""
    if MARK in os.environ:
        return
    copy = Path(tempfile.mkdtemp(prefix="lg-bench-"))
    python = copied_to(copy)
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    os.chdir(copy)
    os.execve(python, [str(python), "-P", "-m", module, *arguments], environ | {MARK: str(copy)})


@contextmanager
def removed_at_the_end() -> Iterator[None]:
    """Remove the copy with the block."""
    try:
        yield
    finally:
        os.chdir("/")
        shutil.rmtree(os.environ[MARK], ignore_errors=True)


def copied_to(copy: Path) -> Path:
    """Copy the packages, this measurement and what it needs of the tests; returns the copy's interpreter."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = [Path(package) for package in wheel["packages"]]
    for package in (*packages, Path("bench/workers")):
        shutil.copytree(ROOT / package, copy / package)
    (copy / "tests").mkdir()
    for module in (*ROOT.glob("tests/*.py"), *ROOT.glob("bench/*.py")):
        shutil.copy2(module, copy / module.relative_to(ROOT))
    venv.EnvBuilder(symlinks=True).create(copy / "env")
    paths = [copy, *(copy / package.parent for package in packages), Path(sysconfig.get_path("purelib"))]
    (libraries,) = (copy / "env").glob("lib/python*/site-packages")
    (libraries / "copy.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys(paths)), "utf-8")
    return copy / "env" / "bin" / "python"
