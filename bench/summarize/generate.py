"""Write a deterministic Python repository of any size: `python -m bench.summarize.generate DEST --files 5000`."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

_WORDS = ("parse", "token", "stream", "index", "buffer", "node", "edge", "graph", "match", "result", "config", "client")
_PER_PACKAGE = 50


def module(rng: random.Random, packages: int, number: int) -> str:
    """Return the source of one module, about 2 KiB, importing a few others."""
    lines = [f'"""Module {number} of the generated project."""', "", "import os", "import sys"]
    for _ in range(rng.randrange(1, 4)):
        target = int(rng.paretovariate(1.2)) % packages
        lines.append(f"from pkg{target:03d} import mod_0")
    for index in range(rng.randrange(4, 12)):
        a, b, c = rng.sample(_WORDS, 3)
        lines += ["", "", f"def {a}_{b}_{index}({c}):", f'    """Return {c} after {a} and {b}."""']
        lines += [f"    {w} = {c}  # {rng.choice(_WORDS)} {rng.choice(_WORDS)}" for w in rng.sample(_WORDS, 4)]
        lines.append(f"    return {c}")
    return "\n".join(lines) + "\n"


def generate(dest: Path, files: int, seed: int = 7) -> None:
    """Write `files` source files with manifest, README, tests and CI; nothing is done if it is already there."""
    if (dest / ".complete").is_file():
        return
    rng = random.Random(seed)
    packages = max(1, files // _PER_PACKAGE)
    dest.mkdir(parents=True, exist_ok=True)
    (dest / "README.md").write_text("# Generated project\n\nA project of generated modules, for measuring.\n")
    (dest / "LICENSE").write_text("MIT License\n\nCopyright (c) the authors\n")
    (dest / "pyproject.toml").write_text(
        '[project]\nname = "generated"\nversion = "1.2.3"\ndescription = "Generated modules"\n'
        'requires-python = ">=3.11"\ndependencies = ["attrs>=23"]\n[project.scripts]\ngenerated = "pkg000.mod_0:main"\n'
        '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n'
    )
    for number in range(files):
        package, index = divmod(number, _PER_PACKAGE)
        if index >= _PER_PACKAGE - 5:
            folder, name = dest / "tests" / f"pkg{package % packages:03d}", f"test_mod_{index}.py"
        else:
            folder, name = dest / f"pkg{package % packages:03d}", f"mod_{index}.py"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / name).write_text(module(rng, packages, number))
    (dest / ".complete").touch()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dest", type=Path)
    parser.add_argument("--files", type=int, default=5000)
    arguments = parser.parse_args()
    generate(arguments.dest, arguments.files)
