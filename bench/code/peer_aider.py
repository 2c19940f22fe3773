"""Run by the Python of an environment with `aider-chat`: which files its repository map ranks first for a question.

As aider does it: every word of the question counts as a mentioned name, and every file whose name is one of them as a
mentioned file. Input and output are JSON.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path


class Counter:
    """Stands for the model: only its tokens are counted."""

    def token_count(self, text: str) -> int:
        """Return about as many tokens as a tokenizer would."""
        return len(text) // 4


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    root = Path(request["root"])
    files = sorted(str(path) for path in root.rglob("*") if path.is_file() and path.stat().st_size < 1_000_000)
    io = import_module("aider.io").InputOutput(yes=True, pretty=False)
    with tempfile.TemporaryDirectory():
        repo_map = import_module("aider.repomap").RepoMap(root=str(root), io=io, main_model=Counter())
    answers, took = [], []
    began = time.process_time()
    cpu = 0.0
    for question in request["questions"]:
        words = set(re.split(r"\W+", question))
        mentioned = {str(Path(path).relative_to(root)) for path in files if Path(path).stem in words}
        start = time.perf_counter()
        tags = repo_map.get_ranked_tags([], files, mentioned, words)
        took.append(time.perf_counter() - start)
        cpu = cpu or time.process_time() - began
        ranked = list(dict.fromkeys(str(tag[0]) for tag in tags))
        answers.append([[path, 1, 1] for path in ranked[: request["top"]]])
    json.dump({"answers": answers, "took": took, "index_cpu_s": cpu}, sys.stdout)


if __name__ == "__main__":
    main()
