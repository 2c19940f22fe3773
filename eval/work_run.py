"""Run the tasks of `work/` and print what each took: `python -m eval.work_run [--model PROVIDER:NAME]`.

Without `--model` a script says the reference solution, so that versions can be compared by the tokens and requests that
they need for the same work. `--record DIR` keeps a real model's traffic, `--replay DIR` answers from it. `--store NAME`
keeps the results in `results/`; those of the same model are printed beside new ones.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.work_tasks import REMOVED, WorkTask, judge, load_all, verify, write
from lg_orch.testing import Cassette, Scripted, ScriptedModel, calls, text
from lg_policy.version import __version__

RESULTS = Path(__file__).parent / "results"
TIMEOUT_S = 900
ROUTE = {"intent": "code_change", "lane": "interactive", "rationale": "the solution is known"}
PLAN = {"steps": [{"id": "s1", "description": "do it", "tools": []}], "acceptance": [], "verification": []}
SCRIPT = "script"
"""The name of the model that says the reference solutions."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one task took. `cost` is null where no price is known."""

    task: str
    solved: bool
    tokens: int
    requests: int
    cost: float | None
    wall: float
    wrong: tuple[str, ...] = ()


def main(argv: list[str] | None = None) -> int:
    """Run, print, return the exit status: 1 where a task is not solved."""
    args = _arguments(argv)
    tasks = [task for task in load_all() if not args.task or task.id in args.task]
    if not tasks:
        print("there is no such task", file=sys.stderr)
        return 2
    if args.verify:
        wrong = {task.id: verify(task) for task in tasks}
        print("\n".join(f"{name}: {'; '.join(said) or 'right'}" for name, said in wrong.items()))
        return 1 if any(wrong.values()) else 0
    model = args.model or SCRIPT
    rows = [run(task, args) for task in tasks]
    print(table(rows, earlier(model)))
    if args.store:
        RESULTS.mkdir(exist_ok=True)
        kept = {"name": args.store, "version": __version__, "model": model, "rows": [asdict(row) for row in rows]}
        (RESULTS / f"{args.store}.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 0 if all(row.solved for row in rows) else 1


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m eval.work_run", description=__doc__)
    parser.add_argument("--task", action="append", default=[], metavar="ID", help="only this task; repeatable")
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="a real model; its key in the environment")
    parser.add_argument("--base-url", help="the address of the model's server; needed for --record")
    parser.add_argument("--record", type=Path, metavar="DIR", help="keep the model's traffic, one file for each task")
    parser.add_argument("--replay", type=Path, metavar="DIR", help="answer from recorded traffic")
    parser.add_argument("--store", metavar="NAME", help="keep the results as results/NAME.json")
    parser.add_argument("--verify", action="store_true", help="only try the hidden checks on known solutions")
    args = parser.parse_args(argv)
    if (args.record or args.replay) and not args.model:
        parser.error("--record and --replay need --model")
    if args.record and not args.base_url:
        parser.error("--record needs --base-url")
    return args


def run(task: WorkTask, args: argparse.Namespace) -> Row:
    """Let the installed program do one task in directories of its own, and judge what it left."""
    with tempfile.TemporaryDirectory(prefix="lg-eval-") as scratch:
        home = Path(scratch)
        root = home / "project"
        write(task, root, "project")
        with _served(task, args) as base_url:
            begun = time.monotonic()
            events, problem = _run(task, root, home, args.model, base_url)
            wall = time.monotonic() - begun
        wrong = [*([problem] if problem else []), *judge(task, root)]
    usage = next((event["data"].get("usage") or {} for event in reversed(events) if _is_end(event)), {})
    asked = sum(event.get("kind") == "model" and event.get("phase") == "end" for event in events)
    priced = all(event["data"].get("cost_usd") is not None for event in events if event.get("kind") == "model"
                 and event.get("phase") == "end")  # fmt: skip
    cost = round(float(usage.get("cost_usd") or 0.0), 4) if priced and asked else None
    return Row(
        task=task.id, solved=not wrong, tokens=int(usage.get("tokens") or 0), requests=asked, cost=cost,
        wall=round(wall, 1), wrong=tuple(wrong),
    )  # fmt: skip


@contextmanager
def _served(task: WorkTask, args: argparse.Namespace) -> Iterator[str | None]:
    """The address of the model, where it is not the provider's own."""
    folder = args.record or args.replay
    if args.model is None:
        with ScriptedModel(KnowsTheSolution(task)) as model:
            yield model.base_url
    elif folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with Cassette(folder / f"{task.id}.jsonl", upstream=args.base_url if args.record else None) as cassette:
            yield cassette.base_url
    else:
        yield args.base_url


