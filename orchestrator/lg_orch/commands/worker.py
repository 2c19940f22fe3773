"""`lg-orch worker`: drives runs of the service until a signal arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.commands.serve import service_parts

if TYPE_CHECKING:
    import argparse


def command(args: argparse.Namespace) -> int:
    """Drive runs. Returns the exit status."""
    with service_parts(args) as parts:
        from lg_orch.service.serving import drive_runs

        return drive_runs(args, parts)
