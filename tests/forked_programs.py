"""Our own programs, started by a fork of the process that runs the tests, for tests that are not about a start.

`pytestmark = pytest.mark.usefixtures("programs_by_fork")` asks for it.
What a start from nothing is like is tested in `tests/e2e`, and in every module that does not ask.
The fork is one of `tests.fork_server`, which has nothing open. What such a program starts is a fork of the program.
"""

from __future__ import annotations

import functools
import gc
import os
import pkgutil
import runpy
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from tests.forked import by_fork

if TYPE_CHECKING:
    from tests.fork_server import ForkServer
    from tests.forked import Program

SERVER_MODULES = ("lg_fs.server.startup", "lg_fs.server.server", "lg_exec.server.server", "lg_policy.wire.serving")
GATEWAY_MODULES = (
    *SERVER_MODULES,
    "lg_gateway.cli",
    "lg_gateway.commands.serving.serve",
    "lg_gateway.serving.running",
    "lg_gateway.serving.gateway",
    "lg_gateway.serving.server",
)
USED_AT_ONCE = (
    "anyio._backends._asyncio",
    "anyio._core._signals",
    "anyio._core._subprocesses",
    "lg_gateway.store.sqlite",
    "pathspec",
    "re2",
)
"""What servers and the gateway import themselves, but only when they first need it: which is in every test."""
ORCHESTRATOR_MODULES = (
    "lg_orch.cli",
    "lg_orch.commands.resume",
    "lg_orch.commands.run",
    "lg_orch.engine.stepping",
    "lg_orch.agent.graph",
    "lg_orch.tools.gateway",
    "lg_orch.tools.streams",
    "lg_orch.llm.backend",
    "aiosqlite",
    "fastmcp.server",
    "httpcore2",
    "jsonschema",
    "langchain.mcp",
    "langchain_openai",
    "langgraph.checkpoint.sqlite.aio",
    "lg_orch.engine.driver",
    "lg_orch.human.terminal",
    "truststore",
)
HTTP_MODULES = ("uvicorn",)
LATE_MODULES = (
    "encodings.ascii", "encodings.utf_8_sig", "jiter", "bpe_openai", "openai.resources.chat.completions.messages",
    "openai.lib.streaming.chat", "langchain_core.messages.block_translators.langchain_v0",
    "langchain_core.runnables.graph_mermaid", "langchain_core.tracers.run_collector", "langchain_core.tracers.stdout",
    "lg_code.cli",
)  # fmt: skip
"""What libraries import in the middle of a run."""
MODULE = ("-P", "-m")
EFFECTIVE = "--effective-config"
"""Only a gateway gives this to a server."""
COMMANDS = {
    os.path.join(os.path.dirname(sys.executable), name): f"{name.replace('-', '_')}.cli"
    for name in ("lg-orch", "lg-gateway", "lg-fs", "lg-exec", "lg-code")
}


def programs_of(server: ForkServer | None) -> AbstractContextManager[None]:
    """In this context, our programs are forks of the server; without one they start as always."""
    return nullcontext() if server is None else by_fork(our_programs, server)


def our_programs(words: list[str]) -> Program | None:
    """Return the program that a command of this interpreter starts, `None` for every other command."""
    if words[0] in COMMANDS:
        return functools.partial(_command, words)
    if (
        words[0] == sys.executable
        and tuple(words[1:3]) == MODULE
        and words[3] in ("lg_gateway", "lg_fs", "lg_exec", "lg_code")
    ):
        return functools.partial(_module, words)
    return None


def built_in_server(words: list[str]) -> Program | None:
    """Return the program of a command with which a gateway starts a server of ours, `None` for every other command."""
    if EFFECTIVE not in words or "mcp.server" not in sys.modules or words[:3] != [sys.executable, *MODULE]:
        return None
    preload(SERVER_MODULES)
    return functools.partial(_module, words) if words[3] in ("lg_fs", "lg_exec", "lg_code") else None


def preload_all() -> None:
    """Import what any program of ours imports."""
    preload(GATEWAY_MODULES + ORCHESTRATOR_MODULES + HTTP_MODULES + LATE_MODULES)
    gc.collect()
    gc.freeze()


@functools.cache
def preload(modules: tuple[str, ...]) -> None:
    """Import what the programs import, once for all forks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*modules, *USED_AT_ONCE):
            import_module(name)
        for package in {name.partition(".")[0] for name in modules if name.startswith("lg_")}:
            import_all_of(package)
        _load_detectors_of_secrets()


def import_all_of(package: str) -> None:
    """A program imports most of its modules when it first needs them: here once, and not in each fork."""
    for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        if not found.name.endswith(".__main__"):
            import_module(found.name)


def _load_detectors_of_secrets() -> None:
    """They are modules that the library looks for by itself, at the first text that is masked."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    get_mapping_from_secret_type_to_class()


def _module(words: list[str]) -> int:
    sys.argv = words[3:]
    runpy.run_module(words[3], run_name="__main__", alter_sys=True)
    return 0


def _command(words: list[str]) -> int:
    sys.argv = words
    return int(import_module(COMMANDS[words[0]]).main() or 0)
