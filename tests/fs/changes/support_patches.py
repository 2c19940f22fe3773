"""Patches written for tests of changes."""

from __future__ import annotations


def envelope(*parts: str) -> str:
    return "*** Begin Patch\n" + "".join(parts) + "*** End Patch\n"


def update(path: str, old: str, new: str) -> str:
    return f"*** Update File: {path}\n@@\n-{old}\n+{new}\n"


def add(path: str, line: str) -> str:
    return f"*** Add File: {path}\n+{line}\n"
