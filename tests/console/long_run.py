"""A console of runs that are kept in memory: one with as many events, and as many runs, as are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette

from lg_console.login.memory import MemoryRows
from lg_console.serving.routes import console_routes
from lg_console.sources.people import LoggedInBy, Person, Role
from lg_console.sources.runs import RunArtifact, RunPage, RunSummary, RunsWanted, UndoShown, WholeRun
from lg_console.web.console import Console, Sources
from lg_policy.config.flags import ServeFlags
from lg_policy.wire.serving import listen, shown_address

CODE = '<img src=x onerror="alert(1)"><script>alert(2)</script></pre></li>\u202e'
PATCH = f"diff --git a/{CODE} b/{CODE}\n--- a/{CODE}\n+++ b/{CODE}\n@@ -1,1 +1,2 @@\n-{CODE}\n+{CODE}\n+x\n"
PAGE = 50


@dataclass(frozen=True, kw_only=True)
class ManyRuns:
    """Every text of them is hostile."""

    events: int
    runs: int
    told: dict[str, list[str]] = field(default_factory=dict)
    """What runs have said since; a run that is here is live, with these events behind the others."""
    waits: set[str] = field(default_factory=set)
    """Runs that have begun to wait."""

    async def page(self, wanted: RunsWanted) -> RunPage:
        first = int(wanted.after or 0)
        shown = tuple(self.summary(number) for number in range(first, min(self.runs, first + PAGE)))
        return RunPage(runs=shown, older=str(first + PAGE) if first + PAGE < self.runs else "")

    async def run(self, run_id: str) -> WholeRun:
        return WholeRun(
            summary=self.named(run_id),
            events=[*[self.event(seq) for seq in range(1, self.events + 1)], *self.news(run_id)],
            artifacts=(RunArtifact(name=f"results/{CODE}.json", what=CODE),),
            patch=PATCH,
            steps=(1, 2),
        )

    async def undo(self, run_id: str) -> UndoShown:
        return UndoShown(diff=PATCH, uncovered=(CODE,))

    async def mark(self) -> str:
        return "same"

    async def run_mark(self, run_id: str) -> str:
        return f"{len(self.told.get(run_id, ()))} {run_id in self.waits}"

    def named(self, run_id: str) -> RunSummary:
        found = self.summary(int(run_id.removeprefix("run-")))
        if run_id in self.waits:
            return replace(found, state="waiting")
        return replace(found, state="running") if run_id in self.told else found

    def news(self, run_id: str) -> list[dict[str, Any]]:
        told, begun = self.told.get(run_id, ()), "2026-11-30T12:00:00+00:00"
        return [
            {"seq": self.events + number, "time": begun, "kind": "thought", "name": "planner", "data": {"text": text}}
            for number, text in enumerate(told, 1)
        ]

    def summary(self, number: int) -> RunSummary:
        states = ("running", "done", "failed", "waiting")
        return RunSummary(
            run_id=f"run-{number}", state=states[number % 4], request=f"{number} {CODE}", repository=f"/srv/{CODE}",
            created_by=CODE, created=1_796_000_000.0 - number, updated=1_796_000_000.0, epoch=2, model=CODE,
            report=CODE,            tokens=1000, cost_usd=0.1, undo=CODE, forked_from=CODE,
        )  # fmt: skip

    def event(self, seq: int) -> dict[str, Any]:
        kinds: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
            ("thought", "graph", "note", {"mermaid": "executor --> verifier;\nverifier -.-> executor;"}),
            ("node", "executor", "begin", {}),
            ("tool", f"fs__{CODE}", "begin", {"call_id": str(seq), "step": "executor", "why": CODE}),
            ("tool", f"fs__{CODE}", "end", {"call_id": str(seq - 1), "result": {"ok": seq % 3 > 0, "stdout": CODE}}),
            ("model", "openai:x", "begin", {"role": CODE}),
            ("model", "openai:x", "end", {"text": CODE * 20, "total_tokens": 5}),
            ("verify", "check", "end", {"name": CODE, "ok": False, "summary": CODE, "tool": f"fs__{CODE}"}),
            ("node", "executor", "end", {}),
        )
        kind, name, phase, data = kinds[seq % 8]
        time = f"2026-11-30T{seq // 3600:02}:{seq // 60 % 60:02}:{seq % 60:02}+00:00"
        return {"seq": seq, "time": time, "kind": kind, "name": name, "phase": phase, "data": data}


class Nobody:
    """No token counts: people come by the link."""

    async def operator(self, token: str) -> Person | None:
        return None

    async def stands(self, person: Person) -> bool:
        return False

    async def note(self, what: str, person: str, detail: str = "") -> None:
        pass


@contextmanager
def many_runs(
    *, events: int, runs: int, source: ManyRuns | None = None, sources: Sources | None = None
) -> Iterator[tuple[str, str]]:
    """Serve them, or other sources; yields the address and a link that logs in."""
    shown = sources or Sources(runs=source or ManyRuns(events=events, runs=runs))
    console = Console(shown, people=Nobody(), store=MemoryRows(), name="LG")
    local = Person(name="ann", role=Role.OPERATOR, local=True, by=LoggedInBy.LINK)
    listener = listen(ServeFlags(transport="http", host="127.0.0.1", port=0), authenticated=False)
    app = Starlette(routes=console_routes(console, local=local))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=5))
    address, links = shown_address("127.0.0.1", listener), list[str]()
    begun = threading.Event()

    async def serve() -> None:
        links.append(await console.link(address))
        begun.set()
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: anyio.run(serve))
    thread.start()
    assert begun.wait(60)
    try:
        yield address, links[0]
    finally:
        console.streams.close()
        server.should_exit = True
        thread.join()
        listener.close()


__all__ = ["CODE", "many_runs"]
