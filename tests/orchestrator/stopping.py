"""Exact places inside the programs at which a test ends them. Nothing of a program is changed but that it ends there.

A place is a function and the moment before it is called or after it returned. Whoever comes to one says so on a pipe
and stands still until everything is killed at once (`cut`), or kills only itself (`die`). Run as a file this is an
interpreter for `-P -m PROGRAM …`, with the places of that program armed; `interpreter` makes a command of it.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import runpy
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PIPE, PLACES, INTERPRETER, DIED = "reached", "places.json", "interpreter", "died"
Stop = dict[str, Any]


def before(at: str, *texts: str, how: str = "cut", nth: int = 1) -> Stop:
    """The `nth` moment before `module:Class.function` is called with something that shows all `texts`."""
    return {"name": f"before {at} {' '.join(texts)}", "at": at, "texts": texts, "after": False, "how": how, "nth": nth}


def after(at: str, *texts: str, how: str = "cut", nth: int = 1) -> Stop:
    """The `nth` moment after `module:Class.function` returned."""
    return before(at, *texts, how=how, nth=nth) | {"name": f"after {at} {' '.join(texts)}", "after": True}


def interpreter(folder: Path) -> Path:
    """Make a command below `folder` that is this interpreter, and comes to the places that `folder` names."""
    path = folder / INTERPRETER
    itself, real = Path(__file__).resolve(), sys.executable
    path.write_text(
        f'#!/bin/sh\nif [ "$1$2" = "-P-m" ]; then exec "{real}" -P "{itself}" "{folder}" "$@"; fi\nexec "{real}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def arm(folder: Path, places: Iterable[Stop]) -> None:
    """Let this process come to these places."""
    for place in places:
        module, _, path = place["at"].partition(":")
        *outer, name = path.split(".")
        owner: Any = functools.reduce(getattr, outer, import_module(module))
        setattr(owner, name, _ending(folder, place, getattr(owner, name)))


def end(folder: Path, name: str, how: str = "cut") -> None:
    """End here: this process alone, or with everything else, which somebody else then sees to."""
    with (folder / PIPE).open("w") as pipe:
        pipe.write(f"{'alone: ' if how == 'die' else ''}{name}\n")
    os.kill(os.getpid(), signal.SIGKILL if how == "die" else signal.SIGSTOP)


def _ending(folder: Path, place: Stop, function: Callable[..., Any]) -> Callable[..., Any]:
    times = 0

    def reached(*about: Any) -> None:
        nonlocal times
        shown = repr(about)
        if not all(text in shown for text in place["texts"]):
            return
        times += 1
        if times == place["nth"] and (place["how"] == "cut" or _first_to_die(folder, place["name"])):
            end(folder, place["name"], place["how"])

    @functools.wraps(function)
    async def waited_for(*args: Any, **kwargs: Any) -> Any:
        if not place["after"]:
            reached(args, kwargs)
        result = await function(*args, **kwargs)
        if place["after"]:
            reached(args, kwargs)
        return result

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not place["after"]:
            reached(args, kwargs)
        result = function(*args, **kwargs)
        if place["after"]:
            reached(args, kwargs)
        return result

    return waited_for if inspect.iscoroutinefunction(function) else called


def _first_to_die(folder: Path, name: str) -> bool:
    """Whether nobody died at that place yet: a server that comes back would die there again."""
    died = folder / DIED
    known = died.read_text().splitlines() if died.exists() else []
    died.write_text("\n".join([*known, name]))
    return name not in known


def be(folder: Path, program: str, argv: list[str]) -> None:
    """Take the name and the arguments of a program, and come to its places."""
    sys.executable = str(folder / INTERPRETER)
    sys.argv = [program, *argv]
    places = json.loads((folder / PLACES).read_text())
    arm(folder, [place for place in places if place["at"].startswith(f"{program}.")])


if __name__ == "__main__":
    be(Path(sys.argv[1]), sys.argv[4], sys.argv[5:])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
