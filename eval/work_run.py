"""Run the tasks of `work/` and print what each took: `lg-orch eval`, or `python -m eval.work_run`.

Without `--model` a script says the reference solution, so that versions can be compared by the tokens and requests that
they need for the same work. `--record DIR` keeps the model's traffic, `--replay DIR` answers from it. `--store NAME`
keeps the results in `results/`; those of the same model are printed beside new ones.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.work_tasks import REMOVED, WorkTask, judge, load_all, verify, write
from lg_orch.commands.setup_commands import evaluation_flags
from lg_orch.llm.providers import PROVIDERS
from lg_orch.testing import Cassette, Scripted, ScriptedModel, calls, text
from lg_policy.errors import ConfigError, UsageError
from lg_policy.printing import quote
from lg_policy.version import __version__

CLEARLY = 0.1
"""Share of tokens by which a task may grow without a word."""
RESULTS = Path(__file__).parent / "results"
TIMEOUT_S = 900
ROUTE = {"intent": "code_change", "lane": "interactive", "rationale": "the solution is known"}
PLAN = {"steps": [{"id": "s1", "description": "do it", "tools": []}], "acceptance": [], "verification": []}
LOOPBACK = "http://127.0.0.1:"
"""A server of this machine, which asks for no key: a script, or a recording."""
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
    changed: int = 0
    """Requests that a recording does not have as they are: they were answered in the order of the recording."""


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eval.work_run", description=__doc__)
    evaluation_flags(parser)
    try:
        return evaluate(parser.parse_args(argv))
    except (ConfigError, UsageError) as error:
        print(error.text(), file=sys.stderr)
        return 2


def evaluate(args: argparse.Namespace) -> int:
    """Run, print, return the exit status: 1 where a task is not solved. Raises `ConfigError`, `UsageError`."""
    _check(args)
    known = {task.id: task for task in load_all()}
    if unknown := [name for name in args.task if name not in known]:
        raise UsageError(f"there is no task {quote(unknown[0], limit=80)}", hint=f"tasks are {', '.join(known)}")
    tasks = [known[name] for name in args.task or known]
    if args.verify:
        wrong = {task.id: verify(task) for task in tasks}
        print("\n".join(f"{name}: {'; '.join(said) or 'right'}" for name, said in wrong.items()))
        return 1 if any(wrong.values()) else 0
    model = args.model or SCRIPT
    rows = []
    for number, task in enumerate(tasks, 1):
        print(f"{number} of {len(tasks)}: {task.id} ({task.kind})", file=sys.stderr, flush=True)
        rows.append(run(task, args))
    results = {"name": args.store or "now", "version": __version__, "model": model,
               "rows": [asdict(row) for row in rows]}  # fmt: skip
    print(json.dumps(results, indent=1) if args.json else table(rows, earlier(model)))
    if args.store:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{args.store}.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(row.solved for row in rows) else 1


def _check(args: argparse.Namespace) -> None:
    if args.record and args.model and not args.base_url:
        raise UsageError("--record needs the address to record from", hint="name it with --base-url")
    if args.store and re.fullmatch(r"[\w.-]{1,64}", args.store) is None:
        raise UsageError(f"--store {quote(args.store, limit=80)} is not the name of a file",
                         hint="use letters, digits, dots and dashes")  # fmt: skip
    if importlib.util.find_spec("pytest") is None:
        raise ConfigError("the hidden checks need pytest, which is not installed beside lg-orch",
                          hint=f"{sys.executable} -m pip install pytest")  # fmt: skip


def run(task: WorkTask, args: argparse.Namespace) -> Row:
    """Let the installed program do one task in directories of its own, and judge what it left."""
    with tempfile.TemporaryDirectory(prefix="lg-eval-") as scratch:
        home = Path(scratch)
        root = home / "project"
        write(task, root, "project")
        changed: list[str] = []
        with _served(task, args, changed) as base_url:
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
        wall=round(wall, 1), wrong=tuple(wrong), changed=len(changed),
    )  # fmt: skip


@contextmanager
def _served(task: WorkTask, args: argparse.Namespace, changed: list[str]) -> Iterator[str | None]:
    """The address of the model, where it is not the provider's own."""
    path = (args.record or args.replay or RESULTS) / f"{task.id}.jsonl"
    if args.replay:
        if not path.is_file():
            raise ConfigError(f"there is no recording {quote(str(path))}", hint="--record DIR makes one")
        with Cassette(path, lenient=True, changed=changed) as cassette:
            yield cassette.base_url
        return
    with ExitStack() as stack:
        script = ScriptedModel(KnowsTheSolution(task)) if args.model is None else None
        address = stack.enter_context(script).base_url if script is not None else args.base_url
        if args.record:
            path.parent.mkdir(parents=True, exist_ok=True)
            by = f"lg-orch {__version__}, {args.model or SCRIPT}"
            address = stack.enter_context(Cassette(path, upstream=address, by=by)).base_url
        yield address


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
    if base_url is not None and base_url.startswith(LOOPBACK):
        kept |= {key: "none" for known in PROVIDERS.values() for key in known.key_names if not kept.get(key)}
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
    if changed := sum(row.changed for row in rows):
        lines.append(f"\n{changed} of {sum(row.requests for row in rows)} requests are not as they were recorded:"
                     " they were answered in the order of the recording.")  # fmt: skip
    if stored and (lost := worse(rows, stored[-1]["rows"])):
        lines.append(f"\nWorse than {stored[-1]['name']}: {'; '.join(lost)}.")
    return "\n".join(lines)


def worse(rows: list[Row], before: list[dict[str, Any]]) -> list[str]:
    """Return what got worse than in earlier results: what is not solved any more, and what costs clearly more."""
    known = {row["task"]: row for row in before}
    found = []
    for row in rows:
        old = known.get(row.task)
        if old is None or not old["solved"]:
            continue
        if not row.solved:
            found.append(f"{row.task} is not solved any more")
        elif row.tokens > old["tokens"] * (1 + CLEARLY) or row.requests > old["requests"]:
            more = f"{row.tokens / max(1, old['tokens']) - 1:+.0%} tokens"
            found.append(f"{row.task} takes {more}, {row.requests} requests instead of {old['requests']}")
    return found


def _cells(row: dict[str, Any] | None) -> str:
    return "- | -" if row is None else f"{row['tokens']:,} | {row['requests']}"


def _sum(rows: list[dict[str, Any]]) -> str:
    return _cells({name: sum(row[name] for row in rows) for name in ("tokens", "requests")})


if __name__ == "__main__":
    sys.exit(main())
