"""Questions, calls, tools, definitions and rules in memory, as many as are asked for; every text is hostile."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from lg_console.sources.ledger import PAGE, CallPage, CallsWanted, ChainState, LedgerCall, WholeCall
from lg_console.sources.people import Person
from lg_console.sources.questions import Decision, Question
from lg_console.sources.servers import PinState, RuleState, ServerState, ToolState
from lg_console.web.console import Sources
from lg_policy.errors import NotFound
from tests.console.long_run import CODE, ManyRuns

DIFF = "".join(f"{mark}  {CODE} {number}\n" for number in range(40) for mark in "-+")


@dataclass(frozen=True, kw_only=True)
class ManyQuestions:
    count: int

    async def waiting(self) -> list[Question]:
        return [self._question(number) for number in range(self.count)]

    async def recent(self, limit: int) -> list[Question]:
        return [self._question(number, "denied") for number in range(limit)]

    async def question(self, question_id: str) -> Question | None:
        return self._question(int(question_id.removeprefix("ap-")))

    async def decide(self, person: Person, question_id: str, decision: Decision) -> Question:
        raise NotFound("nothing is done here")

    async def mark(self) -> str:
        return "same"

    def _question(self, number: int, state: str = "pending") -> Question:
        patch = "".join(
            f"\n|   {line}" for line in f"--- a/{CODE}.py\n+++ b/{CODE}.py\n@@ -1 +1 @@\n{DIFF}".splitlines()
        )
        now = time.time()
        return Question(
            id=f"ap-{number}", state=state, created=now - 60, expires=now + 900, tool=f"fs__{CODE}",
            text=f"A tool call needs your approval.\narguments:\n| patch:{patch}", server="fs", identity=CODE,
            client=CODE, run_id=f"run-{number // 3}", where=f"/srv/{CODE}", operator_only=False, in_session=True,
            decided_by=CODE, reason=CODE,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ManyCalls:
    count: int

    async def calls(self, wanted: CallsWanted) -> CallPage:
        last = min(self.count, wanted.before - 1 if wanted.before is not None else self.count)
        found = tuple(self._call(number) for number in range(last, max(0, last - PAGE), -1))
        return CallPage(calls=found, older=found[-1].seq if found and found[-1].seq > 1 else None)

    async def call(self, named: str) -> WholeCall | None:
        records = tuple({"seq": number, "detail": CODE * 50} for number in range(40))
        return WholeCall(id=named, text=CODE * 20, records=records, question=CODE)

    async def chain(self) -> ChainState:
        return ChainState(records=self.count, verified=self.count, signed=self.count, signed_at=time.time())

    async def export(self, wanted: CallsWanted) -> AsyncIterator[str]:
        yield "{}"

    def _call(self, number: int) -> LedgerCall:
        return LedgerCall(
            seq=number, id=f"c{number}", time="2026-11-30 09:12:00Z", who=CODE, tool=f"fs__{CODE}", about=CODE,
            decision="allowed", outcome="ok", note=number % 7 == 0,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ManyServers:
    count: int

    async def servers(self) -> list[ServerState]:
        return [state for name in ("fs", "exec", CODE) if (state := await self.server(name)) is not None]

    async def server(self, name: str) -> ServerState | None:
        return ServerState(
            name=name, builtin=False, trusted=False, state="up", era="2026-07-28", version=CODE, tools=self.count,
            restarts=2, p50=12.0, p95=240.0, calls=90, error=CODE, what_to_do=CODE, log=f"{CODE}\n" * 200,
        )  # fmt: skip

    async def retry(self, person: Person, name: str) -> None:
        raise NotFound("nothing is done here")

    async def identities(self) -> list[str]:
        return [f"token:{CODE} {number}" for number in range(self.count)]

    async def tools(self, identity: str) -> list[ToolState]:
        return [
            ToolState(
                name=f"s{number % 9}__{CODE} {number}", server="s", kind="tool", description=CODE * 8, effect="approve",
                rule=CODE, place=CODE, visible=True, read_only=False,
            )
            for number in range(self.count)
        ]  # fmt: skip

    async def pins(self) -> list[PinState]:
        states = ("changed", "new", "accepted")
        return [
            PinState(server=CODE, tool=CODE, state=states[min(2, number // 30)], digest=f"{number:064}", basis="",
                     diff=DIFF, warnings=(CODE,))
            for number in range(self.count)
        ]  # fmt: skip

    async def accept(self, person: Person, server: str, tool: str, digest: str) -> None:
        raise NotFound("nothing is done here")

    async def rules(self) -> list[RuleState]:
        return [
            RuleState(number=number, name=CODE, effect="deny", tools=CODE, identities=CODE, place=CODE, reason=CODE,
                      hits=number, last="2026-11-30 09:12:00Z")
            for number in range(self.count)
        ]  # fmt: skip

    async def explain(self, tool: str, arguments: Mapping[str, Any], identity: str) -> Mapping[str, Any]:
        raise NotFound("nothing is done here")

    async def mark(self) -> str:
        return "same"


def many_rows(count: int, *, events: int = 200) -> Sources:
    """So many of everything."""
    return Sources(
        runs=ManyRuns(events=events, runs=count),
        approvals=ManyQuestions(count=count),
        audit=ManyCalls(count=count),
        servers=ManyServers(count=count),
    )
