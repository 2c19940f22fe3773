"""The reference of the step benchmark: LangChain's agent with one local tool and SQLite checkpoints of each step."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

STEPS = 5_000


async def run(root: Path, address: str, database: str) -> None:
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    @tool
    def read_file(path: str, start_line: int = 1) -> str:
        """Read a text file."""
        lines = (root / path).read_text().splitlines()
        print(json.dumps({"kind": "step"}), file=sys.stderr, flush=True)
        return "\n".join(lines[start_line - 1 :])

    model = ChatOpenAI(model="scripted", base_url=address, api_key=lambda: "none", stream_usage=True, streaming=True)
    async with AsyncSqliteSaver.from_conn_string(database) as saver:
        agent = create_agent(model, [read_file], checkpointer=saver)
        await agent.ainvoke(
            {"messages": [{"role": "user", "content": "where is part7 mentioned?"}]},
            {"recursion_limit": STEPS, "configurable": {"thread_id": "1"}},
            durability="sync",
        )


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
