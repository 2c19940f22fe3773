"""Keeps the tasks that calls became: watches each to its end, and answers their callers about them.

The call of a task is not over before the task is. Then its result is shaped, masked and recorded like that of any call.
One gateway process owns a task and asks its server. If that process is gone, another one takes the task over. A child
process takes its tasks with it, and a server may forget one: the outcome of the call is then unknown.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.abc

from lg_gateway.calls.call import CallContext
from lg_gateway.processes.process_names import may_live, this_process
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import Store, StoreError, Tx
from lg_gateway.tasks.kept_calls import kept_call
from lg_gateway.tasks.public_task import created_task, public_answers
from lg_gateway.tasks.task_progress import Progressing
from lg_gateway.tasks.task_table import KeptTask, TaskTable, new_task_id
from lg_gateway.upstreams.offers.server_tasks import poll_pause_s, read_task
from lg_gateway.upstreams.replies import RelayedResult, task_answer
from lg_policy.config.durations import seconds
from lg_policy.config.gateway import GatewaySettings
from lg_policy.errors import Internal, LimitExceeded, OutcomeUnknown

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 30.0
"""How often tasks of processes that are gone are looked for."""
FRESH_S = 5.0
"""How long a caller waits for the server's own word; then it gets what was known before."""
OnChange = Callable[[KeptTask], Awaitable[None]]