class KnowsTheSolution:
    """A model that says the reference solution, and sorts and plans as little as it may."""

    def __init__(self, task: WorkTask) -> None:
        self._turns = iter(reference(task))

    def __call__(self, request: dict[str, Any]) -> Scripted:
        if request.get("tools"):
            return next(self._turns, text("Done."))
        routed = '"lane"' in str(request["messages"][0]["content"])
        return text(json.dumps(ROUTE if routed else PLAN))


def reference(task: WorkTask) -> list[Scripted]:
    """What a model says that knows the solution: reads what it changes, changes it in one patch, and is done."""
    project, solution = task.files["project"], task.files["reference"]
    changed = sorted(path.removeprefix(REMOVED) for path in solution)
    patch = "".join(
        line
        for path in changed
        for line in difflib.unified_diff(
            project.get(path, "").splitlines(keepends=True), solution.get(path, "").splitlines(keepends=True),
            f"a/{path}" if path in project else "/dev/null", f"b/{path}" if path in solution else "/dev/null",
        )
    )  # fmt: skip
    reads = [("fs__read_file", {"path": path}) for path in changed if path in project]
    turns = [calls(*reads[first : first + 8]) for first in range(0, len(reads), 8)]
    return [*turns, calls(("fs__apply_patch", {"patch": patch})), text("Done.")]


def _run(
    task: WorkTask, root: Path, home: Path, model: str | None, base_url: str | None
) -> tuple[list[dict[str, Any]], str]:
    provider, _, name = (model or "openai:scripted").partition(":")
    address = f'base_url = "{base_url}"\n' if base_url else ""
    settings = home / "settings.toml"
    settings.write_text(
        f'[exec]\nenvironment = "{sys.prefix}"\n[models.default]\nprovider = "{provider}"\nmodel = "{name}"\n{address}'
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LG_", "XDG_"))}
    kept |= {} if model else {"OPENAI_API_KEY": "none"}
    places = {f"XDG_{key}_HOME": str(home / key.lower()) for key in ("STATE", "CONFIG", "DATA")}
    argv = [sys.executable, "-P", "-m", "lg_orch", "run", task.request, "--yes", "--json", "--config", str(settings)]
    try:
        done = subprocess.run(
            [*argv, "--repo-root", str(root)], cwd=home, env=kept | places, capture_output=True, text=True,
            timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [], f"the run did not end within {TIMEOUT_S} s"
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return events, "" if events else f"the run said nothing: {done.stderr.strip()[-300:]}"


def _is_end(event: dict[str, Any]) -> bool:
    return event.get("name") == "run" and event.get("phase") == "end"


def earlier(model: str) -> list[dict[str, Any]]:
    """Return the stored results of that model, oldest first by name."""
    kept = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return [results for results in kept if results["model"] == model]


def table(rows: list[Row], stored: list[dict[str, Any]]) -> str:
    """Return the results as a table, those of earlier versions beside them, and the sum in the last line."""
    titles = [*(f"{results['name']}: tokens | requests" for results in stored), "now: tokens | requests"]
    lines = [f"| task | solved | {' | '.join(titles)} | cost | wall s |"]
    lines.append("|---" * (lines[0].count("|") - 1) + "|")
    before = [{row["task"]: row for row in results["rows"]} for results in stored]
    for row in rows:
        cells = [_cells(known.get(row.task)) for known in before]
        cost = "-" if row.cost is None else f"${row.cost:.4f}"
        solved = "yes" if row.solved else f"NO: {row.wrong[0]}".replace("|", "/")
        lines.append(f"| {' | '.join([row.task, solved, *cells, _cells(asdict(row))])} | {cost} | {row.wall:.1f} |")
    names = {row.task for row in rows}
    sums = [_sum([row for name, row in known.items() if name in names]) for known in before]
    costs = [row.cost for row in rows if row.cost is not None]
    solved = f"{sum(row.solved for row in rows)} of {len(rows)}"
    cost = f"${sum(costs):.4f}" if costs else "-"
    wall = f"{sum(row.wall for row in rows):.1f}"
    lines.append(f"| {' | '.join(['all', solved, *sums, _sum([asdict(row) for row in rows])])} | {cost} | {wall} |")
    return "\n".join(lines)


def _cells(row: dict[str, Any] | None) -> str:
    return "- | -" if row is None else f"{row['tokens']:,} | {row['requests']}"


def _sum(rows: list[dict[str, Any]]) -> str:
    return _cells({name: sum(row[name] for row in rows) for name in ("tokens", "requests")})


if __name__ == "__main__":
    sys.exit(main())
