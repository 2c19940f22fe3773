"""Write the map of docs/architecture.md from the folders themselves: each folder with what its `__init__.py` says.

`--check` changes nothing and exits 1 when the page differs.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from generated import main

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = (
    "policy/lg_policy",
    "servers/fs/lg_fs",
    "servers/exec/lg_exec",
    "servers/code/lg_code",
    "gateway/lg_gateway",
    "orchestrator/lg_orch",
    "console/lg_console",
)


def folder_map() -> str:
    """Return a list for each package, its folders in the order of the layers contract: top floor first."""
    parts = []
    for package in PACKAGES:
        top = ROOT / package
        folders = sorted(path.parent for path in top.rglob("__init__.py"))
        lines = [f"**`{package}`** — {summary(top)}", ""]
        lines += [
            f"{'  ' * (len(folder.relative_to(top).parts) - 1)}- `{folder.relative_to(top)}/` — {summary(folder)}"
            for folder in folders
            if folder != top
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def summary(folder: Path) -> str:
    """Return the docstring of a folder's `__init__.py`."""
    found = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
    if not found:
        raise ValueError(f"{folder.relative_to(ROOT)}/__init__.py does not say what the folder is for")
    return found.partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main(PAGE, folder_map, Path(__file__)))
