"""Compare `references` with Serena's language-server layer on trees of Python.

    python -m bench.code.references --python SERENA_PYTHON --trees DIR FOLDER:PATH:NAME ...

`SERENA_PYTHON` is the Python of an environment with `serena-agent`, `jedi-language-server` and `basedpyright`. A name
should be the only one of its kind in the tree: then each token of that name is a use of it, which is what the answers
are compared with. Lines that define it do not count.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.machine import machine
from lg_code.answers.references import references
from lg_code.index.index import Index, what_is_indexed
from lg_code.search.terms import SearchTerms
from lg_policy.config.settings import Settings
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace

SERVERS = {
    "serena, jedi": ("PYTHON_JEDI", ""),
    "serena, basedpyright": ("PYTHON_BASEDPYRIGHT", "basedpyright-langserver"),
}
LIMIT_S = 900
Places = set[tuple[str, int]]


def tokens_of_name(root: Path, name: str) -> Places:
    """Return the lines of Python where the name is used: not those that define it, no strings and no comments."""
    found: Places = set()
    for path in root.rglob("*.py"):
        with path.open("rb") as file:
            try:
                tokens = list(tokenize.tokenize(file.readline))
            except (tokenize.TokenError, SyntaxError):
                continue
        found |= {
            (path.relative_to(root).as_posix(), token.start[0])
            for before, token in pairwise(tokens)
            if token.string == name and before.string not in ("def", "class")
        }
    return found


def definition(root: Path, path: str, name: str) -> tuple[int, int]:
    """Return line and column of a definition; of overloads the last."""
    lines = (root / path).read_text().splitlines()
    pattern = re.compile(rf"\s*(?:async def|def|class) {name}\b")
    number = max(number for number, line in enumerate(lines, 1) if pattern.match(line))
    return number, lines[number - 1].index(name)


def ours(root: Path, name: str) -> tuple[Places, float, float]:
    """Return the places, and the wall and CPU seconds of the answer, once the tree is indexed."""
    settings = Settings()
    with tempfile.TemporaryDirectory() as state, Root(root) as opened:
        workspace = Workspace([opened], FileRules.from_settings(settings.policy), settings.fs)
        what = what_is_indexed(workspace, settings.policy, ())
        index = Index(workspace, Path(state) / "index", settings.code, what, (SearchTerms(),))
        try:
            while not index.refresh(Job(LIMIT_S), wait_s=LIMIT_S).complete:
                time.sleep(0.05)
            begun, cpu = time.monotonic(), time.process_time()
            answer = references(index, {"name": name, "limit": 200}, Job(LIMIT_S))
            took, cpu = time.monotonic() - begun, time.process_time() - cpu
        finally:
            index.close()
    places = {
        (str(place["path"]), int(place["line"]))
        for place in answer.structured["references"]
        if place["kind"] != "definition" and " in a " not in place["kind"] and str(place["path"]).endswith(".py")
    }
    return places, took, cpu


def theirs(python: str, server: str, root: Path, path: str, name: str) -> tuple[dict[str, Any], Places]:
    """Return what Serena answers, and the places."""
    identifier, program = SERVERS[server]
    line, column = definition(root, path, name)
    bin_folder = Path(python).parent
    request = {
        "root": str(root.resolve()), "server": identifier, "program": str(bin_folder / program) if program else "",
        "names": [{"path": path, "line": line, "column": column}],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [python, Path(__file__).parent / "peer_serena.py"], input=json.dumps(request), capture_output=True,
            text=True, check=False, timeout=LIMIT_S, env={"HOME": home, "PATH": f"{bin_folder}:/usr/bin:/bin"},
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{server} failed on {name}:\n{done.stderr[-2_000:]}")
    told: dict[str, Any] = json.loads(done.stdout[done.stdout.index('{"answers"') :])
    return told, {(str(place[0]), int(place[1])) for place in told["answers"][0]["places"]}


def row(tree: str, name: str, method: str, places: Places, uses: Places, cells: str) -> str:
    """Return a row: how many of the uses were found, and what was told besides."""
    return f"| {tree} | `{name}` | {method} | {len(places & uses)} of {len(uses)} | {len(places - uses)} | {cells} |"


def main(arguments: Sequence[str]) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True)
    parser.add_argument("--trees", type=Path, required=True)
    parser.add_argument("names", nargs="+", metavar="FOLDER:PATH:NAME")
    given = parser.parse_args(arguments)
    print(f"{machine()}\n\n| tree | name | method | found | besides | ready s | answer s | CPU s |\n|{'---|' * 8}")
    for item in given.names:
        tree, path, name = item.split(":")
        root = given.trees / tree
        uses = tokens_of_name(root, name)
        places, took, cpu = ours(root, name)
        print(row(tree, name, "lg-code", places, uses, f"- | {took:.2f} | {cpu:.2f}"))
        for method in SERVERS:
            told, places = theirs(given.python, method, root, path, name)
            cells = f"{told['ready_s']:.1f} | {told['answers'][0]['wall_s']:.2f} | {told['cpu_s']:.1f}"
            print(row(tree, name, method, places, uses, cells), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
