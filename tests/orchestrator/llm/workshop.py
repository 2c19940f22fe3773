"""Runs with a scripted model in this process: real graph, backend, wire and file server; commands are real processes.

What stands in for the gateway has no policy and asks nobody: what approvals do is tested with the real program.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import mcp.types as t
from mcp import Client
from mcp.server import Server
from mcp.shared.memory import create_client_server_memory_streams

from lg_exec.server.server import reply
from lg_fs.server.server import make_server
from lg_fs.server.startup import make_service
from lg_orch.llm.choice import choose_backend
from lg_orch.llm.cost.spending import traffic_so_far
from lg_orch.testing import Scripted, ScriptedModel, calls, text
from lg_orch.tools.connection import Connection
from lg_orch.tools.gateway import connect
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from lg_policy.state import open_state
from tests.exec.helpers import py, sandboxed
from tests.exec.helpers import settings as sandbox_settings
from tests.orchestrator.fake_gateway import ROOT_ID, FakeGateway, error_result, text_result
from tests.orchestrator.helpers import World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lg_orch.contracts.errors import ModelGone, OutOfBudget
    from lg_orch.contracts.events import Event
    from lg_orch.contracts.state import Final, RunState
    from lg_orch.llm.cost.spending import Traffic
    from lg_orch.recording.event_bus import Listener
    from lg_orch.testing.script import Script

WRONG, RIGHT = "return a - b", "return a + b"
FILES = {
    "calc.py": f"def add(a, b):\n    {WRONG}\n",
    "check.py": "from calc import add\n\nif add(1, 2) != 3:\n    raise SystemExit('FAILED check.py::add')\n",
    "Makefile": "test:\n\tpython check.py\n",
    "notes.txt": "one\n",
}
META = {"lg/root": {"id": ROOT_ID, "name": "repo"}}


@dataclass(kw_only=True)
class Workshop(FakeGateway):
    """Tools over one directory: the file server's, `exec` for a few commands, and `extra` ones that answer a text."""

    root: Path
    state: Path
    extra: Mapping[str, bool] = field(default_factory=dict)
    """Further tools and whether they only read."""
    commands: tuple[str, ...] = ("make", "python")
    """Commands that `exec` says can be run."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        with ExitStack() as stack:
            root = stack.enter_context(Root(self.root))
            service = make_service([root], Settings(), open_state(root=root.path, explicit=self.state).path)
            stack.callback(service.workers.close)
            async with Client(make_server(service)) as fs:
                server = self.served(fs, (await fs.list_tools()).tools)
                async with create_client_server_memory_streams() as (near, far), anyio.create_task_group() as group:
                    group.start_soon(lambda: server.run(*far, server.create_initialization_options()))
                    async with connect(near) as connection:
                        yield connection
                    group.cancel_scope.cancel()

    def served(self, fs: Client, own: list[t.Tool]) -> Server[Any]:
        tools = [tool.model_copy(update={"name": f"fs__{tool.name}", "meta": META}) for tool in own]
        tools += [_tool("exec__exec", False, META), _tool("exec__list_commands", True, META)]
        tools += [_tool(name, reads, {}) for name, reads in self.extra.items()]

        async def list_tools(_ctx: Any, _params: Any) -> t.ListToolsResult:
            return t.ListToolsResult(tools=tools)

        async def call_tool(ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult | t.InputRequiredResult:
            self.calls.append(params)
            arguments = params.arguments or {}
            if params.name.startswith("fs__"):
                answer = await fs.call_tool(params.name.removeprefix("fs__"), arguments, meta=ctx.meta)
                assert isinstance(answer, t.CallToolResult)
                return answer
            if params.name == "exec__list_commands":
                listed = [{"name": name, "description": name, "available": True} for name in self.commands]
                return text_result(", ".join(self.commands), {"commands": listed})
            if params.name == "exec__exec" and arguments.get("cmd") == "keep":
                return await _keep(self.root, self.state, arguments)
            if params.name == "exec__exec":
                return await _run(self.root, arguments)
            if params.name in self.answers:
                prepared: t.CallToolResult = self.answers[params.name]
                return prepared
            if params.name in self.extra:
                return text_result(f"{params.name} answered")
            return error_result("not_found", f"there is no tool {params.name}")

        return Server("workshop", version="1", on_list_tools=list_tools, on_call_tool=call_tool)

    def names(self) -> list[str]:
        """Tools that were called, in order; the context builder's few calls and looks at patches left out."""
        steps = [(call, str((call.meta or {}).get("lg/run"))) for call in self.calls]
        return [call.name for call, step in steps if "context_builder" not in step and not _looks(call)]


def _looks(call: t.CallToolRequestParams) -> bool:
    return (call.arguments or {}).get("dry_run") is True


def _tool(name: str, reads: bool, meta: Mapping[str, Any]) -> t.Tool:
    return t.Tool(
        name=name, description=name, input_schema={"type": "object", "properties": {"cmd": {"type": "string"}}},
        annotations=t.ToolAnnotations(read_only_hint=reads), _meta=dict(meta),
    )  # fmt: skip


