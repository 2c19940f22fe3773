"""Says which rules there are, where each is written, and how often each has decided, by the ledger.

Records name a rule by its name, or by its number where it has none. Numbers move when a file changes: of rules without
a name only what was decided since the newest change of a settings file is counted.

Not covered: records that were sealed and removed from the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lg_gateway.store.interface import Tx
from lg_policy.config.loading import Loaded
from lg_policy.config.settings import RuleSettings
from lg_policy.rules.rule_set import rule_names

RECORDS = 200_000
"""Records that are looked through, the newest first."""
_DECIDED = '%"rule":"gateway.rules[%'


@dataclass(frozen=True, kw_only=True)
class RuleUse:
    """How often a rule has decided, and when last, as the ledger writes times."""

    hits: int = 0
    last: str = ""


@dataclass(frozen=True, kw_only=True)
class ListedRule:
    """One rule in force. `index` is its place among the rules of its own file."""

    number: int
    name: str
    place: str
    settings: RuleSettings
    use: RuleUse = RuleUse()
    index: int | None = None
    """`None` where it is not in the user's settings file."""


def listed_rules(loaded: Loaded, own: Path, used: Mapping[str, RuleUse]) -> list[ListedRule]:
    """Return all rules in the order in which they are numbered. `own` is the user's settings file."""
    rules, places, found, mine = loaded.settings.gateway.rules, loaded.rule_places, [], 0
    for number, (rule, name, place) in enumerate(zip(rules, rule_names(rules), places, strict=True)):
        index = None
        if place.startswith((f"{own}:", f"{own}, rule ")):
            index, mine = mine, mine + 1
        found.append(
            ListedRule(number=number, name=name, place=place, settings=rule, use=used.get(name, RuleUse()), index=index)
        )
    return found


def rule_use(tx: Tx, changed: datetime | None) -> dict[str, RuleUse]:
    """Count the decisions of each rule. `changed` is when a settings file changed last."""
    sql = "SELECT record FROM ledger WHERE record LIKE ? ORDER BY seq DESC LIMIT ?"
    since = changed.astimezone(UTC).isoformat() if changed is not None else ""
    found: dict[str, RuleUse] = {}
    for (text,) in tx.execute(sql, (_DECIDED, RECORDS)):
        record = json.loads(text)
        name, time = str(record.get("rule", "")), str(record.get("time", ""))
        once = record.get("phase") == "begun" or record.get("outcome") == "refused"
        if not name.startswith("gateway.rules[") or not once or (_numbered(name) and time < since):
            continue
        known = found.get(name, RuleUse())
        found[name] = RuleUse(hits=known.hits + int(record.get("count") or 1), last=max(known.last, time))
    return found


def any_decided(tx: Tx) -> bool:
    """Return whether the ledger has a call that was decided, by a rule or by a default."""
    return bool(tx.execute("SELECT 1 FROM ledger WHERE record NOT LIKE ? LIMIT 1", ('%"phase":"note"%',)))


def last_change(files: Iterable[Path]) -> datetime | None:
    """Return when the newest of the settings files was changed."""
    times = [path.stat().st_mtime for path in files if path.exists()]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def never_used(rules: Sequence[ListedRule]) -> list[ListedRule]:
    """Return the rules that have decided nothing so far."""
    return [rule for rule in rules if not rule.use.hits]


def _numbered(name: str) -> bool:
    return name.removeprefix("gateway.rules[").removesuffix("]").isdecimal()
