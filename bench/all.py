"""Runs the benches one after the other, and prints one table of ratios: `python -m bench.all [--only NAME]`.

The first row of each table is its reference; a figure of another row is divided by the reference's. So a bench lists
its reference first. With `--keep DIR` the tables themselves are kept, one file for each bench.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import machine

ROOT = Path(__file__).parents[1]
BENCHES = {
    "gateway": ["bench.gateway.run", "--rounds", "3", "--calls", "320"],
    "exec": ["bench.exec.run"],
    "masking": ["bench.masking.run"],
    "startup": ["bench.startup.run"],
    "steps": ["bench.orchestrator.steps", "--steps", "200"],
    "summarize": ["bench.summarize.run"],
}
"""Without those that need other programs: `bench.fs` (npm's server and ripgrep), `bench.orchestrator.tokens`."""
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Ratio:
    """One figure against the reference of its table."""

    bench: str
    row: str
    column: str
    value: float
    reference: float

    def line(self) -> str:
        """Return it as a row of the table of ratios."""
        return f"| {self.bench} | {self.row} | {self.column} | {self.value:g} | {self.value / self.reference:.2f} |"


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the Markdown tables of a text: lists of rows of cells, the heading first."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif rows:
            yield [row for row in rows if not all(set(cell) <= set("-: ") for cell in row)]
            rows = []


def ratios(bench: str, text: str) -> Iterator[Ratio]:
    """Yield the ratios of all tables of a bench's output."""
    for heading, *rows in tables(text):
        # A column in which all rows have numbers is a figure, or what the figures are at, such as calls at once.
        named = [n for n in range(len(heading)) if n == 0 or heading[n] in ("at once", "in flight")]
        references: dict[tuple[str, ...], list[str]] = {}
        for row in rows:
            at = tuple(row[n] for n in named if n)
            reference = references.setdefault(at, row)
            if reference is row:
                continue
            what = ", ".join(row[n] for n in named)
            for column in range(1, len(heading)):
                if column in named or column >= len(row) or column >= len(reference):
                    continue
                value, base = _number(row[column]), _number(reference[column])
                if value is not None and base:
                    yield Ratio(bench, what, heading[column], value, base)


def _number(cell: str) -> float | None:
    found = _NUMBER.match(cell)
    return float(found.group().replace(",", "")) if found is not None else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=BENCHES, action="append")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write each bench's own tables there")
    args = parser.parse_args(argv)
    print(machine())
    print("\n| bench | what | figure | value | ratio to the table's first row |\n|---|---|---|---|---|")
    failed = 0
    for name in args.only or BENCHES:
        command = [sys.executable, "-m", *BENCHES[name]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            failed = 1
            print(f"{name} failed with status {done.returncode}: {done.stderr.strip()[-500:]}", file=sys.stderr)
            continue
        if args.keep is not None:
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / f"{name}.md").write_text(done.stdout)
        for ratio in ratios(name, done.stdout):
            print(ratio.line(), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
