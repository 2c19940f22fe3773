"""Run the project's checks one after another and say which of them failed; `./scripts/dev.sh` calls this.

Every check runs, also after a failure, so that one run tells everything there is to repair.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = [sys.executable, "-P", "-m"]
CHECKS = {
    "format": [*MODULE, "ruff", "format", "--check", "."],
    "lint": [*MODULE, "ruff", "check", "."],
    "types": [*MODULE, "mypy"],
    "imports": [sys.executable, "-P", "-c", "from importlinter.cli import lint_imports_command as main; main()"],
    "tests": [*MODULE, "pytest", "-n", "auto", "--dist", "worksteal"],
    "eval": [*MODULE, "eval.run", "--smoke"],
}


def argv_of(name: str) -> list[str]:
    """Return the command of one check; `eval` is a package of the clone itself, so it alone may see the clone's top."""
    argv = CHECKS[name]
    return [part for part in argv if part != "-P"] if name == "eval" else argv


def main() -> int:
    """Run all checks, or those named on the command line; exit status 1 when one failed."""
    parser = argparse.ArgumentParser(prog="dev.sh check", description="Run the project's checks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(CHECKS)} (default: all)")
    names = parser.parse_args().names
    unknown = sorted(set(names) - CHECKS.keys())
    if unknown:
        parser.error(f"unknown check: {', '.join(unknown)}; known: {', '.join(CHECKS)}")
    failed = []
    for name in names or CHECKS:
        print(f"== {name}", file=sys.stderr, flush=True)
        start = time.monotonic()
        status = subprocess.run(argv_of(name), cwd=ROOT, check=False).returncode
        verdict = "ok" if status == 0 else f"failed ({status})"
        print(f"== {name}: {verdict}, {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
        if status != 0:
            failed.append(name)
    if failed:
        print(f"== failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
