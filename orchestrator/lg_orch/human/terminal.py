"""Asks a person at the terminal, one question at a time.

Enter alone is a no; what is not understood is asked again. Input typed before the question appeared is
discarded.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO, TypeVar

import anyio

from lg_orch.contracts.text import in_line, in_words, visible
from lg_orch.human.approvals import Decision, HumanAnswer, Question
from lg_orch.human.coloured import MARGIN, coloured, shows_colour
from lg_orch.human.drafts import read_draft, write_draft
from lg_orch.human.forms import check, typed
from lg_policy.errors import InvalidArguments
from lg_policy.terminal_rows import columns_of, fitting, relaid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

APPROVAL_ANSWERS: Mapping[str, Decision] = {
    "o": "once", "once": "once", "y": "once", "yes": "once", "r": "run", "run": "run", "e": "edit", "edit": "edit",
    "d": "deny", "deny": "deny", "n": "deny", "no": "deny", "": "deny",
}  # fmt: skip
"""The words of every terminal of ours, and `edit`. A plain yes is the smallest one."""
APPROVAL_PROMPT = "[o]nce, for this [r]un, [e]dit, or [d]eny (Enter denies)? "
ALWAYS_PROMPT = "[o]nce, for this [r]un, [a]lways, [e]dit, or [d]eny (Enter denies)? "
ALWAYS = ("a", "always")
WRITE_PROMPT = "Write it? [y]es; anything else goes back: "
NOTICE = "lg-orch: a question waits for you"
REASON_PROMPT = "Denied. Reason (the run reads it; Enter for none): "
_OUTCOME: Mapping[str, Decision] = {
    "d": "done", "done": "done", "n": "not_done", "not done": "not_done", "s": "stop", "stop": "stop", "": "stop",
}  # fmt: skip
TOGETHER_PROMPT = "All {count}: [o]nce, for this [r]un, answer [e]ach by itself, or [d]eny (Enter denies)? "
_TOGETHER: Mapping[str, Literal["once", "run", "each", "deny"]] = {
    "o": "once", "once": "once", "y": "once", "yes": "once", "r": "run", "run": "run", "e": "each", "each": "each",
    "d": "deny", "deny": "deny", "n": "deny", "no": "deny", "": "deny",
}  # fmt: skip


_Choice = TypeVar("_Choice")


class Pausing(Protocol):
    """A live view that can step aside."""

    def paused(self) -> AbstractContextManager[None]:
        """Hold still for the length of the block."""
        ...


class Terminal:
    """Asks on the terminal. `drafts` is where arguments are laid out for editing; `read` returns "" at the end."""

    def __init__(
        self,
        view: Pausing,
        drafts: Path,
        *,
        read: Callable[[], Awaitable[str]] | None = None,
        target: TextIO = sys.stderr,
        notify: Collection[str] = (),
    ) -> None:
        self._view = view
        self._drafts = drafts
        self._line = read or typed_line
        self._forget = drop_typed_ahead if read is None else lambda: None
        self._target = target
        self._notify = notify

    async def ask(self, question: Question) -> HumanAnswer | None:
        """Show the question and read the answer; the end of input is a no."""
        with self._view.paused():
            self._forget()
            announce(self._target, self._notify)
            self._say(f"\n{self._shown(question)}\n")
            if question.kind == "outcome":
                return await self._ask_outcome()
            if question.kind == "elsewhere":
                return await self._ask_elsewhere()
            if question.kind == "question":
                return await self._ask_form(question)
            return await self._ask_approval(question)

    async def answer_together(self, questions: Sequence[Question]) -> list[HumanAnswer] | None:
        """Show the questions about all calls of a turn, and read one answer for all, or one for each."""
        with self._view.paused():
            self._forget()
            announce(self._target, self._notify)
            for number, question in enumerate(questions, start=1):
                self._say(f"\nCall {number} of {len(questions)}:\n{self._shown(question)}\n")
            word = await self._choice(TOGETHER_PROMPT.format(count=len(questions)), _TOGETHER)
            if word == "each":
                return await self._ask_each(questions)
            reason = await self._prompt(REASON_PROMPT) if word == "deny" else ""
            return [HumanAnswer(decision=word, by="terminal", reason=reason) for _ in questions]

    async def _ask_each(self, questions: Sequence[Question]) -> list[HumanAnswer]:
        """One after the other; "for this run" answers those that follow about the same tool."""
        answers: list[HumanAnswer] = []
        covered: set[str] = set()
        for number, question in enumerate(questions, start=1):
            if question.tool in covered:
                answers.append(HumanAnswer(decision="once", by="terminal"))
                continue
            self._say(f"Call {number}: {question.tool}")
            answers.append(await self._ask_approval(question))
            covered |= {question.tool} if answers[-1].decision == "run" else set()
        return answers

    async def _ask_approval(self, question: Question) -> HumanAnswer:
        answers: dict[str, Decision | Literal["always"]] = {**APPROVAL_ANSWERS}
        answers |= dict.fromkeys(ALWAYS if question.always else (), "always")
        prompt = ALWAYS_PROMPT if question.always else APPROVAL_PROMPT
        while True:
            decision = await self._choice(prompt, answers)
            if decision == "always":
                keep = await self._rule(question)
                if keep:
                    return HumanAnswer(decision="once", by="terminal", keep=keep)
            elif decision != "edit":
                break
            elif (edited := await self._edit(question)) is not None:
                reason = "the user changed its arguments; the changed call follows"
                return HumanAnswer(decision="edit", by="terminal", reason=reason, arguments=edited)
        reason = await self._prompt(REASON_PROMPT) if decision == "deny" else ""
        return HumanAnswer(decision=decision, by="terminal", reason=reason)

    async def _rule(self, question: Question) -> str:
        """The kind of the rule that the person keeps, once they have seen it; "" to ask again."""
        rules = [(kind, *text.partition("\n")[::2]) for kind, text in question.always.items()]
        for number, (_kind, words, _rule) in enumerate(rules, 1):
            self._tell(f"  [{number}] {words}")
        number_typed = await self._prompt("Which? Enter goes back: ")
        if number_typed not in map(str, range(1, len(rules) + 1)):
            return ""
        kind, _words, rule = rules[int(number_typed) - 1]
        self._tell(f"This would be added to your settings:\n\n{rule}\n")
        return kind if (await self._prompt(WRITE_PROMPT)).lower() in ("y", "yes") else ""

    async def _ask_outcome(self) -> HumanAnswer:
        decision = await self._choice("[d]one, [n]ot done (make it again), or [s]top (Enter stops)? ", _OUTCOME)
        return HumanAnswer(decision=decision, by="terminal")

    async def _ask_elsewhere(self) -> HumanAnswer:
        answer = await self._prompt("Press Enter once it is answered there, or [d] to continue without the call: ")
        if answer.lower() in ("d", "deny"):
            return HumanAnswer(decision="deny", by="terminal", reason="the user did not wait for the answer")
        return HumanAnswer(decision="again", by="terminal")

    async def _ask_form(self, question: Question) -> HumanAnswer:
        """One field after the other; what does not fit is asked for again."""
        declined = HumanAnswer(decision="deny", by="terminal", reason="the user did not answer the server")
        if (await self._prompt("[a]nswer, or [d]ecline (Enter declines)? ")).lower() not in ("a", "answer"):
            return declined
        content: dict[str, object] = {}
        for name in question.form.get("properties", {}):
            try:
                content |= await self._ask_field(question.form, name)
            except EOFError:
                return declined
        self._tell(f"{MARGIN}{json.dumps(content, ensure_ascii=False)}")
        if (await self._prompt("[s]end this to the server, or [d]ecline (Enter declines)? ")).lower() not in (
            "s",
            "send",
        ):
            return declined
        return HumanAnswer(decision="answer", by="terminal", arguments=content)

    async def _ask_field(self, form: Mapping[str, Any], name: str) -> dict[str, object]:
        """What was typed for a field; nothing for one that is left out. Raises `EOFError` at the end of input."""
        field, required = form["properties"][name], name in form.get("required", ())
        while True:
            print(fitting(f"{MARGIN}{visible(name)}:", self._target), end=" ", file=self._target, flush=True)
            line = await self._line()
            if not line:
                raise EOFError
            text = line.strip()
            if not text and "default" in field:
                return {name: field["default"]}
            if not text and not required:
                return {}
            try:
                alone = {"properties": {name: field}, "required": [name]}
                return check(alone, {name: typed(field, text)})
            except InvalidArguments as error:
                self._tell(f"lg-orch: {error.message}")

    async def _edit(self, question: Question) -> Mapping[str, object] | None:
        """What the person made of the arguments; `None` to ask again."""
        for path in write_draft(self._drafts, question.arguments):
            self._say(f"  {in_line(path)}")  # whole: it is copied
        if await self._prompt("Change these files, then press Enter; [b] goes back: "):
            return None
        try:
            edited = read_draft(self._drafts)
        except InvalidArguments as error:
            self._say(f"lg-orch: {in_words(error)}")
            return None
        if edited == dict(question.arguments):
            self._say("Nothing was changed.")
            return None
        return edited

    async def _choice(self, text: str, choices: Mapping[str, _Choice]) -> _Choice:
        """One of the choices. A slip of the finger would be final: a denied call is not asked about again."""
        while True:
            answer = (await self._prompt(text)).lower()
            if answer in choices:
                return choices[answer]
            self._tell(f"lg-orch: {visible(answer[:40])!r} is not one of the choices")

    async def _prompt(self, text: str) -> str:
        print(text, end="", file=self._target, flush=True)
        return (await self._line()).strip()

    def _shown(self, question: Question) -> str:
        """The question as rows of this terminal."""
        columns = columns_of(self._target)
        message = visible(question.message)
        rows = relaid(message, columns) if columns is not None else message
        return coloured(rows) if shows_colour(self._target) else rows

    def _tell(self, text: str) -> None:
        """Print lines of ours that hold words of others."""
        self._say(fitting(visible(text), self._target))

    def _say(self, text: str) -> None:
        print(text, file=self._target, flush=True)


def announce(target: TextIO, how: Collection[str]) -> None:
    """Tell a person who looks elsewhere that a question waits: `bell`, `desktop`, both or neither (`approval.notify`).

    The notification is the terminal's own (OSC 9); one that does not know it shows nothing. All of the text is ours.
    """
    told = f"\x1b]9;{NOTICE}\x1b\\" if "desktop" in how and os.environ.get("TERM") != "dumb" else ""
    told += "\a" if "bell" in how else ""
    if told and target.isatty():
        print(told, end="", file=target, flush=True)


def drop_typed_ahead() -> None:
    """Discard what was typed before now: it cannot have been meant for a question that was not shown yet."""
    if sys.platform != "win32":
        import termios

        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


async def typed_line() -> str:
    """Read what is typed up to Enter, without a thread that a signal could not end."""
    descriptor, data = sys.stdin.fileno(), b""
    while not data.endswith(b"\n"):
        await anyio.wait_readable(descriptor)
        part = os.read(descriptor, 4096)
        if not part:
            break
        data += part
    return data.decode("utf-8", "replace")


def is_attended() -> bool:
    """Tell whether a person can be asked here."""
    return sys.stdin.isatty() and sys.stderr.isatty()