class TaskKeeper:
    """The tasks of one gateway process."""

    def __init__(
        self,
        store: Store,
        table: TaskTable,
        progressing: Progressing,
        settings: Callable[[], GatewaySettings],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._table = table
        self._progressing = progressing
        self._settings = settings
        self._clock = clock
        self._being_made: Counter[str] = Counter()
        self._locks: dict[str, anyio.Lock] = {}
        self._wake: dict[str, anyio.Event] = {}
        self._listeners: list[OnChange] = []
        self.tasks: anyio.abc.TaskGroup | None = None
        """Where tasks are watched; set while the gateway runs."""

    def on_change(self, listener: OnChange) -> None:
        """Have `listener` called with each task whose state has changed."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def room(self, identity: str) -> AsyncIterator[bool]:
        """Yield whether a caller may have one more task, and keep the place for the length of the block."""
        try:
            running = await self._store.read(lambda tx: self._table.count(tx, identity))
        except StoreError as error:
            raise Internal("cannot read the tasks that run; nothing was done") from error
        self._being_made[identity] += 1
        try:
            yield running + self._being_made[identity] <= self._settings().tasks_at_once
        finally:
            self._being_made[identity] -= 1
            if not self._being_made[identity]:
                del self._being_made[identity]

    def too_many(self) -> LimitExceeded:
        """Return why a call is not made whose server takes it only as a task."""
        limit = self._settings().tasks_at_once
        words = f"this call would become a task, and {limit} tasks run already (gateway.tasks_at_once)"
        return LimitExceeded(words, hint="wait for one of them, or cancel one")

    async def opened(self, context: CallContext, answer: RelayedResult) -> RelayedResult:
        """Keep the task that a call became, and return what its caller gets."""
        said, now, server = read_task(answer.task or {}), self._clock(), context.entry.server
        lifetime = seconds(self._settings().task_lifetime, "gateway.task_lifetime")
        ttl_s = min(lifetime, said.ttl_ms / 1000) if said.ttl_ms is not None else lifetime
        task = KeptTask(
            id=new_task_id(),
            identity=context.call.identity,
            request_id=context.request_id,
            server=server.name,
            place=digest([server.place()]),
            theirs=said.id,
            incarnation=answer.incarnation,
            owner=this_process(),
            created=now,
            updated=now,
            expires=now + ttl_s,
            status=said.status if not said.ended else "working",
            message=self._progressing.masked(context.entry, said.message),
            ttl_ms=int(ttl_s * 1000),
            poll_ms=said.poll_ms,
            call=kept_call(context),
        )
        try:
            await self._store.write(lambda tx: self._table.add(tx, task))
        except StoreError as error:
            raise OutcomeUnknown(f"server {server.name} goes on with the call, and its task cannot be kept") from error
        self._watch(task)
        return task_answer(created_task(task))

    async def of_call(self, identity: str, request_id: str) -> RelayedResult | None:
        """Return the task of an earlier call that still runs."""
        task = await self._store.read(lambda tx: self._table.of_call(tx, identity, request_id))
        return task_answer(created_task(task)) if task is not None and task.open else None

    async def find(self, identity: str, task_id: str) -> KeptTask | None:
        """Return how a caller's task stands, as freshly as its server says within a few seconds."""
        task = await self._find(identity, task_id)
        if task is None or not task.open:
            return task
        task = await self._taken_over(task)
        if task.owner != this_process():
            return task
        with anyio.move_on_after(FRESH_S):
            return await self._advance(task)
        return await self._find(identity, task_id)

    async def known(self, identity: str, task_id: str) -> bool:
        """Whether a caller has a task of that id."""
        return await self._find(identity, task_id) is not None

    async def answer(self, identity: str, task_id: str, given: Mapping[str, Any]) -> KeptTask | None:
        """Take answers to the questions of a task. Raises `InvalidArguments` for one of the wrong form.

        An answer to a question that is not open changes nothing.
        """
        task = await self._find(identity, task_id)
        if task is None:
            return None
        answers = public_answers(task, given)

        def answered(now: KeptTask) -> KeptTask | None:
            fresh = {key: answer for key, answer in answers.items() if key in now.questions}
            if not fresh:
                return None
            theirs = {now.questions[key]["theirs"]: answer for key, answer in fresh.items()}
            left = {key: question for key, question in now.questions.items() if key not in fresh}
            done = (*now.answered, *theirs)
            return replace(now, questions=left, answers={**now.answers, **theirs}, answered=done)

        if answers:
            changed = await self._change(task, answered)
            await self._progressing.note_answers(changed, answers)
        return task

    async def cancel(self, identity: str, task_id: str) -> KeptTask | None:
        """Have the server told that a task is given up."""
        task = await self._find(identity, task_id)
        if task is not None:
            await self._change(task, lambda now: replace(now, cancel=True))
        return task

    async def run(self) -> None:
        """Take over the tasks of processes that are gone, until cancelled."""
        while True:
            try:
                for task in await self._store.read(self._table.open):
                    if task.id not in self._wake and self._progressing.knows_server(task):
                        self._watch(await self._taken_over(task))
            except StoreError as error:
                log.warning("cannot look for tasks of other processes: %s", error)
            await anyio.sleep(LOOK_AGAIN_S)

    async def _find(self, identity: str, task_id: str) -> KeptTask | None:
        return await self._store.read(lambda tx: self._table.find(tx, identity, task_id))

    async def _change(self, task: KeptTask, change: Callable[[KeptTask], KeptTask | None]) -> KeptTask:
        """Change a task, and have its server told."""
        changed = await self._store.write(lambda tx: self._table.change(tx, task, change))
        changed = await self._taken_over(changed)
        if changed.id in self._wake:
            self._wake[changed.id].set()
        return changed

    async def _taken_over(self, task: KeptTask) -> KeptTask:
        """Make this process the owner of a task whose owner is gone, or should have ended it long ago."""
        late = self._clock() > task.expires + 2 * LOOK_AGAIN_S
        if task.open and task.owner != this_process() and (late or not may_live(task.owner)):
            task = await self._store.write(lambda tx: self._table.take_over(tx, task, this_process()))
        self._watch(task)
        return task

    def _watch(self, task: KeptTask) -> None:
        """Watch a task of this process, once."""
        if task.open and task.owner == this_process() and task.id not in self._wake and self.tasks is not None:
            self._wake[task.id] = anyio.Event()
            self.tasks.start_soon(self._watched, task)

    async def _watched(self, task: KeptTask) -> None:
        try:
            while task.open and task.owner == this_process():
                wake = self._wake[task.id]
                with anyio.move_on_after(min(poll_pause_s(task.poll_ms), max(0.0, task.expires - self._clock()))):
                    await wake.wait()
                self._wake[task.id] = anyio.Event()
                try:
                    task = await self._advance(task)
                except StoreError as error:
                    log.warning("the state of task %s cannot be kept: %s", task.id, error)
        finally:
            del self._wake[task.id]
            self._locks.pop(task.id, None)

    async def _advance(self, task: KeptTask) -> KeptTask:
        """Ask the server about a task, and keep what it says. Only one of this process asks at a time."""
        async with self._locks.setdefault(task.id, anyio.Lock()):
            before = await self._find(task.identity, task.id)
            if before is None or not before.open or before.owner != this_process():
                return before or replace(task, open=False)
            after = await self._progressing.one_step(before, self._clock(), self._changed_in)
        if (after.status, after.message, after.questions.keys()) != (
            before.status,
            before.message,
            before.questions.keys(),
        ):
            for listener in self._listeners:
                await listener(after)
        return after

    def _changed_in(self, tx: Tx, task: KeptTask, change: Callable[[KeptTask], KeptTask | None]) -> KeptTask:
        return self._table.change(tx, task, change)
