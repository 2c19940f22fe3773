"""`python -m lg_exec`: how the gateway starts this server, without depending on PATH."""

from __future__ import annotations

import sys

from lg_exec.cli import main

if __name__ == "__main__":
    sys.exit(main())
