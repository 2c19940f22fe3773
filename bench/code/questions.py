"""A set of questions about trees, and how well a ranking answers them.

The form is that of semble's public benchmark (github.com/MinishLab/semble, folder `benchmarks`): `repos.json` names
repositories with a revision and the folder that is searched; `annotations/NAME.json` has the questions, each with the
files, or lines of files, that answer it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

TOP = 10


class Target(NamedTuple):
    """A file that answers a question, or some lines of it."""

    path: str
    start: int | None = None
    end: int | None = None


class Hit(NamedTuple):
    """One result: a path relative to the tree, and lines."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about one tree."""

    text: str
    category: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A checked-out repository, the folder of it that is searched, and its questions."""

    name: str
    language: str
    base: Path
    folder: str
    questions: tuple[Question, ...]

    @property
    def root(self) -> Path:
        """Return the folder that is searched."""
        return self.base / self.folder if self.folder else self.base

    @property
    def half(self) -> str:
        """Return to which half the tree belongs: weights were set on `tune`, so `held out` is the one to read."""
        return "tune" if hashlib.sha256(self.name.encode()).digest()[0] % 2 else "held out"


def load(questions: Path, trees: Path) -> Iterator[Tree]:
    """Yield the trees that are there, with their questions."""
    for spec in json.loads((questions / "repos.json").read_text()):
        annotations, base = questions / "annotations" / f"{spec['name']}.json", trees / spec["name"]
        if annotations.is_file() and base.is_dir():
            asked = [
                item for item in json.loads(annotations.read_text()) if item.get("repo", spec["name"]) == spec["name"]
            ]
            yield Tree(
                name=spec["name"],
                language=spec["language"],
                base=base,
                folder=spec.get("benchmark_root") or "",
                questions=tuple(map(_question, asked)),
            )


def _question(item: dict[str, Any]) -> Question:
    targets = [*item.get("relevant", ()), *item.get("secondary", ())]
    by_words = "semantic" if " " in item["query"].strip() else "symbol"
    return Question(text=item["query"], category=item.get("category") or by_words, targets=tuple(map(_target, targets)))


def _target(raw: str | dict[str, Any]) -> Target:
    return Target(raw) if isinstance(raw, str) else Target(raw["path"], raw.get("start_line"), raw.get("end_line"))


def _same(path: str, other: str) -> bool:
    return path == other or path.endswith(f"/{other}") or other.endswith(f"/{path}")


def fits(hit: Hit, target: Target) -> bool:
    """Tell whether a result covers a target."""
    if not _same(hit.path, target.path):
        return False
    return target.start is None or target.end is None or not (hit.end < target.start or hit.start > target.end)


def ndcg(hits: Sequence[Hit], question: Question, files: Sequence[str]) -> float | None:
    """Return NDCG@10 of a ranking; `None` if no file of the answer is in the tree."""
    targets = [target for target in question.targets if any(_same(path, target.path) for path in files)]
    if not targets:
        return None
    places: set[int] = set()
    for target in targets:
        place = next((place for place, hit in enumerate(hits[:TOP]) if fits(hit, target)), None)
        if place is not None:
            places.add(place)
    gained = sum(1 / math.log2(place + 2) for place in places)
    return gained / sum(1 / math.log2(place + 2) for place in range(min(TOP, len(targets))))


def first_five(paths: Sequence[str], question: Question) -> bool:
    """Tell whether one of the first five different files is the question's first answer."""
    files = list(dict.fromkeys(paths))[:5]
    return any(_same(path, question.targets[0].path) for path in files)
