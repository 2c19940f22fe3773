"""Runs inside the environment of `deepagents`: its agent with files and a shell on one directory, one request."""

from __future__ import annotations

import os
import sys


def main() -> None:
    from deepagents import create_deep_agent
    from deepagents.backends import LocalShellBackend
    from langchain_openai import ChatOpenAI

    root, base_url, request = sys.argv[1:]
    model = ChatOpenAI(model="scripted", base_url=base_url, use_responses_api=False)
    backend = LocalShellBackend(root_dir=root, virtual_mode=True, env=dict(os.environ))
    agent = create_deep_agent(model, backend=backend)
    agent.invoke({"messages": [{"role": "user", "content": request}]})


if __name__ == "__main__":
    main()
