"""Tokens sent for a fixed task: `python -m bench.orchestrator.tokens [--peers DIR]` prints one table for each task.

Counted by one tokenizer over what reached the scripted model: messages, tool calls in them, and tools.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.orchestrator.peers import PEERS, Outcome, install, run
from bench.orchestrator.tasks import TASKS
from lg_orch.llm.cost.tokens import base_count, is_exact

if TYPE_CHECKING:
    from collections.abc import Mapping

US = "lg-orch"
REFERENCE = "mini-swe-agent"


def prompt_tokens(request: Mapping[str, Any]) -> int:
    parts = [str(message.get("content") or "") for message in request["messages"]]
    parts += [json.dumps(message["tool_calls"]) for message in request["messages"] if message.get("tool_calls")]
    parts += [json.dumps(request["tools"])] if request.get("tools") else []
    return base_count("\n".join(parts))


def table(outcomes: list[Outcome]) -> str:
    sent = {one.program: sum(map(prompt_tokens, one.requests)) for one in outcomes}
    lines = [
        f"| program | solved | requests | prompt tokens | of {REFERENCE} | wall s | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        ratio = f"{sent[one.program] / sent[REFERENCE]:.0%}" if sent.get(REFERENCE) else "-"
        lines.append(
            f"| {one.program} | {'yes' if one.solved else 'NO'} | {len(one.requests)} | {sent[one.program]:,} "
            f"| {ratio} | {one.wall_s:.1f} | {one.cpu_s:.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="where the other programs are kept (default: thrown away)")
    parser.add_argument("--show", metavar="PROGRAM", help="print what this program sent last, instead of the tables")
    args = parser.parse_args()
    if not is_exact():
        parser.error("needs a real tokenizer: the extra `tokens`")
    with tempfile.TemporaryDirectory(prefix="lg-bench-") as scratch:
        peers = args.peers or Path(scratch) / "peers"
        install(peers.resolve())
        for number, task in enumerate(TASKS):
            outcomes = [run(name, task, Path(scratch) / f"{number}-{name}", peers.resolve()) for name in (*PEERS, US)]
            if args.show:
                [shown] = [one for one in outcomes if one.program == args.show]
                print(json.dumps(shown.requests[-1], indent=1))
            else:
                print(f"\n{task.name}:\n\n{table(outcomes)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
