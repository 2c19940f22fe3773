"""What must hold after the soak: by what clients saw, what servers did, and what the ledger says."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.soak.clients import NOT_SENT, Seen

SHOWN = 5
_TEXT = re.compile(r'"text": "([0-9]+-[0-9]+)"')


def executed(journal: Path) -> Counter[str]:
    """Return how often servers carried out each call."""
    counts: Counter[str] = Counter()
    for line in journal.read_text().splitlines():
        text = json.loads(line).get("arguments", {}).get("text")
        if text is not None:
            counts[str(text)] += 1
    return counts


def against_servers(seen: Seen, counts: Mapping[str, int]) -> list[str]:
    """Compare what clients were told with what servers did."""
    problems = list(seen.lost)
    for call in seen.made:
        times = counts.get(call.name, 0)
        if call.outcome == "ok" and times == 0:
            problems.append(f"lost: {call.name} was answered, and no server did it")
        if call.effect and times > 1:
            problems.append(f"doubled: {call.name} was done {times} times ({call.outcome})")
        if call.effect and not call.keyed and call.outcome == NOT_SENT and times:
            problems.append(f"wrong: {call.name} was done, and its caller was told that it was not sent")
    return problems


def against_ledger(seen: Seen, lines: Iterable[str]) -> list[str]:
    """Compare what clients were told with the ledger: each call that began has ended, and as its client saw it."""
    begun: dict[str, str] = {}
    ended: dict[str, list[dict[str, Any]]] = defaultdict(list)
    problems: list[str] = []
    for line in lines:
        row = json.loads(line)
        if "record" not in row:
            continue
        record = json.loads(row["record"])
        named = _TEXT.search(record["arguments"])
        if record["phase"] == "begun" and named is not None:
            begun[record["request_id"]] = named[1]
        elif record["phase"] == "ended":
            ended[record["request_id"]].append(record)
    outcomes: dict[str, list[str]] = defaultdict(list)
    for request, name in begun.items():
        ends = ended.get(request, [])
        if len(ends) != 1:
            problems.append(f"ledger: {name} was begun as {request} and has {len(ends)} ends")
        outcomes[name] += [str(end["outcome"]) for end in ends]
    wrong = [call.name for call in seen.made if call.outcome == "ok" and outcomes[call.name].count("ok") != 1]
    return problems + [f"ledger: {name} was answered, and its outcomes are {outcomes[name]}" for name in wrong]


def shown(problems: list[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return [*problems[:SHOWN], *more]
