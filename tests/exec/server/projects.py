"""Other people's projects with their test suites, as source distributions from PyPI, and environments for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.support import require

SUBPROCESSES = "pyproject_hooks-1.3.3"  # calls build hooks in child processes
ASYNC_SOCKETS = "asyncio_dgram-3.0.0"  # UDP and Unix datagrams through asyncio
EXTENSION = "markupsafe-3.0.4"  # compiles a C extension
_TIMEOUT_S = 300
_BACKENDS = ("setuptools>=77", "flit_core", "hatchling")  # pip wants them to look at a source distribution
_LEFT_OUT = shutil.ignore_patterns(
    "test", "tests", "idlelib", "site-packages", "dist-packages", "ensurepip", "config-*", "tkinter", "__pycache__"
)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, cwd="/", capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
    )
    require(done.returncode == 0, f"{' '.join(command[:4])} … failed: {done.stderr[-400:]}")


def uv() -> str:
    """The uv of this environment, or of the system."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    require(found is not None, "uv")
    return str(found)


def environment(place: Path, packages: Sequence[str], *, interpreter: str = sys.executable) -> Path:
    """A virtual environment with some packages."""
    _run(uv(), "venv", "--no-config", "-q", "-p", interpreter, str(place))
    _run(uv(), "pip", "install", "--no-config", "-q", "-p", f"{place}/bin/python", *packages)
    return place


def download(place: Path, *names: str) -> Path:
    """Download source distributions and unpack them below `place`."""
    python = environment(place / "pip", ["pip", *_BACKENDS]) / "bin" / "python"
    options = ("-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", str(place))
    _run(str(python), "-m", "pip", "download", *options, *(name.replace("-", "==") for name in names))
    for archive in place.glob("*.tar.gz"):
        _run(
            "tar", "-xzf", str(archive), "-C", str(place)
        )  # older releases of Python 3.11 cannot filter what they unpack
    return place


def import_from(venv: Path, source: Path) -> None:
    """Let the environment import a project from its source, as an editable installation does."""
    (site,) = venv.glob("lib/python3*/site-packages")
    (site / "project.pth").write_text(f"{source}\n")


def own_interpreter(home: Path) -> Path:
    """A Python installation below a home, as pyenv makes it: a copy of the one that runs this."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    install = home / ".pyenv" / "versions" / "3"
    (install / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), install / "bin" / version)
    shutil.copytree(sysconfig.get_path("stdlib"), install / "lib" / version, ignore=_LEFT_OUT, symlinks=True)
    for library in Path(sys.base_prefix, "lib").glob("libpython3*.so*"):
        shutil.copy2(library, install / "lib", follow_symlinks=False)
    return install / "bin" / version
