"""Small repositories kept as one text file each: a line `-- path --` before every file's content."""

from __future__ import annotations

import re
from pathlib import Path

ARCHIVES = Path(__file__).parent / "repos"
_NAME = re.compile(r"^-- (\S.*) --$")


def names() -> list[str]:
    """The repositories there are."""
    return sorted(path.stem for path in ARCHIVES.glob("*.txt"))


def unpack(name: str, into: Path) -> Path:
    """Write the repository's files below `into` and return its directory. Raises `ValueError` for a path outside."""
    root = into / name
    root.mkdir(parents=True, exist_ok=True)
    for path, content in contents(name).items():
        target = root / path
        if ".." in target.parts or Path(path).is_absolute():
            raise ValueError(f"{name}: {path!r} leaves the repository")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    return root


def contents(name: str) -> dict[str, str]:
    """Path to text of every file; the lines before the first one describe the repository."""
    files: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in (ARCHIVES / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True):
        found = _NAME.match(line.rstrip("\n"))
        if found:
            current = files.setdefault(found[1], [])
        elif current is not None:
            current.append(line)
    return {path: "".join(lines) for path, lines in files.items()}
