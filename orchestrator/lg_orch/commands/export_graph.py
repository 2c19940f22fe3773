"""`lg-orch export-graph`: the compiled graph as Mermaid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse


def command(_args: argparse.Namespace) -> int:
    """Print the graph; it is made from the compiled graph, so it cannot differ from what runs."""
    with quick_imports():
        from lg_orch.agent.graph import mermaid

    print(mermaid(), end="")
    return 0
