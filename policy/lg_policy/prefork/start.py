"""Prepares a program for starting others by fork: our own servers then need not import the MCP SDK again.

A program that starts servers of ours calls `prepare` before it reads any setting. The process imports what all of them
use and forks spare processes, which wait (`lg_policy.prefork.spares`). Later each becomes a server, as if it had been
started with `python -P -m MODULE`: the tests compare both ways.

A spare knows nothing of what its parent learns later. For that the parent must not know anything either when it forks:
its environment may hold secrets. So a process with more variables than servers get replaces itself first
(`clean_interpreter`): the same program, run with `-P` and those few variables, which gets the others through a file
without a name and reads them after the forks.

What servers share is Python's secret for hashes of strings, which is drawn when a process starts and not when it forks:
who learns it from one server could slow down another one with texts that collide.

Not covered: macOS, where system libraries do not survive a fork, and Windows, which has none. There, and where anything
speaks against a fork (`obstacle`), programs start as always. `LG_START=exec` asks for that.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from lg_policy.prefork.becoming import HARMLESS, READ_BY_THE_INTERPRETER, was_spare
from lg_policy.prefork.spares import fork_spares
from lg_policy.quick_imports import USED_LATER, quick_imports

INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""The variables that every server gets."""
START = "LG_START"
ENVIRON_FD = "LG_ENVIRON_FD"
"""Tells a process that was replaced where its variables are."""
SERVED_WITH = (
    "anyio._backends._asyncio",
    "jsonschema",
    "lg_policy.config.loading",
    "lg_policy.paths.root",
    "lg_policy.rules.rule_set",
    "lg_policy.wire.serving",
    "lg_policy.wire.tool_server",
)
"""What all servers and the gateway use."""
_FLAGS_OF_ANY_START = frozenset(
    {"safe_path", "dont_write_bytecode", "hash_randomization", "int_max_str_digits", "utf8_mode"}
)


def prepare(module: str, spares: Sequence[int] = (0, 0)) -> None:
    """Fork spare processes if nothing speaks against it. `module` is the program that runs here.

    `spares` has a number for each: how many spares of its own it gets. Call this in a program's main function, before
    settings are read.
    """
    clean_start(module)
    fork_servers(spares)


def clean_start(module: str) -> None:
    """Replace this process by one without secrets, if it has any and may fork. Call `fork_servers` soon.

    Until then `os.environ` has few variables.
    """
    if was_spare() or ENVIRON_FD in os.environ:
        return
    given = _environment_at_start()
    if _may_fork(given) and not _is_clean(given):
        with contextlib.suppress(OSError):  # as under a limit of file sizes: then nothing is forked
            clean_interpreter(module, _inherited(given), given)


def fork_servers(spares: Sequence[int]) -> None:
    """Fork spare processes, if this process has no secrets and may fork. Bring all variables back."""
    hidden = os.environ.pop(ENVIRON_FD, None)
    if hidden is None:
        given = _environment_at_start()
        if was_spare() or not _may_fork(given) or not _is_clean(given):
            return
    with quick_imports(USED_LATER):
        for name in SERVED_WITH:
            import_module(name)
    fork_spares(spares)
    if hidden is not None:
        _read_environment(int(hidden))


def _may_fork(given: Mapping[bytes, bytes]) -> bool:
    added = dict(os.environb) | {b"LC_CTYPE": given.get(b"LC_CTYPE", b"")}
    if added != {b"LC_CTYPE": b"", **given}:
        return False  # somebody has changed variables since the start: this is no start any more
    return obstacle({os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}) is None


def _is_clean(given: Mapping[bytes, bytes]) -> bool:
    return sys.flags.safe_path and _inherited(given).keys() == given.keys()


def obstacle(environ: Mapping[str, str]) -> str | None:
    """Return why this process cannot start others by fork, `None` if it can."""
    if environ.get(START) == "exec":
        return f"{START} is exec"
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return "the system is not Linux"
    if len(os.listdir("/proc/self/task")) > 1:
        return "there are threads"
    flags = {name for name in dir(sys.flags) if not name.startswith(("_", "n_")) and name not in ("count", "index")}
    if set_flags := {name for name in flags - _FLAGS_OF_ANY_START if getattr(sys.flags, name)}:
        return f"Python runs with {', '.join(sorted(set_flags))}"
    if sys.warnoptions or sys._xoptions or sys.gettrace() is not None or not sys.executable:
        return "Python runs with options"
    special = [name for name in environ if name.startswith(READ_BY_THE_INTERPRETER) and name not in HARMLESS]
    return f"{min(special)} is set" if special else None


def clean_interpreter(module: str, kept: Mapping[bytes, bytes], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by the same program with `-P` and few variables. The others it reads from a file."""
    descriptor = os.memfd_create("environment", 0)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(b"\0".join(b"%b=%b" % item for item in environ.items()))
    few = {**kept, ENVIRON_FD.encode(): str(descriptor).encode()}
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *sys.argv[1:]], few)  # noqa: S606  this program


def _environment_at_start() -> dict[bytes, bytes]:
    """Return what this process was given. Python may have added `LC_CTYPE` to `os.environ` since."""
    try:
        return _parsed(Path("/proc/self/environ").read_bytes())
    except OSError:
        return dict(os.environb)


def _parsed(entries: bytes) -> dict[bytes, bytes]:
    return dict(entry.split(b"=", 1) for entry in entries.split(b"\0") if b"=" in entry)


def _read_environment(descriptor: int) -> None:
    with open(descriptor, "rb") as file:
        file.seek(0)
        environ = _parsed(file.read())
    os.environb.clear()
    os.environb.update(environ)
    sys.dont_write_bytecode = sys.dont_write_bytecode or bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))


def _inherited(environ: Mapping[bytes, bytes], names: Iterable[str] = INHERITED) -> dict[bytes, bytes]:
    """Return the variables that every server gets. Exported shell functions are left out."""
    found = {name.encode(): environ.get(name.encode()) for name in names}
    return {name: value for name, value in found.items() if value is not None and not value.startswith(b"()")}
