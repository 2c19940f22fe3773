"""A small real project to work on."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "README.md": "# Tidal\n\nTidal computes tides for small harbours.\n",
    "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n",
    "pyproject.toml": (
        '[project]\nname = "tidal"\nversion = "0.3.1"\ndescription = "Tides for small harbours"\n'
        'dependencies = ["attrs>=23.1"]\n[project.scripts]\ntidal = "tidal.cli:main"\n'
    ),
    "src/tidal/__init__.py": "",
    "src/tidal/model.py": "class Harbour:\n    def depth(self) -> float:\n        return 1.0\n",
    "src/tidal/cli.py": "from tidal.model import Harbour\n\n\ndef main() -> None:\n    print(Harbour().depth())\n",
    "tests/test_model.py": (
        "from tidal.model import Harbour\n\n\ndef test_depth() -> None:\n    assert Harbour().depth() == 1.0\n"
    ),
    ".env": "TOKEN=never-to-be-shown\n",
}


def write_project(root: Path) -> Path:
    """Write the project below `root` and return it."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return root
