"""Loads the prompts of the language models, and digests them as versions."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

NAMES = ("rules", "act", "change", "checked", "unchecked", "plan", "replan", "route", "review")


@cache
def prompt(name: str) -> str:
    """Return the text of one prompt file."""
    return (files("lg_orch.prompts") / f"{name}.md").read_text("utf-8").strip()


def versions() -> dict[str, str]:
    """Return the name and first 16 hex digits of the SHA-256 of every prompt, for a run's record."""
    return {name: hashlib.sha256(prompt(name).encode()).hexdigest()[:16] for name in NAMES}
