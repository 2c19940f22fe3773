"""Finds where the usual tools keep a project's Python environment, without running any of them.

The caller's shell names an environment (`VIRTUAL_ENV`, `CONDA_PREFIX`, `UV_PROJECT_ENVIRONMENT`). poetry, pdm, hatch
and pyenv keep theirs in the home, tox and nox below the root. Files below the root may only choose by a plain name
among what lies in the home already.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PASSED = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
"""Variables of the caller's shell that name an environment."""
MAX_FILE = 4_096
MAX_FOUND = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A directory that may be an environment, and what says so."""

    path: str
    why: str


def candidates(root: str, home: str, environ: Mapping[str, str]) -> list[Candidate]:
    """Return the directories to look at, the most explicit first."""
    found = [*_of_shell(root, environ), *_of_tools(root, home)]
    unique = {candidate.path: candidate for candidate in reversed(found) if os.path.isdir(candidate.path)}
    return list(reversed(unique.values()))[:MAX_FOUND]


def node_version(root: str) -> str:
    """Return the version that `.nvmrc` or `.node-version` names, without a leading `v`; "" for none and for a name."""
    for name in (".nvmrc", ".node-version"):
        version = _line(f"{root}/{name}").removeprefix("v")
        if re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}", version):
            return version
    return ""


def _of_shell(root: str, environ: Mapping[str, str]) -> Iterator[Candidate]:
    for name in PASSED:
        value = environ.get(name, "")
        if value and "\0" not in value:
            yield Candidate(path=os.path.normpath(os.path.join(root, value)), why=name)


def _of_tools(root: str, home: str) -> Iterator[Candidate]:
    real = os.path.realpath(root)
    mark = base64.urlsafe_b64encode(hashlib.sha256(os.path.normcase(real).encode("utf-8", "surrogateescape")).digest())
    short = glob.escape(mark.decode()[:8])
    for place in (f"{home}/.cache/pypoetry", f"{home}/Library/Caches/pypoetry"):
        yield from _each(f"{glob.escape(place)}/virtualenvs/*-{short}-py*", "poetry")
    yield from _pdm(root, home)
    for place in (f"{home}/.local/share/hatch", f"{home}/Library/Application Support/hatch"):
        yield from _each(f"{glob.escape(place)}/env/virtual/*/{short}/*", "hatch")
    yield from _pyenv(root, home)
    yield from _each(f"{glob.escape(root)}/.tox/*", "tox")
    yield from _each(f"{glob.escape(root)}/.nox/*", "nox")


def _each(pattern: str, why: str) -> Iterator[Candidate]:
    for path in sorted(glob.glob(pattern), reverse=True)[:MAX_FOUND]:
        yield Candidate(path=path, why=why)


def _pdm(root: str, home: str) -> Iterator[Candidate]:
    """`.pdm-python` names an interpreter; only one of pdm's own environments is believed."""
    interpreter = os.path.normpath(_line(f"{root}/.pdm-python"))
    venv = os.path.dirname(os.path.dirname(interpreter))
    for place in (f"{home}/.local/share/pdm/venvs", f"{home}/Library/Application Support/pdm/venvs"):
        if os.path.dirname(venv) == place:
            yield Candidate(path=venv, why="pdm")


def _pyenv(root: str, home: str) -> Iterator[Candidate]:
    name = _line(f"{root}/.python-version")
    if _NAME.fullmatch(name) and ".." not in name:
        yield Candidate(path=f"{home}/.pyenv/versions/{name}", why="pyenv")


def _line(path: str) -> str:
    """Return the first line of a small plain file; "" for anything else. Links are not followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return ""
    try:
        data = os.read(fd, MAX_FILE)
    except OSError:
        return ""
    finally:
        os.close(fd)
    line = data.decode("utf-8", "replace").partition("\n")[0].strip()
    return "" if "\0" in line else line
