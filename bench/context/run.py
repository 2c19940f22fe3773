"""What tool definitions cost a model: `python -m bench.context.run`, five third-party servers behind one gateway.

Bytes are those of `tools/list` as JSON, which is what clients put before a model. A found tool's bytes are those of the
answer of one `mcp_discover` for a task in plain words. The servers are installed from PyPI and npm into a temporary
directory.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from tests.gateway.rig import gateway_command
from tests.third_party import EVERYTHING_SERVER, TIME_SERVER, npm_script, python_program

FILESYSTEM_SERVER = "@modelcontextprotocol/server-filesystem@2026.8.31"
GIT_SERVER = "mcp-server-git==2026.10.19"
FETCH_SERVER = "mcp-server-fetch==2026.10.24"
TASKS = {
    "read a text file": "filesystem__read_text_file",
    "what changed between two commits": "git__git_diff",
    "current time in a time zone": "time__get_current_time",
    "download a web page": "fetch__fetch",
    "add two numbers": "everything__get-sum",
}


def servers(place: Path) -> str:
    """Install the five and return their settings."""
    root = place / "root"
    for name in ("root", "everything", "filesystem", "git", "fetch", "time"):
        (place / name).mkdir()
    node = [
        ("everything", npm_script(place / "everything", EVERYTHING_SERVER, "dist/index.js"), []),
        ("filesystem", npm_script(place / "filesystem", FILESYSTEM_SERVER, "dist/index.js"), [str(root)]),
    ]
    tables = [("node", name, [script, *args]) for name, script, args in node]
    for name, requirement in (("git", GIT_SERVER), ("fetch", FETCH_SERVER), ("time", TIME_SERVER)):
        tables.append((python_program(place / name, requirement, f"mcp-server-{name}"), name, []))
    return "\n".join(
        f"[gateway.servers.{name}]\ncommand = {json.dumps(command)}\nargs = {json.dumps(args)}"
        for command, name, args in tables
    )


async def look(config: Path) -> tuple[list[dict[str, Any]], dict[str, tuple[int, int]]]:
    """Return the listed tools, and for each task the size of a search and the place of the right tool (0: none)."""
    found: dict[str, tuple[int, int]] = {}
    with anyio.fail_after(180):
        async with Client(gateway_command("--config", str(config))) as client:
            listed = [
                tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                for tool in (await client.list_tools()).tools
            ]
            for task, wanted in TASKS.items() if len(listed) < 4 else ():
                answer = await client.call_tool("mcp_discover", {"query": task, "limit": 3})
                hits = [tool["name"] for tool in (answer.structured_content or {})["tools"]]
                size = len(answer.model_dump_json(by_alias=True, exclude_none=True))
                found[task] = (size, hits.index(wanted) + 1 if wanted in hits else 0)
    return listed, found


def measure(place: Path) -> None:
    """Print two tables."""
    tables, sizes = servers(place), {}
    found: dict[str, tuple[int, int]] = {}
    for mode in ("all", "search"):
        config = place / f"{mode}.toml"
        config.write_text(f'[gateway]\nexpose = "{mode}"\n{tables}\n')
        listed, found = anyio.run(look, config)
        sizes[mode] = (len(listed), len(json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode()))
    whole = sizes["all"][1]
    print("| `gateway.expose` | tools listed | bytes | of all |\n|---|---|---|---|")
    for mode, (count, size) in sizes.items():
        print(f"| `{mode}` | {count} | {size:,} | {size / whole:.1%} |")
    head = ("task, three hits", "bytes of the answer", "list and answer, of all", "place of the right tool")
    print(f"\n| {' | '.join(head)} |\n|---|---|---|---|")
    for task, (size, place_) in found.items():
        print(f"| {task} | {size:,} | {(size + sizes['search'][1]) / whole:.1%} | {place_ or 'not found'} |")


def main() -> None:
    """Install, measure, print."""
    with tempfile.TemporaryDirectory() as place:
        measure(Path(place))


if __name__ == "__main__":
    main()
