"""What published MCP clients are made to do, each with an interpreter of its own that has its package.

Each takes JSON with `argv` and `env` of a gateway, or its `url`. It lists the tools, reads, and asks for a change. It
prints a line: how many tools, whether it could read, and what became of the change.
"""

from __future__ import annotations

_HEAD = """\
import asyncio, json, sys
GIVEN = json.loads(sys.argv[1])
STDIO = {"command": GIVEN["argv"][0], "args": GIVEN["argv"][1:], "env": GIVEN["env"]} if GIVEN["argv"] else None
PATCH = {"patch": "*** Begin Patch\\n*** Add File: hello.txt\\n+hello\\n*** End Patch\\n"}
def said(tools, read, change):
    failed = lambda result: getattr(result, "isError", getattr(result, "is_error", False))
    text = change.content[0].text
    changed = "waits for a human" if text.startswith("approval_required") else "failed" if failed(change) else "changed"
    print(len(tools), "tools,", "failed" if failed(read) else "read,", changed)
"""
_OF_SESSION = """\
async def use(session):
    tools = await session.list_tools()
    tools = getattr(tools, "tools", tools)
    said(tools, await session.call_tool("fs__list_files", {}), await session.call_tool("fs__apply_patch", PATCH))
"""
_END = "asyncio.run(main())\n"

PYTHON_CLIENTS = {
    "mcp<2": f"""\
{_HEAD}{_OF_SESSION}
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
async def main():
    opened = stdio_client(StdioServerParameters(**STDIO)) if STDIO else streamablehttp_client(GIVEN["url"])
    async with opened as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            await use(session)
{_END}""",
    "fastmcp": f"""\
{_HEAD}{_OF_SESSION}
from fastmcp import Client
async def answer(message, response_type, params, context):
    return response_type(decision="once")  # its own class of the form: what is left out has the form's default
async def main():
    place = {{"mcpServers": {{"g": STDIO}}}} if STDIO else GIVEN["url"]
    async with Client(place, elicitation_handler=answer) as client:
        tools = await client.list_tools()
        read = await client.call_tool("fs__list_files", {{}})
        said(tools, read, await client.call_tool("fs__apply_patch", PATCH, raise_on_error=False))
{_END}""",
    "openai-agents": f"""\
{_HEAD}{_OF_SESSION}
from agents import Agent, RunContextWrapper
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp, MCPUtil
async def main():
    server = MCPServerStdio(STDIO) if STDIO else MCPServerStreamableHttp({{"url": GIVEN["url"]}})
    async with server:
        tools = await MCPUtil.get_function_tools(server, True, RunContextWrapper(None), Agent(name="x"))
        read = await server.call_tool("fs__list_files", {{}})
        said(tools, read, await server.call_tool("fs__apply_patch", PATCH))
{_END}""",
    "pydantic-ai-slim[mcp]": f"""\
{_HEAD}
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.test import TestModel
async def main():
    tools = MCPToolset({{"mcpServers": {{"g": STDIO}}}} if STDIO else GIVEN["url"])
    model = TestModel(call_tools=["fs__list_files"])
    async with Agent(model, toolsets=[tools]) as agent:
        done = await agent.run("list")
        listed = model.last_model_request_parameters.function_tools
        print(len(listed), "tools,", "read" if "entries" in done.output else "failed")
{_END}""",
    "mcp-use": f"""\
{_HEAD}{_OF_SESSION}
from mcp_use import MCPClient
async def main():
    client = MCPClient({{"mcpServers": {{"g": STDIO or {{"url": GIVEN["url"]}}}}}})
    await use(await client.create_session("g"))
    await client.close_all_sessions()
{_END}""",
    "langchain-mcp-adapters": f"""\
{_HEAD}{_OF_SESSION}
from langchain_mcp_adapters.client import MultiServerMCPClient
async def main():
    how = {{"transport": "stdio", **STDIO}} if STDIO else {{"transport": "streamable_http", "url": GIVEN["url"]}}
    client = MultiServerMCPClient({{"g": how}})
    tools = {{tool.name: tool for tool in await client.get_tools()}}
    await tools["fs__list_files"].ainvoke({{}})
    async with client.session("g") as session:
        await use(session)
{_END}""",
}
"""By package. Where a client can be asked nothing, a change waits for a human."""

NPM_CLIENTS = {
    "@modelcontextprotocol/sdk": (("@modelcontextprotocol/sdk", ""),),
    "@modelcontextprotocol/client": (
        ("@modelcontextprotocol/client", ""),
        ("@modelcontextprotocol/client", "auto"),
    ),
}
"""By package: its own name, and how it chooses the era, where it can."""
NODE = """\
const [name, mode, given] = process.argv.slice(2);
const { argv, env, url } = JSON.parse(given);
const older = name.endsWith("sdk");
const all = await import(older ? `${name}/client/index.js` : name);
const { StdioClientTransport } = await import(older ? `${name}/client/stdio.js` : `${name}/stdio`);
const http = older ? await import(`${name}/client/streamableHttp.js`) : all;
const asking = older ? (await import(`${name}/types.js`)).ElicitRequestSchema : "elicitation/create";
const options = { capabilities: { elicitation: {} }, ...(mode ? { versionNegotiation: { mode } } : {}) };
const client = new all.Client({ name: "tester", version: "1" }, options);
let asked = 0;
client.setRequestHandler(asking, async () => { asked++; return { action: "accept", content: { decision: "once" } }; });
const stdio = () => new StdioClientTransport({ command: argv[0], args: argv.slice(1), env });
await client.connect(url ? new http.StreamableHTTPClientTransport(new URL(url)) : stdio());
const { tools } = await client.listTools();
const read = await client.callTool({ name: "fs__list_files", arguments: {} });
const patch = "*** Begin Patch\\n*** Add File: hello.txt\\n+hello\\n*** End Patch\\n";
const change = await client.callTool({ name: "fs__apply_patch", arguments: { patch } });
const outcome = change.isError ? "failed" : `changed after ${asked} question`;
console.log(tools.length, "tools,", read.isError ? "failed" : "read,", outcome);
await client.close();
"""
