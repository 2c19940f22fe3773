"""Compare `search_code` with its peers on a set of questions.

    python -m bench.code.run --questions DIR --trees DIR [--only NAME ...] [--peers semble aider]

`--questions` is the folder `benchmarks` of semble's repository. `--trees` has the repositories that it names, checked
out at the revisions that it names. Each peer gets a virtual environment of its own, which is removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.code.ours import ask
from bench.code.questions import TOP, Hit, Tree, first_five, load, ndcg
from bench.machine import machine

PACKAGES = {"semble": "semble==0.7.0", "aider": "aider-chat"}
_LIMIT_S = 3_600
_HERE = Path(__file__).parent
_SCORES = ("all", "tune", "held out", "architecture", "semantic", "symbol")


class Figures:
    """What one method scored over all trees."""

    def __init__(self) -> None:
        self.scores: dict[str, list[float]] = defaultdict(list)
        self.first_five: list[bool] = []
        self.took: list[float] = []
        self.index_cpu_s = 0.0

    def add(self, tree: Tree, files: Sequence[str], told: Mapping[str, Any]) -> None:
        """Count the answers about one tree."""
        self.index_cpu_s += told["index_cpu_s"]
        self.took += told["took"]
        for question, answer in zip(tree.questions, told["answers"], strict=True):
            hits = [Hit(str((Path(tree.folder) / path).as_posix()), start, end) for path, start, end in answer]
            score = ndcg(hits, question, files)
            if score is None:
                continue
            for group in ("all", tree.half, question.category):
                self.scores[group].append(score)
            if question.category != "symbol":
                self.first_five.append(first_five([hit.path for hit in hits], question))

    def row(self, name: str) -> str:
        """Return the row of the table."""
        scores = [f"{statistics.fmean(self.scores[group]):.3f}" if self.scores[group] else "-" for group in _SCORES]
        five = f"{100 * statistics.fmean(self.first_five):.0f} %" if self.first_five else "-"
        p50 = f"{1_000 * statistics.median(self.took):.1f}"
        return f"| {name} | {' | '.join(scores)} | {five} | {self.index_cpu_s:.1f} | {p50} |"


def environment(package: str, directory: Path) -> Path:
    """Make a virtual environment with a package, and return its Python."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", package], check=True, cwd=directory)
    return python


def peer(name: str, python: Path, tree: Tree) -> dict[str, Any]:
    """Ask a peer about one tree."""
    request = {"root": str(tree.root.resolve()), "questions": [item.text for item in tree.questions], "top": TOP}
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [python, _HERE / f"peer_{name}.py"], input=json.dumps(request), capture_output=True, text=True, check=False,
            cwd=empty, timeout=_LIMIT_S, env={"HOME": empty, "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} failed on {tree.name}:\n{done.stderr[-2_000:]}")
    told: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return told


def main(arguments: Sequence[str]) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--trees", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--peers", nargs="*", choices=sorted(PACKAGES), default=["semble"])
    parser.add_argument("--python", nargs="*", default=(), metavar="PEER=PYTHON", help="an environment that is there")
    given = parser.parse_args(arguments)
    trees = [tree for tree in load(given.questions, given.trees) if not given.only or tree.name in given.only]
    figures = {name: Figures() for name in (*given.peers, "lg-code")}
    ready = dict(item.split("=", 1) for item in given.python)
    with tempfile.TemporaryDirectory() as made:
        pythons = {
            name: Path(ready[name]) if name in ready else environment(PACKAGES[name], Path(made) / name)
            for name in given.peers
        }
        for tree in trees:
            files = [str(path.relative_to(tree.base)) for path in tree.root.rglob("*") if path.is_file()]
            for name in given.peers:
                figures[name].add(tree, files, peer(name, pythons[name], tree))
            asked = [question.text for question in tree.questions]
            figures["lg-code"].add(tree, files, ask(tree.root, asked, TOP))
            print(f"{tree.name}: {len(tree.questions)} questions", file=sys.stderr)
    print(f"{machine()}\n\n{len(trees)} trees, {sum(len(tree.questions) for tree in trees)} questions\n")
    print(f"| method | {' | '.join(_SCORES)} | first five | index CPU s | p50 ms |")
    print(f"|---|{'---|' * (len(_SCORES) + 3)}")
    for name, counted in figures.items():
        print(counted.row(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
