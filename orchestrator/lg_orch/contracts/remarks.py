"""What is said to a model while a run goes on: by the user, or by the program that found something."""

from __future__ import annotations

from dataclasses import dataclass

SAID, FOUND = "Added by the user later: ", "Found by the program: "


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One remark, and how many results the run had when a model was first told; `None`: it is told next."""

    text: str
    after: int | None = None
