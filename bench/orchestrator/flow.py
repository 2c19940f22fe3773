"""What the flow costs, before and after: `python -m bench.orchestrator.flow --before CLONE` prints one table.

Both versions run the same scenes (`scenes.py`) in the same process of this benchmark, with one scripted model on the
real wire. `CLONE` is another clone with an environment of its own (`./scripts/dev.sh setup`). `--without-code` compares
with this version without `lg-code` instead. `repeated` is the part of the prompt tokens that begin as the request
before did: what a provider's cache can hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

from bench.orchestrator.scenes import SCENES, Actor, Scene
from lg_orch.llm.cost.tokens import base_count, is_exact
from lg_orch.testing import ScriptedModel

TIMEOUT_S = 300
WITHOUT_CODE = '[gateway.servers.fs]\nbuiltin = "fs"\n[gateway.servers.exec]\nbuiltin = "exec"\n'


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one scene sent."""

    requests: int
    tokens: int
    repeated: int
    solved: bool


def serialised(request: dict[str, Any]) -> str:
    """A request as a provider reads it: tools first, then the messages."""
    told = {key: value for key, value in request.items() if key in ("role", "content", "tool_calls")}
    if told:
        return json.dumps(told, ensure_ascii=False)
    return "\n".join([json.dumps(request.get("tools") or []), *map(serialised, request["messages"])])


def shared(before: str, text: str) -> str:
    """What two texts begin with."""
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, text, strict=False)))


def cost(requests: list[dict[str, Any]], *, solved: bool) -> Cost:
    texts = [serialised(request) for request in requests]
    repeated = 0
    for before, text in pairwise(texts):
        repeated += base_count(shared(before, text))
    return Cost(requests=len(texts), tokens=sum(map(base_count, texts)), repeated=repeated, solved=solved)


def play(scene: Scene, python: str, place: Path, more: str = "") -> Cost:
    """Run a scene's commands with one version, and `more` settings."""
    root = place / "project"
    for name, content in scene.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LG_", "XDG_", "PYTHON"))}
    env = kept | {"OPENAI_API_KEY": "none", "HOME": str(place)}
    env |= {f"XDG_{name}_HOME": str(place / name.lower()) for name in ("STATE", "CONFIG", "DATA", "CACHE")}
    with ScriptedModel(Actor(scene)) as model:
        settings = place / "settings.toml"
        settings.write_text(
            f'[exec]\nenvironment = "{sys.prefix}"\n[models.default]\nprovider = "openai"\nmodel = "scripted"\n'
            f'base_url = "{model.base_url}"\n{scene.settings}{more}'
        )
        for words in scene.commands:
            argv = [python, "-P", "-m", "lg_orch", *words, "--config", str(settings), "--repo-root", str(root)]
            done = subprocess.run(
                argv, cwd=place, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL,
                check=False,
            )  # fmt: skip
    files = {name: (root / name).read_text() for name in scene.files}
    solved = scene.done(files) and done.returncode == 0
    if not solved:
        print(
            f"{scene.name!r} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}", file=sys.stderr
        )
    return cost(model.requests, solved=solved)


def row(name: str, costs: list[Cost]) -> str:
    cells = [
        f"{found.requests}{'' if found.solved else ' NOT SOLVED'} | {found.tokens:,} | {found.repeated:,}"
        for found in costs
    ]
    change = f" | {costs[-1].tokens / costs[0].tokens - 1:+.0%}" if len(costs) > 1 else ""
    return f"| {name} | {' | '.join(cells)}{change} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, metavar="CLONE", help="a clone of the version to compare with")
    parser.add_argument("--without-code", action="store_true", help="compare with this version without lg-code")
    parser.add_argument("--scene", action="append", default=[], metavar="WORDS", help="only scenes whose name has them")
    args = parser.parse_args()
    if not is_exact():
        parser.error("needs a real tokenizer: the extra `tokens`")
    before = [(str(args.before.resolve() / ".venv" / "bin" / "python"), "")] if args.before else []
    before = [(sys.executable, WITHOUT_CODE)] if args.without_code else before
    versions = [*before, (sys.executable, "")]
    heads = ["requests | prompt tokens | repeated"] * len(versions)
    print(f"| scene | {' | '.join(heads)}{' | change' if before else ''} |")
    print("|---|" + "---|" * (3 * len(versions) + bool(before)))
    sums: list[list[Cost]] = []
    with tempfile.TemporaryDirectory(prefix="lg-bench-") as scratch:
        for number, scene in enumerate(SCENES):
            if args.scene and not any(words in scene.name for words in args.scene):
                continue
            sums.append([
                play(scene, python, Path(scratch) / f"{number}-{version}", more)
                for version, (python, more) in enumerate(versions)
            ])  # fmt: skip
            print(row(scene.name, sums[-1]), flush=True)
    totals = [
        Cost(
            requests=sum(found.requests for found in column), tokens=sum(found.tokens for found in column),
            repeated=sum(found.repeated for found in column), solved=all(found.solved for found in column),
        )
        for column in zip(*sums, strict=True)
    ]  # fmt: skip
    print(row("all", totals))
    return 0


if __name__ == "__main__":
    sys.exit(main())
