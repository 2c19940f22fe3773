"""Holds a conversation: reads a request, drives a run for it, shows the report, and reads the next one.

Every request is a run of its own, through the same graph, journal, budgets and approvals as `lg-orch run`; it follows
the run before. The gateway is started once. While a run works, typed text is told with its next step, and Ctrl-C
stops it after the current call.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from lg_orch.commands.chat.completing import ChatCompleter
from lg_orch.commands.chat.keyboards import LEAVE, InputDropped
from lg_orch.commands.chat.slash import SLASH, SlashCommands
from lg_orch.commands.chat.view import ChatView
from lg_orch.commands.session import Around, Past, Session, chosen_backend, export
from lg_orch.contracts.errors import GatewayGone
from lg_orch.contracts.text import in_line, in_words, one_line
from lg_orch.display.report_view import print_report
from lg_orch.engine.conversations import conversation_of, follow
from lg_orch.engine.driver import Driver, import_heavy
from lg_orch.engine.signals import StopRequests
from lg_orch.human.terminal import Terminal
from lg_orch.llm.conversation.earlier import Earlier
from lg_orch.llm.providers import api_keys
from lg_orch.settings.gateway_access import opened
from lg_orch.tools.gateway import check_root
from lg_policy.errors import LgError
from lg_policy.printing import display_width
from lg_policy.secrets.masking import Masker
from lg_policy.state import load_key

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lg_orch.commands.chat.keyboards import Keyboard
    from lg_orch.contracts.state import Final
    from lg_orch.human.approvals import HumanAnswer, Question
    from lg_orch.runs.run_directory import RunDir
    from lg_orch.settings.setup import CommandSetup
    from lg_orch.tools.connection import Connection

CONTINUES = ("interrupted", "waiting", "failed")
LEAST_NAME = 12
"""Columns that the root and the model keep in the first row, however narrow the terminal is."""
STOPPED = "stopped. Type what to do instead, press Enter to go on, or /drop to leave it"


def terminal_width() -> int:
    """Return the columns of the terminal; 80 where it does not say."""
    try:
        return os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2).columns or 80
    except OSError:
        return 80


def greeting(root: str, model: str, width: int) -> str:
    """Return where we are and who answers, on one row: of a long path the end is shown."""
    home = os.path.expanduser("~")
    shown = in_line(f"~{root.removeprefix(home)}" if root.startswith(f"{home}{os.sep}") else root)
    model = one_line(model, max(LEAST_NAME, width // 2))
    room = max(LEAST_NAME, width - display_width(model) - len("  ") - len(": ") - 1)
    while display_width(shown) > room:
        shown = f"…{shown[2:]}"
    return f"{shown}: {model}"


class Person:
    """Whoever sits at the terminal: a question takes the keyboard for itself."""

    def __init__(self, keyboard: Keyboard, view: ChatView, drafts: Path, notify: tuple[str, ...]) -> None:
        self._keyboard = keyboard
        self._terminal = Terminal(view, drafts, notify=notify)

    async def ask(self, question: Question) -> HumanAnswer | None:
        """Ask, with the input out of the way."""
        async with self._keyboard.handed_over():
            return await self._terminal.ask(question)

    async def answer_together(self, questions: Sequence[Question]) -> list[HumanAnswer] | None:
        """Ask about all calls of a turn, with the input out of the way."""
        async with self._keyboard.handed_over():
            return await self._terminal.answer_together(questions)


class Chat:
    """One conversation in one repository. `followed` is the run that it goes on from."""

    def __init__(
        self, args: argparse.Namespace, setup: CommandSetup, keyboard: Keyboard, followed: RunDir | None
    ) -> None:
        self.args = args
        self.setup = setup
        self.keyboard = keyboard
        self.view = ChatView(verbose=args.verbose)
        self.chosen = chosen_backend(setup)
        self.earlier = (conversation_of(followed) if followed is not None else None) or Earlier()
        self.last: RunDir | None = followed
        self.runs: list[RunDir] = []
        """Runs of this conversation, oldest first."""
        self.open: RunDir | None = None
        """A run that stopped and can go on."""
        self.connection: Connection | None = None
        self.ended = False
        self._driver: Driver | None = None
        self._stop: StopRequests | None = None
        self._stops = 0
        self._status = 0
        self._slash = SlashCommands(self)

    async def hold(self) -> int:
        """Talk until the person leaves; a gateway that is lost is started again."""
        self.keyboard.remember_with(Masker(load_key("mask"), api_keys(os.environ)).mask)
        self.say(greeting(str(self.setup.root), self.chosen.name, terminal_width()))
        self.say("Type what you want to know or change; /help shows more.")
        await anyio.to_thread.run_sync(import_heavy)
        failed: LgError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._signals, group.cancel_scope.cancel)
            try:
                while not self.ended:
                    await self._served()
            except LgError as error:
                failed = error
            group.cancel_scope.cancel()
        if failed is not None:
            raise failed
        return self._status

    async def _served(self) -> None:
        """Talk for as long as one gateway lives."""
        async with AsyncExitStack() as stack:
            log_path = self.setup.state.path / "chat-gateway.log"
            self.connection = await opened(stack, self.args.gateway, self.setup, os.environ, log_path)
            check_root(self.connection.tools, self.setup.root_id)
            self.keyboard.complete_with(ChatCompleter(self.connection, SLASH))
            await self._talk()

    async def _talk(self) -> None:
        """Take one input after the other, until the person leaves or the gateway is lost."""
        while not self.ended:
            try:
                text = await self.keyboard.read(self._idle_rows)
            except InputDropped:
                continue
            if text is None:
                self.ended = True
                return
            try:
                await self._take(text.strip())
            except LgError as error:
                self.say(in_words(error))
                if isinstance(error, GatewayGone):
                    return
            if self._driver is not None and isinstance(self._driver.cause, GatewayGone):
                self._driver = None
                self.say("the gateway was lost; starting it again")
                return

    async def _take(self, text: str) -> None:
        """Do what was typed."""
        if text.startswith("/"):
            await self._slash.run(text)
        elif self.open is not None and (text or self._driver is not None):
            await self.resume(self.open, say=text or None)
        elif text:
            await self.request(text)

    async def request(self, text: str) -> Final | None:
        """Drive a new run, which follows the last one; then what was typed too late for it."""
        return await self._and_what_came_late(await self._drive(text, None))

    async def resume(self, run: RunDir, say: str | None = None, plan: tuple[str, ...] | None = None) -> Final | None:
        """Go on with a run that stopped or waits; then with what was typed too late for it."""
        from lg_orch.recording.journal import whole_journal

        events = whole_journal(run.journal)
        request = next((str(event.data.get("request", "")) for event in events if event.name == "run"), "")
        return await self._and_what_came_late(await self._drive(request, Past(run=run, say=say, plan=plan)))

    async def _and_what_came_late(self, final: Final | None) -> Final | None:
        while True:
            late = self._driver.unheard if self._driver is not None else ()
            if not late or self.ended or self.open is not None:
                return final
            text = "\n\n".join(late)
            self.say(f"next: {text}")
            final = await self._drive(text, None)

    async def _drive(self, request: str, past: Past | None) -> Final | None:
        connection = self.connection
        if connection is None:
            return None
        begun, self._stop, self._stops = time.monotonic(), StopRequests(), 0
        self.view.begin()
        drafts = self.setup.state.path / "chat-edit"
        person = Person(self.keyboard, self.view, drafts, self.setup.loaded.settings.approval.notify)
        follows = self.last.run_id if self.last is not None and self.earlier.exchanges else None
        around = Around(
            view=self.view, person=person, connection=connection, chosen=self.chosen, stop=self._stop, follows=follows
        )
        with Session(self.args, self.setup, request, begun, past, around) as session:
            run = session.job.run
            if past is None:
                follow(run, self.earlier)
            self._driver = Driver(session.job)
            final = await self._listened(self._driver)
            export(self.args, self.setup, session.job)
        self._stop = None
        self._remember(run, final, self._driver)
        self._report(final)
        return final

    async def _listened(self, driver: Driver) -> Final:
        """Drive the run, with the input open."""
        finals: list[Final] = []
        async with anyio.create_task_group() as group:
            group.start_soon(self.keyboard.listen, self._heard, self._interrupted, self._busy_rows)
            finals.append(await driver.run())
            await self.keyboard.stop()
            group.cancel_scope.cancel()
        return finals[0]

    def _remember(self, run: RunDir, final: Final, driver: Driver) -> None:
        """Keep what the next request follows."""
        if run.run_id not in [known.run_id for known in self.runs]:
            self.runs.append(run)
        self.last = run
        ended = driver.last.final is not None or final.status == "refused"
        self.open = None if ended or final.status not in CONTINUES else run
        if ended:
            self.earlier = conversation_of(run) or self.earlier

    def _report(self, final: Final) -> None:
        if final.status == "interrupted" and not self.ended:
            self.say(STOPPED)
        elif final.status != "interrupted":
            print(flush=True)
            print_report(final.text, self.setup.root)
            print(flush=True)

    def _heard(self, text: str) -> None:
        """Pass on what is typed while a run works."""
        if text == LEAVE:
            self.ended = True
            self._interrupted()
        elif text.startswith("/"):
            self.say(f"{text.split(maxsplit=1)[0]} has to wait for the run; Ctrl-C stops it")
        elif self._driver is not None and self._driver.say(text):
            self.say(f"you: {text} (told with the next step)")
        else:
            self.say("the run has not begun yet; type it again in a moment")

    def _interrupted(self) -> None:
        """Stop after the current call; at once when asked again."""
        if self._stop is None:
            return
        self._stops += 1
        if self._stops == 1:
            self._stop.soon()
        else:
            self._stop.now()

    async def _signals(self, leave: Callable[[], None]) -> None:
        """Ctrl-C while a question has the keyboard; the end of the process on SIGTERM and on a closed terminal."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
            async for number in received:
                if number == signal.SIGINT:
                    self._interrupted()
                    continue
                self.ended, self._status = True, 128 + number
                if self._stop is not None:
                    self._stop.now()
                else:
                    leave()

    def _idle_rows(self) -> list[str]:
        state = " a run is stopped: Enter goes on" if self.open is not None else ""
        return [f"{self.chosen.name}  {in_line(self.setup.root.name)}{state}"]

    def _busy_rows(self) -> list[str]:
        return self.view.rows(terminal_width() - 1)

    def say(self, text: str) -> None:
        """Print a line of ours."""
        self.view.say(text)
        sys.stderr.flush()
