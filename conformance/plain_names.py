"""Starts lg-gateway with tool names unprefixed: the conformance suite calls the fixture's tools by fixed names."""

from __future__ import annotations

import sys

from lg_gateway.catalog import catalog
from lg_gateway.cli import main


def _own_name(server: str, tool: str, longest: int = 0) -> str:
    return tool


catalog.public_name = _own_name

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
