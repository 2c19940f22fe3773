"""Run the official suite against the fixture, direct and through the gateway, and compare: `python -m conformance.run`.

Also its scenarios of the tasks extension, which take a minute more and are not part of the comparison in CI.

Exits with 1 when a check passes direct and not through the gateway, unless it is expected; also when an expected
failure does not fail.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.comparison import (
    EXPECTED,
    PAGE,
    TASKS_BEGIN,
    TASKS_END,
    compare_in_temporary_folder,
    expected_failures,
    table,
    tasks_table,
    with_table,
    without_stale,
)
from conformance.programs import ROOT
from conformance.suite import SuiteFailed, count, install, installed


def main() -> int:
    """Run, compare, and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", type=Path, default=ROOT / ".conformance", help="where the suite is or goes")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the table, and drop expected failures that pass",
    )
    args = parser.parse_args()
    try:
        suite = installed(args.suite)
    except SuiteFailed:
        install(args.suite)
        suite = installed(args.suite)
    (comparisons, tasks), expected = compare_in_temporary_folder(suite), expected_failures()
    wrong = False
    for found in (*comparisons, tasks):
        known = expected.get(found.revision, {})
        direct, through = count(found.direct.values()), count(found.through.values())
        print(f"{found.revision}: direct {direct[0]}/{direct[1]}, through the gateway {through[0]}/{through[1]}")
        for name, check in found.unexpected(known).items():
            wrong = True
            print(f"  lost: {name} {check.status} {check.message[:200]}")
        for passing in found.stale(known):
            wrong = True
            print(f"  expected to fail, and does not: {passing}")
    if args.write:
        stale = {found.revision: found.stale(expected.get(found.revision, {})) for found in comparisons}
        EXPECTED.write_text(without_stale(EXPECTED.read_text("utf-8"), stale), "utf-8")
        expected = expected_failures()
        page = with_table(PAGE.read_text("utf-8"), table(comparisons, expected))
        PAGE.write_text(with_table(page, tasks_table(tasks), TASKS_BEGIN, TASKS_END), "utf-8")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
