"""What the parsed manifests have in common: a value is found by its path."""

from __future__ import annotations

from typing import Any


class Values:
    """A parsed document; `data` is empty where `problem` says why it could not be parsed."""

    def __init__(self) -> None:
        self.problem = ""
        self.data: dict[str, Any] = {}

    def get(self, *path: str) -> Any:
        """Return the value at this path, or None."""
        value: Any = self.data
        for part in path:
            if not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
        return value

    def table(self, *path: str) -> dict[str, Any]:
        """Return the object or table at this path; an empty one when it is missing or something else."""
        value = self.get(*path)
        return value if isinstance(value, dict) else {}

    def text(self, *path: str) -> str | None:
        """Return the string at this path, or None."""
        value = self.get(*path)
        return value if isinstance(value, str) else None
