"""Programs that are started without standard streams, as some service managers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("program", "arguments", "closed", "status", "words"),
    [
        ("lg-gateway", ("serve",), "<&-", 2, "standard input is closed"),
        ("lg-gateway", ("serve",), ">&-", 2, "standard output is closed"),
        ("lg-gateway", ("approvals",), "<&- >&-", 0, "no question waits"),
        ("lg-orch", (), "<&- >&-", 2, "lg-orch COMMAND"),
    ],
)
def test_a_program_without_standard_streams_says_so_or_works(
    tmp_path: Path, program: str, arguments: tuple[str, ...], closed: str, status: int, words: str
) -> None:
    line = f'exec "$0" "$@" {closed}'
    rooted = (*arguments, "--root", str(tmp_path)) if arguments else ()
    done = subprocess.run(
        ["/bin/sh", "-c", line, str(PROGRAMS / program), *rooted], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status, done.stderr
    assert words in done.stderr


def test_a_limit_of_file_sizes_is_told_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 1; exec "$0" serve --root "$1"', str(PROGRAMS / "lg-gateway"), str(tmp_path)],
        capture_output=True, text=True, timeout=60, input="",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("lg-gateway: ")
    assert done.stderr.endswith("File too large\n")
