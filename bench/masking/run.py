"""Masking a text against running every expression over it: `python -m bench.masking.run`, CPU time, best of five."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lg_policy.secrets.masking import Masker
from lg_policy.secrets.shapes import OWN, Shape, library_shapes

ROOT = Path(__file__).parents[2]
SIZE = 1_000_000
ROUNDS = 5


def best_ms(work: Callable[[], object]) -> float:
    """Return the least CPU time of several rounds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken) * 1000


def texts() -> dict[str, str]:
    """Return a megabyte of prose, of code, of code with a token in every 200th line, and of what was worst before."""
    prose = "\n".join(path.read_text("utf-8") for path in sorted(ROOT.glob("docs/*.md")))
    lines = "\n".join(path.read_text("utf-8") for path in sorted(ROOT.glob("gateway/lg_gateway/**/*.py"))).split("\n")
    token = "key = 'ghp_" + "a1B2" * 9 + "'"
    secret = [token if number % 200 == 0 else line for number, line in enumerate(lines)]
    found = {"prose": prose, "code": "\n".join(lines), "code with tokens": "\n".join(secret)}
    found["labels of keys"] = "-----BEGIN PRIVATE KEY-----\n"
    found["passwords"] = "://a:b@"
    return {name: (text * (SIZE // len(text) + 1))[:SIZE] for name, text in found.items()}


def one_by_one(shapes: list[Shape], text: str) -> None:
    """Run every expression over the whole text."""
    data = text.encode()
    for shape in shapes:
        for _match in shape.compiled.finditer(data):
            pass


def main() -> None:
    """Measure and print a table."""
    shapes = [*OWN, *library_shapes()]
    masker = Masker(b"k" * 32)
    masker.load()
    print(f"| 1 MB of | {len(shapes)} expressions one by one, ms | masked, ms | ratio |\n|---|---|---|---|")
    for name, text in texts().items():
        each, masked = best_ms(partial(one_by_one, shapes, text)), best_ms(partial(masker.mask, text))
        print(f"| {name} | {each:.1f} | {masked:.1f} | {each / masked:.1f} |")


if __name__ == "__main__":
    main()
