"""A tool, and rule books made from a few rules."""

from __future__ import annotations

from typing import Any

from lg_policy.config.settings import Settings
from lg_policy.rules.rule_set import RuleBook, ToolFacts

PATCH = ToolFacts(
    server="fs",
    tool="fs__apply_patch",
    name="apply_patch",
    trusted=True,
    builtin="fs",
    input_schema={
        "type": "object",
        "properties": {"path": {"type": "string", "format": "lg-path"}, "dry_run": {"type": "boolean"}},
    },
)


def book(*rules: dict[str, Any], **settings: Any) -> RuleBook:
    return RuleBook(Settings.model_validate({**settings, "gateway": {"rules": list(rules)}}))
