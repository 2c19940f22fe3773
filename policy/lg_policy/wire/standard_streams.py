"""Standard input and output as a program finds and leaves them. Standard library only: `--help` must stay instant."""

from __future__ import annotations

import os
import sys

from lg_policy.errors import ConfigError


def check_standard_streams() -> None:
    """Raise `ConfigError` if this process was started without standard input or output.

    Call this before anything else is opened: the first file would get the number of the closed descriptor.
    """
    closed = [name for name, stream in (("input", sys.stdin), ("output", sys.stdout)) if stream is None]
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
