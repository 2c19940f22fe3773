"""The published JSON Schemas, generated from the models; `python -m lg_orch.contracts.schemas DIR` writes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.envelopes import ToolEnvelope
from lg_orch.contracts.events import HOLDS, Event, RunTrace
from lg_orch.contracts.plans import Plan
from lg_orch.contracts.reports import VerifierReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: Mapping[str, type[BaseModel]] = {
    "planner_output": Plan,
    "verifier_report": VerifierReport,
    "tool_envelope": ToolEnvelope,
    "run_trace": RunTrace,
    "run_event": Event,
}


def schema(name: str) -> dict[str, Any]:
    """Return the schema of what is written under that name. Raises `KeyError` for an unknown one."""
    # The planner's output is read, the others are written: a default may be missing only in what is read.
    mode: Any = "validation" if name == "planner_output" else "serialization"
    made = MODELS[name].model_json_schema(mode=mode)
    if name == "run_event":
        made["allOf"] = [_holds(kind, phase, keys) for (kind, phase), keys in HOLDS.items()]
    return {"$schema": DIALECT, **made}


def _holds(kind: str, phase: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """The rule that events of a kind and phase have certain data."""
    return {
        "if": {"properties": {"kind": {"const": kind}, "phase": {"const": phase}}},
        "then": {"properties": {"data": {"required": list(keys)}}},
    }


def text(name: str) -> str:
    """Return the file's text."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def write(directory: Path) -> None:
    """Write all schema files."""
    for name in MODELS:
        (directory / f"{name}.schema.json").write_text(text(name), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
