"""The command that installs a missing package into the environment that the program runs in.

It works for a clone, a wheel, `uv tool`, `pipx` and `uvx` alike: it names the environment and the packages, and no
distribution of ours, which an index may not have.
"""

from __future__ import annotations

import re
import shlex
import sys
from importlib.util import find_spec

DISTRIBUTION = "lg-orchestration-platform"
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")


def install_command(*packages: str) -> str:
    """Return the line that installs packages, as a person types it."""
    pip = [sys.executable, "-m", "pip", "install"]
    start = pip if find_spec("pip") is not None else ["uv", "pip", "install", "--python", sys.executable]
    words = [*start, *packages]
    if sys.platform == "win32":
        import subprocess

        return subprocess.list2cmdline(words)
    return shlex.join(words)


def extra_command(*extras: str) -> str:
    """Return the line that installs the packages of extras of ours."""
    packages = extra_packages(*extras)
    return install_command(*packages) if packages else f"pip install '.[{','.join(extras)}]' in the clone"


def extra_packages(*extras: str) -> tuple[str, ...]:
    """Return the requirements of extras of ours, as the installed distribution has them."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        written = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return ()
    found = []
    for requirement in written:
        name, _, marker = requirement.partition(";")
        extra = _EXTRA.search(marker)
        if extra is not None and extra[1] in extras:
            found.append(name.strip())
    return tuple(dict.fromkeys(found))
