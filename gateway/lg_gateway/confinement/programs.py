"""What a program needs to be visible so that it runs: its installation, found by looking, never by running anything.

A home directory is never shown as a whole, nor a directory straight below it: `~/.local` has keyrings beside its `lib`.
"""

from __future__ import annotations

import glob
import os
import pwd
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lg_policy.sandbox.system_view import SYSTEM_PREFIXES

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_BESIDE = {"uvx": ("uv",), "pipx": (), "npx": ("node", "npm"), "npm": ("node",), "pnpm": ("node",), "bunx": ("bun",)}
"""Programs that start others from their own directory."""
_LINKS = 16
_SHARED = ("/", "/proc", "/sys", "/dev", "/run", "/etc", "/var", "/tmp", "/home", "/boot")  # noqa: S108  # only compared
"""What is nobody's home directory, whatever `HOME` says."""


@dataclass(frozen=True, kw_only=True)
class ProgramNeeds:
    """Paths that must be shown for a program, and the directories in which it looks for others."""

    paths: tuple[str, ...]
    search: tuple[str, ...]


def user_home() -> str:
    """Return the home directory of this user by the system's table, not by the environment."""
    try:
        return os.path.realpath(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return "/"


def home_of(environ: Mapping[str, str]) -> str:
    """Return the home directory that programs started from here have: `HOME`, where it names a directory of its own."""
    named = environ.get("HOME", "")
    real = os.path.realpath(named) if os.path.isabs(named) and os.path.isdir(named) else ""
    return real if real and real not in _SHARED and not in_system(real) else user_home()


def needs_of(program: str, home: str) -> ProgramNeeds:
    """Return what a program needs beyond the system. A relative name is looked for inside, and needs nothing."""
    if not os.path.isabs(program):
        return ProgramNeeds(paths=(), search=SYSTEM_PATH)
    found: list[str] = []
    search: list[str] = []
    for place in links_of(program):
        directory = os.path.dirname(place)
        search.append(directory)
        for name in _BESIDE.get(os.path.basename(place), ()):
            beside = f"{directory}/{name}"
            if os.path.isfile(beside):
                found += [needed for link in links_of(beside) for needed in _installation(link, home)]
        found += _installation(place, home)
    if os.path.basename(program) in ("uv", "uvx", "pipx"):
        found += [place for place in (f"{home}/.local/share/uv/python",) if os.path.isdir(place)]
    return ProgramNeeds(
        paths=tuple(dict.fromkeys(path for path in found if os.path.exists(path) and not in_system(path))),
        search=tuple(dict.fromkeys([*search, *SYSTEM_PATH])),
    )


def own_interpreter() -> tuple[str, tuple[str, ...]]:
    """Return this interpreter's real program, and what must be shown for it to run."""
    base = (sys.base_prefix, os.path.realpath(sys.base_prefix))
    return os.path.realpath(sys.executable), tuple(dict.fromkeys(path for path in base if not in_system(path)))


def in_system(path: str) -> bool:
    """Return whether every sandbox shows a path anyway."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in SYSTEM_PREFIXES)


def links_of(path: str) -> Iterator[str]:
    """Yield a path, and the places that its symlinks lead through and to."""
    seen = []
    for _ in range(_LINKS):
        path = os.path.normpath(path)
        seen.append(path)
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    yield from dict.fromkeys([*seen, os.path.realpath(path)])


def _installation(path: str, home: str) -> Iterator[str]:
    """Yield the installation that a program belongs to, or the program alone."""
    if in_system(path):
        return
    install = os.path.dirname(os.path.dirname(path))
    real = os.path.realpath(install)
    if _shows_home(install, real, home) or not os.path.isdir(f"{install}/lib"):
        yield path
        return
    yield from dict.fromkeys((install, real))
    if os.path.isfile(f"{install}/pyvenv.cfg"):
        for link in links_of(f"{install}/bin/python"):
            base = os.path.dirname(os.path.dirname(link))
            if base != install and is_python(base, home):
                yield from dict.fromkeys((base, os.path.realpath(base)))


def is_python(prefix: str, home: str) -> bool:
    """Return whether a directory is an installation of Python, and shows nothing of the home directory beside."""
    real = os.path.realpath(prefix)
    if _shows_home(prefix, real, home):
        return False
    return any(os.path.isfile(found) for found in glob.glob(f"{glob.escape(prefix)}/lib/python3*/os.py"))


def _shows_home(path: str, real: str, home: str) -> bool:
    """Return whether a directory is a home directory, or holds one, or lies straight below one."""
    homes = (home, user_home())
    return any(f"{own}/".startswith((f"{path}/", f"{real}/")) or os.path.dirname(real) == own for own in homes)
