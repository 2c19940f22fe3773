"""Run by the Python of an environment with `semble`: answers questions about one tree with its lexical ranking.

Its embedding model is not part of its wheel and is downloaded when it is first used, so without a network only BM25 and
its ranking can be measured. Input and output are JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    numpy, tokenizers = import_module("numpy"), import_module("tokenizers")
    vocabulary = tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(vocabulary)
    model: Any = import_module("model2vec").StaticModel(numpy.ones((2, 8), dtype=numpy.float32), tokenizer)
    build, search = import_module("semble.index.index")._build, import_module("semble.search").search
    code = import_module("semble.types").ContentType.CODE
    began = time.process_time()
    index = build(Path(request["root"]), model, "none", (code,), False, None)
    cpu = time.process_time() - began
    answers, took = [], []
    for question in request["questions"]:
        start = time.perf_counter()
        found = search(
            question, model, index._semantic_index, index._bm25_index, index.chunks, request["top"], alpha=0.0
        )
        took.append(time.perf_counter() - start)
        answers.append([[hit.chunk.file_path, hit.chunk.start_line, hit.chunk.end_line] for hit in found])
    json.dump({"answers": answers, "took": took, "index_cpu_s": cpu}, sys.stdout)


if __name__ == "__main__":
    main()
