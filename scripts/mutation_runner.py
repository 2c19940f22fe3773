"""Runs tests many times in a copy of the clone, each time in a fork that has imported other people's packages.

`mutate.py` starts it there. An order is a line of JSON on standard input, its answer one on standard output. Our own
modules and the tests are imported anew in each fork, so a change of theirs counts.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import warnings
from contextlib import suppress

import pytest

OPTIONS = ["-x", "-q", "--tb=line", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
"""The last: plugins have been imported, and their asserts stay as they are."""


def main() -> None:
    """Answer orders until there are no more."""
    ready = False
    for line in sys.stdin:
        order = json.loads(line)
        if not ready:
            _import(_imported_by(order["tests"], order["output"]))
            ready = True
        pid = os.fork()
        if pid == 0:
            _become_a_run([*OPTIONS, *order["tests"]], order["output"])
        print(json.dumps({"status": _status(pid, order["limit_s"])}), flush=True)


def _become_a_run(arguments: list[str], output: str, told: int | None = None) -> None:
    status = 1
    try:
        os.setsid()
        target, nothing = (
            os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            os.open(os.devnull, os.O_RDONLY),
        )
        for number, given in enumerate((nothing, target, target)):
            os.dup2(given, number)
        status = pytest.main(arguments)
        if told is not None:
            with open(told, "w", encoding="utf-8") as file:
                json.dump([name for name, module in sys.modules.items() if _is_others(module)], file)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _is_others(module: object) -> bool:
    return "site-packages" in (getattr(module, "__file__", None) or "")


def _status(pid: int, limit_s: float) -> int | None:
    """Return the exit status of a run, `None` for one that took too long; nothing of it goes on."""
    ended = os.pidfd_open(pid)
    in_time = bool(select.select([ended], [], [], limit_s)[0])
    os.close(ended)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if in_time else None


def _imported_by(tests: list[str], output: str) -> list[str]:
    """Return the modules of other people that collecting tests imports."""
    source, target = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_a_run(["--collect-only", "-q", *tests], output, told=target)
    os.close(target)
    with open(source, encoding="utf-8") as file:
        told = file.read()
    os.waitpid(pid, 0)
    return json.loads(told) if told else []


def _import(names: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            with suppress(Exception):  # a module that cannot be imported by itself is imported by each run
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
