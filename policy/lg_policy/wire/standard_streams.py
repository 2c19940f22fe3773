"""Standard input and output as a program finds and leaves them. Standard library only: `--help` must stay instant."""

from __future__ import annotations

import os
import sys

from lg_policy.errors import ConfigError


def fill_closed_streams() -> None:
    """Put the null device in the place of standard streams that this process was started without.

    Call this first. Otherwise the next file, perhaps the store, gets the number of the closed stream, and whatever
    writes to that stream writes into the file.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor, inheritable=False)
                os.close(null)
            mode = "r" if descriptor == 0 else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  it stays open


def check_standard_streams() -> None:
    """Raise `ConfigError` if this process was started without standard input or output.

    Call this before anything else is opened, or `fill_closed_streams`: the first file would get the number of the
    closed descriptor.
    """
    streams = (("input", sys.stdin), ("output", sys.stdout))
    closed = [name for name, stream in streams if stream is None or getattr(stream, "name", "") == os.devnull]
    if closed:
        raise ConfigError(
            f"standard {' and '.join(closed)} {'is' if len(closed) == 1 else 'are'} closed, but MCP messages go there",
            hint="start this program from an MCP client, or serve over HTTP with --transport http",
        )


def flush_output() -> None:
    """Write what is still buffered for standard output, or discard it if its reader has left, as `head` does.

    Call this when a program ends: otherwise the interpreter writes the buffer, and prints a traceback if that fails.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except OSError:
        return  # such as a full disk: the interpreter reports it, with status 120
