"""The commands of a conversation: `/help` and its neighbours."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from lg_orch.commands.chat.keyboards import InputDropped
from lg_orch.contracts.events import Usage
from lg_orch.contracts.text import in_line, one_line
from lg_policy.errors import UnknownName, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from lg_orch.commands.chat.keyboards import Keyboard
    from lg_orch.contracts.state import Final
    from lg_orch.llm.choice import ChosenBackend
    from lg_orch.runs.run_directory import RunDir
    from lg_orch.settings.setup import CommandSetup
    from lg_orch.tools.connection import Connection

SLASH = {
    "/help": "show what you can type",
    "/model": "show the model, or change it: /model PROVIDER:NAME",
    "/plan": "show a plan before anything is done: /plan REQUEST; then /go, /edit or /drop",
    "/go": "carry out the plan, or go on with a run that stopped",
    "/edit": "change the plan in a file",
    "/drop": "leave a run that stopped",
    "/diff": "show the last change",
    "/undo": "revert the last change",
    "/approve": "answer the question that a run waits with: /approve [RUN]",
    "/runs": "list the newest runs of this repository",
    "/cost": "show time, tokens and money of this conversation",
    "/quit": "leave; so does Ctrl-D",
}
KEYS = """\
  Enter            send; a backslash before it, or Alt-Enter, begins another line
  @path Tab        complete a path
  Up, Down         earlier inputs
  Ctrl-C           while a run works: stop after the current call; again: stop now
  typed text       while a run works: told with its next step"""
SHOWN_RUNS = 10


class Talk(Protocol):
    """The conversation, as its commands see it."""

    args: argparse.Namespace
    setup: CommandSetup
    chosen: ChosenBackend
    keyboard: Keyboard
    connection: Connection | None
    last: RunDir | None
    runs: list[RunDir]
    open: RunDir | None
    ended: bool

    async def request(self, text: str) -> Final | None:
        """Drive a new run."""
        ...

    async def resume(self, run: RunDir, say: str | None = None, plan: tuple[str, ...] | None = None) -> Final | None:
        """Go on with a run."""
        ...

    def say(self, text: str) -> None:
        """Print a line of ours."""
        ...


class SlashCommands:
    """Carries out the commands of one conversation."""

    def __init__(self, chat: Talk) -> None:
        self._chat = chat
        self._known: dict[str, Callable[[str], Awaitable[None]]] = {
            "/help": self._help, "/model": self._model, "/plan": self._plan, "/go": self._go, "/edit": self._edit,
            "/drop": self._drop, "/diff": self._diff, "/undo": self._undo, "/approve": self._approve,
            "/runs": self._runs, "/cost": self._cost, "/quit": self._quit,
        }  # fmt: skip

    async def run(self, text: str) -> None:
        """Carry out a command. Raises `LgError` for one that cannot be."""
        name, rest = (*text.split(maxsplit=1), "")[:2]
        found = self._known.get(name)
        if found is None:
            from difflib import get_close_matches

            near = get_close_matches(name, self._known, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no {one_line(name, 40)}", hint=f"{meant}/help shows the commands")
        await found(rest.strip())

    async def _help(self, _rest: str) -> None:
        print("\n".join(f"  {name:<16} {words}" for name, words in SLASH.items()))
        print(KEYS, flush=True)

    async def _model(self, rest: str) -> None:
        chat = self._chat
        if rest:
            from lg_orch.commands.session import chosen_backend
            from lg_orch.llm.choice import models_asked_for
            from lg_orch.llm.model_names import check_flags

            check_flags(rest, None)
            settings = chat.setup.loaded.settings
            models = models_asked_for(settings.models, rest, {})
            loaded = replace(chat.setup.loaded, settings=settings.model_copy(update={"models": models}))
            setup = replace(chat.setup, loaded=loaded)
            chat.chosen, chat.setup, chat.args.model = chosen_backend(setup), setup, rest
        chat.say(f"model: {chat.chosen.name}")

    async def _plan(self, rest: str) -> None:
        if not rest:
            raise UsageError("/plan needs a request", hint="for example: /plan add a --version option")
        self._chat.args.plan_only = True
        try:
            await self._chat.request(rest)
        finally:
            self._chat.args.plan_only = False
        if self._chat.open is not None:
            self._chat.say("/go carries it out, /edit changes it, /drop leaves it; or type what should be different")

    async def _go(self, _rest: str) -> None:
        await self._chat.resume(self._stopped())

    async def _edit(self, _rest: str) -> None:
        from lg_orch.engine.plan_view import plan_text, steps_in
        from lg_orch.human.drafts import read_text
        from lg_orch.recording.journal import read_journal
        from lg_orch.runs.trace import build_trace
        from lg_policy.state import replace_file

        run = self._stopped()
        plans = build_trace(run.run_id, read_journal(run.journal)).plans
        if not plans:
            raise UsageError("the run that stopped has no plan", hint="/plan REQUEST makes one")
        path = run.path / "plan.txt"
        replace_file(path, plan_text(plans[-1]).encode())
        print(f"  {in_line(path)}")
        self._chat.say("change this file, one step a line, then press Enter; Ctrl-C, or [b], goes back")
        try:
            typed = await self._chat.keyboard.read(lambda: ["editing the plan: Enter carries it out"])
        except InputDropped:
            typed = None
        if typed == "":
            await self._chat.resume(run, plan=steps_in(read_text(path)))
        else:
            self._chat.say("the plan was not carried out: /go carries it out as it was, /edit changes it")

    async def _drop(self, _rest: str) -> None:
        run = self._stopped()
        self._chat.open = None
        self._chat.say(f"left {run.run_id}; `lg-orch resume {run.run_id}` would still continue it")

    async def _diff(self, _rest: str) -> None:
        from lg_orch.commands.runs import print_changes
        from lg_orch.recording.journal import read_journal

        run = self._changed()
        print_changes(run, read_journal(run.journal))

    async def _undo(self, _rest: str) -> None:
        from lg_orch.commands.undo import revert, show_undoing
        from lg_orch.recording.event_bus import EventBus
        from lg_orch.recording.journal import Journal, whole_journal
        from lg_orch.runs.run_directory import RunLock
        from lg_orch.undo.plan import plan_undo
        from lg_policy.secrets.masking import Masker
        from lg_policy.state import load_key

        run, connection = self._changed(), self._chat.connection
        lock = RunLock(run)
        try:
            events = whole_journal(run.journal)
            undoing = plan_undo(events, after=0)
            show_undoing(run, undoing)
            if not undoing.patches or connection is None:
                self._chat.say(f"nothing to undo: run {run.run_id} has no patch left to revert")
                return
            journal = Journal(run.journal)
            try:
                bus = EventBus(journal, Masker(load_key("mask"), []), after=events[-1].seq if events else 0)
                await revert(connection, self._chat.setup, run, bus, events, undoing, asks=True)
            finally:
                journal.close()
        finally:
            lock.release()

    async def _approve(self, rest: str) -> None:
        for run, question in self._waiting():
            if not rest or run.run_id.startswith(rest) or run.run_id.endswith(rest):
                self._chat.say(f"{run.run_id}: {one_line(question, 100)}")
                await self._chat.resume(run)
                return
        raise UnknownName(f"no run waits for you{f' by the name {one_line(rest, 40)}' if rest else ''}")

    def _waiting(self) -> list[tuple[RunDir, str]]:
        """Runs of this repository that nobody drives and that have a question open."""
        from lg_orch.human.inquiry import open_questions
        from lg_orch.recording.journal import read_journal
        from lg_orch.runs.run_directory import is_driven
        from lg_orch.runs.trace import finished
        from lg_orch.settings.find_run import runs_of
        from lg_policy.errors import NotFound

        found = []
        for each in runs_of(self._chat.setup.root, self._chat.setup.state.path):
            try:
                events = read_journal(each.run.journal)
            except NotFound:
                continue
            questions = [] if finished(events) or is_driven(each.run) else open_questions(events)
            found += [(each.run, questions[-1].message)] if questions else []
        return found

    async def _runs(self, _rest: str) -> None:
        from lg_orch.commands.runs import broke_off, load
        from lg_orch.settings.find_run import runs_of

        for found in islice(runs_of(self._chat.setup.root, self._chat.setup.state.path), SHOWN_RUNS):
            trace = load(found.run)
            if trace is not None:
                more = " (can be resumed)" if broke_off(trace) else ""
                print(f"  {trace.run_id}  {trace.status:<11}  {one_line(trace.request, 60)}{more}")

    async def _cost(self, _rest: str) -> None:
        from lg_orch.commands.runs import load

        usages = [trace.usage for run in self._chat.runs if (trace := load(run)) is not None]
        total = Usage(**{
            name: sum(getattr(usage, name) for usage in usages) for name in Usage.model_fields
        })  # fmt: skip
        self._chat.say(f"{len(usages)} runs: {total.summary()}")

    async def _quit(self, _rest: str) -> None:
        self._chat.ended = True

    def _changed(self) -> RunDir:
        """The newest run of this conversation whose changes are still in the files."""
        from lg_orch.recording.journal import read_journal
        from lg_orch.runs.timeline import patches_of, standing
        from lg_orch.settings.find_run import runs_of

        chat = self._chat
        here = {run.run_id for run in (*chat.runs, *([chat.last] if chat.last is not None else []))}
        for found in runs_of(chat.setup.root, chat.setup.state.path):
            if found.run.run_id in here and standing(patches_of(read_journal(found.run.journal))):
                return found.run
        raise UnknownName("no run of this conversation has a change left in the files", hint="/runs lists the others")

    def _stopped(self) -> RunDir:
        if self._chat.open is None:
            raise UnknownName("no run is stopped", hint="type a request, or /runs for the runs of this repository")
        return self._chat.open
