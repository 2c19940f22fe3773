"""The scripted model of the step benchmark: reads one part after the other, then says that it is done."""

from __future__ import annotations

import itertools
import sys
from typing import Any

from lg_orch.testing import Scripted, ScriptedModel, calls, text

PARTS = 40


def main() -> None:
    tool, steps = sys.argv[1], int(sys.argv[2])
    numbers = itertools.count()

    def answer(_request: dict[str, Any]) -> Scripted:
        number = next(numbers)
        if number >= steps:
            return text("Everything was read.")
        return calls((tool, {"path": f"part{number % PARTS}.txt", "start_line": number // PARTS + 1}))

    with ScriptedModel(answer) as model:
        print(model.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