async def _run(root: Path, arguments: dict[str, Any]) -> t.CallToolResult:
    """`make test` runs check.py; `python` and `pytest` with any arguments; all for real, where it is asked for."""
    words = ["check.py"] if arguments.get("cmd") == "make" else [str(word) for word in arguments.get("args", ())]
    start = ["-m", "pytest", "-p", "no:cacheprovider"] if arguments.get("cmd") == "pytest" else ["-S"]
    done = await anyio.run_process(
        [sys.executable, "-B", *start, *words], cwd=root / arguments.get("cwd", ""), check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    out, err = done.stdout.decode(), done.stderr.decode()
    structured = {"ok": True, "exit_code": done.returncode, "stdout": out, "stderr": err}
    return text_result(f"exit code {done.returncode}\n{out}{err}", structured)


async def _keep(root: Path, state: Path, arguments: dict[str, Any]) -> t.CallToolResult:
    """What `lg-exec` answers for a command whose changes are kept: Python code in its sandbox."""
    commands = {"py": {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}}
    with sandboxed(root, state / "scratch", sandbox_settings(commands=commands), state=state) as executor:
        answer = reply(await py(executor, "\n".join(arguments["args"])))
    return text_result(answer.text, answer.structured)


def settings_for(model: ScriptedModel, budgets: Mapping[str, Any] | None = None, **options: Any) -> Settings:
    """Settings that ask the scripted model for every role; `models` beside the default model's options."""
    models = options.pop("models", {})
    chosen = {"provider": "openai", "model": "scripted", "base_url": model.base_url, "retry_pause_s": 0.01}
    return Settings.model_validate({"models": {"default": chosen | options, **models}, "budgets": dict(budgets or {})})


@dataclass(kw_only=True)
class Shop:
    """One project, its tools and a run on it."""

    world: World
    tools: Workshop
    root: Path

    async def go(self, request: str = "fix the failing test") -> RunState:
        return await self.world.go(request)

    async def breaks_off(self, request: str = "fix the failing test") -> ModelGone | OutOfBudget:
        return await self.world.breaks_off(request)

    def used(self) -> Traffic:
        """What the run's requests used, by its journal."""
        return traffic_so_far(self.world.events())

    def source(self) -> str:
        return (self.root / "calc.py").read_text()

    def events(self, kind: str, phase: str = "") -> list[dict[str, Any]]:
        found = [event for event in self.world.events() if event.kind == kind and phase in ("", event.phase)]
        return [event.data | {"_name": event.name, "_phase": event.phase} for event in found]


@asynccontextmanager
async def shop(
    place: Path,
    settings: Settings,
    *,
    files: Mapping[str, str] | None = None,
    extra: Mapping[str, bool] | None = None,
    listeners: tuple[Listener, ...] = (),
    guide: str | None = None,
    commands: tuple[str, ...] = Workshop.commands,
) -> AsyncIterator[Shop]:
    root = place / "repo"
    for name, content in (FILES | dict(files or {})).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    tools = Workshop(root=root, state=place / "fs-state", extra=extra or {}, commands=commands)
    backend = choose_backend(settings.models, {"OPENAI_API_KEY": ""}, cache_dir=place / "cache").backend
    async with world(place / "state", backend, gateway=tools, settings=settings, listeners=listeners) as made:
        made.services = replace(made.services, accepted_guide=guide)
        yield Shop(world=made, tools=tools, root=root)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run that has ended, and what it was made with."""

    state: RunState
    final: Final
    made: Shop
    model: ScriptedModel


async def run(
    place: Path,
    script: Script,
    *,
    request: str = "fix the failing test",
    budgets: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    commands: tuple[str, ...] = Workshop.commands,
    **options: Any,
) -> Ran:
    """Make a project, run it with a scripted model to its end, and look."""
    with ScriptedModel(script) as model:
        async with shop(place, settings_for(model, budgets, **options), files=files, commands=commands) as made:
            state = await made.go(request)
    assert state.final is not None
    return Ran(state=state, final=state.final, made=made, model=model)


READ = calls(("fs__read_file", {"path": "calc.py"}))
DONE = "`calc.py:2`: it adds now."
DEEP = text('{"intent": "debug", "lane": "deep", "rationale": "large"}')
LARGE = "Migrate the whole project to adding numbers."


def patch(old: str = WRONG, new: str = RIGHT, path: str = "calc.py") -> Scripted:
    block = f"{path}\n<<<<<<< SEARCH\n    {old}\n=======\n    {new}\n>>>>>>> REPLACE\n"
    return calls(("fs__apply_patch", {"patch": block}))


def plan(*tools: dict[str, Any], acceptance: tuple[str, ...] = ()) -> str:
    step = {"id": "s1", "description": "look", "tools": list(tools)}
    return json.dumps({"steps": [step], "acceptance": list(acceptance)})


def last(model: ScriptedModel, number: int) -> str:
    return str(model.requests[number]["messages"][-1]["content"])


class SeenEvents:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def show(self, event: Event) -> None:
        if event.kind == "model" and event.phase == "progress":
            self.texts.append(event.data["text"])
