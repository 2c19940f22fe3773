"""Run the project's checks one after another and say which of them failed; `./scripts/dev.sh` calls this.

Every check runs, also after a failure, so that one run tells everything there is to repair. `--changed` is for the
moment before a commit: all checks of the source, and the tests of what differs from the last commit.
"""

from __future__ import annotations

import argparse
import re
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
SOURCE_CHECKS = ("format", "lint", "types", "imports")
PACKAGES = {
    "policy": "policy",
    "servers/fs": "fs",
    "servers/exec": "exec",
    "gateway": "gateway",
    "orchestrator": "orchestrator",
    "console": "console",
}
"""Folders with code, and the folder below `tests` that mirrors each."""
ALWAYS = ("tests/test_structure.py", "tests/test_docs.py")


def changed_files() -> list[str]:
    """Files that differ from the last commit, new ones included, by their paths from the top."""
    git = ["git", "-C", str(ROOT), "-c", "core.quotePath=false"]
    asked = ([*git, "diff", "--name-only", "-z", "HEAD"], [*git, "ls-files", "--others", "--exclude-standard", "-z"])
    printed = [subprocess.run(argv, check=True, capture_output=True, text=True).stdout for argv in asked]
    return sorted({name for text in printed for name in text.split("\0") if name})


def tests_of(changed: list[str]) -> list[str]:
    """The tests to run for these files: tests as they are, mirrors of modules or of their folders, readers of pages."""
    found = {*ALWAYS}
    for name in changed:
        if re.fullmatch(r"tests/(?:.*/)?test_\w+\.py", name):
            found.add(name)
        elif name.startswith("tests/"):
            found.add(str(Path(name).parent))
        elif name.endswith(".md"):
            found |= naming(Path(name).name)
        else:
            found |= mirrored(name)
    return sorted(name for name in found if name != "tests" and (ROOT / name).exists())


def naming(page: str) -> set[str]:
    """The tests of whole programs and of pages in which a file's name stands, or which import it."""
    files = [*(ROOT / "tests" / "e2e").glob("test_*.py"), *(ROOT / "tests").rglob("test_*page*.py")]
    named = re.compile(rf'"{re.escape(page)}"|^import {re.escape(Path(page).stem)}$', re.MULTILINE)
    return {str(path.relative_to(ROOT)) for path in files if named.search(path.read_text("utf-8"))}


def mirrored(name: str) -> set[str]:
    """The folder or file below `tests` that mirrors a module; else the tests that name a script."""
    for folder, tests in PACKAGES.items():
        if name.startswith(f"{folder}/"):
            inside = Path(*Path(name).parts[folder.count("/") + 2 :])
            file, room = (
                Path("tests", tests, inside.parent, f"test_{inside.stem}.py"),
                Path("tests", tests, inside.parent),
            )
            if (ROOT / file).exists():
                return {str(file)}
            return {str(room if (ROOT / room).exists() else Path("tests", tests))}
    return naming(Path(name).name)


def argv_of(name: str) -> list[str]:
    """Return the command of one check; `eval` is a package of the clone itself, so it alone may see the clone's top."""
    argv = CHECKS[name]
    return [part for part in argv if part != "-P"] if name == "eval" else argv


def main() -> int:
    """Run all checks, or those named on the command line; exit status 1 when one failed."""
    parser = argparse.ArgumentParser(prog="dev.sh check", description="Run the project's checks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(CHECKS)} (default: all)")
    parser.add_argument("--changed", action="store_true", help="before a commit: the tests of what was changed only")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - CHECKS.keys())
    if unknown:
        parser.error(f"unknown check: {', '.join(unknown)}; known: {', '.join(CHECKS)}")
    commands = {name: argv_of(name) for name in arguments.names or CHECKS}
    if arguments.changed:
        commands = {name: argv_of(name) for name in arguments.names or SOURCE_CHECKS}
        commands["tests"] = [*MODULE, "pytest", "-q", *tests_of(changed_files())]
    return report(commands)


def report(commands: dict[str, list[str]]) -> int:
    """Run the commands, say how each ended; exit status 1 when one failed."""
    failed = []
    for name, argv in commands.items():
        print(f"== {name}", file=sys.stderr, flush=True)
        start = time.monotonic()
        status = subprocess.run(argv, cwd=ROOT, check=False).returncode
        verdict = "ok" if status == 0 else f"failed ({status})"
        print(f"== {name}: {verdict}, {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
        if status != 0:
            failed.append(name)
    if failed:
        print(f"== failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
