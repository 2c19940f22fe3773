"""Run the tasks through the installed `lg-orch` and judge what it prints: `python -m eval.run [--smoke] [--json]`.

Three kinds, reported apart: questions to the deterministic analyst, behaviour with scripted models, and, only with
`--model PROVIDER:NAME`, changes by that real model.

Nothing here replaces a part of the system: each task is a process of its own with its own gateway and servers, on a
repository written to a temporary directory. Exit status 1 when a fact is not said.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.models import REAL, SCRIPTED, ModelTask
from eval.models import run as run_with_model
from eval.repos import unpack
from eval.tasks import Task, judge, load, said

TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one task went."""

    id: str
    repo: str
    ok: bool
    facts: int
    wrong: tuple[str, ...]
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Run, print a table or JSON, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eval.run", description="Judge answers about known repositories.")
    parser.add_argument("--smoke", action="store_true", help="only the few tasks that continuous integration runs")
    parser.add_argument("--json", action="store_true", help="results as one JSON object")
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="only the tasks for real models, asked of this one")
    parser.add_argument("--task", action="append", default=[], metavar="ID", help="only this task; repeatable")
    args = parser.parse_args(argv)
    questions = [] if args.model else chosen(load(), args)
    others = chosen(REAL if args.model else SCRIPTED, args)
    if not questions and not others:
        parser.error("no such task")
    with tempfile.TemporaryDirectory(prefix="lg-eval-") as scratch, ThreadPoolExecutor(2) as pool:
        asked = list(pool.map(lambda task: run_task(task, Path(scratch)), questions))
        worked = list(pool.map(lambda task: run_model_task(task, Path(scratch), args.model), others))
    kinds = {"deterministic analyst, no language model": asked, args.model or "scripted models": worked}
    if args.json:
        print(json.dumps({kind: [asdict(one) for one in results] for kind, results in kinds.items()}, indent=2))
    else:
        print("\n\n".join(table(results, kind) for kind, results in kinds.items() if results))
    return 0 if all(result.ok for result in (*asked, *worked)) else 1


def chosen(tasks: Iterable[Any], args: argparse.Namespace) -> list[Any]:
    """The tasks that were asked for."""
    return [task for task in tasks if (not args.smoke or task.smoke) and (not args.task or task.id in args.task)]


def run_model_task(task: ModelTask, scratch: Path, model: str | None) -> Result:
    """One task that needs a model."""
    begun = time.monotonic()
    try:
        wrong = run_with_model(task, scratch, model)
    except subprocess.TimeoutExpired as error:
        wrong = [f"did not end within {error.timeout:.0f} s"]
    seconds = round(time.monotonic() - begun, 2)
    return Result(id=task.id, repo="", ok=not wrong, facts=0, wrong=tuple(wrong), seconds=seconds)


def run_task(task: Task, scratch: Path) -> Result:
    """One task in directories of its own; a run that prints no result is wrong in every respect."""
    home = scratch / task.id
    root = unpack(task.repo, home / "repository")
    begun = time.monotonic()
    wrong = _run(task, root, home)
    seconds = round(time.monotonic() - begun, 2)
    return Result(id=task.id, repo=task.repo, ok=not wrong, facts=len(task.facts), wrong=tuple(wrong), seconds=seconds)


def _run(task: Task, root: Path, home: Path) -> list[str]:
    names = {name: str(home / name.lower()) for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LG_", "XDG_"))}
    command = [sys.executable, "-P", "-m", "lg_orch", "run", task.request, "--repo-root", str(root), "--json"]
    try:
        done = subprocess.run(
            command, cwd=home, env=kept | names, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"did not end within {TIMEOUT_S} s"]
    lines = done.stdout.strip().splitlines()
    try:
        final = json.loads(lines[-1]) if lines else None
        answer = said(final) if isinstance(final, dict) else None
    except (ValueError, KeyError, TypeError):
        answer = None
    if answer is None:
        return [f"printed no result (exit status {done.returncode}): {done.stderr.strip()[-300:]}"]
    return judge(task, answer)


def table(results: list[Result], kind: str) -> str:
    """One line a task, what is wrong below it, and the sum."""
    width = max(len(result.id) for result in results)
    lines = []
    for result in results:
        mark = "ok   " if result.ok else "WRONG"
        facts = f"{result.facts:>2} facts" if result.facts else " " * 8
        lines.append(f"{mark} {result.id:<{width}}  {facts}  {result.seconds:6.2f} s")
        lines += [f"        {item}" for item in result.wrong]
    good = sum(result.ok for result in results)
    lines.append(f"{good} of {len(results)} tasks right, {kind}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
