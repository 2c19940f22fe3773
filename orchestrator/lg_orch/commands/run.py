"""`lg-orch run`: progress on stderr from the first moment, the result on stdout."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from lg_orch.commands.session import drive, get_ready
from lg_orch.contracts.text import one_line
from lg_policy.errors import UsageError
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse


def command(args: argparse.Namespace) -> int:
    """Run the request. Returns the exit status: 0 done, 1 failed, 2 usage, 3 waiting, 130 interrupted."""
    begun = time.monotonic()
    request = _request(args.request)
    if not (args.json or args.quiet):
        print(f"lg-orch: {one_line(request, 100)}", file=sys.stderr, flush=True)
    get_ready(args)
    with quick_imports():
        from lg_orch.settings.setup import prepare

        setup = prepare(args)
    return drive(args, setup, request, begun)


def _request(words: list[str]) -> str:
    request = " ".join(words)
    try:
        request.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the request is not valid UTF-8") from error
    if not request.strip():
        raise UsageError("the request is empty", hint='for example: lg-orch run "summarize repo"')
    return request
