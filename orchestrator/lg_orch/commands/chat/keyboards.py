"""The keyboard of a conversation: a line editor on a terminal that can have one, plain lines on any other.

While a run works the input stays open: what is typed then is handed over at once, and Ctrl-C asks the run to stop. A
question takes the keyboard for itself (`handed_over`), and what was half typed comes back after it.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from lg_orch.display.progress import is_capable
from lg_orch.human.terminal import typed_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from prompt_toolkit.completion import Completer
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.shortcuts import PromptSession

PROMPT = "> "
LEAVE = "/quit"
"""What Ctrl-D says while a run works."""
POLL_S = 0.01
REFRESH_S = 0.25
"""Seconds between two drawings of the toolbar."""


class InputDropped(Exception):
    """Ctrl-C at an input: what was typed is not meant, and Enter was not pressed."""


class Keyboard(Protocol):
    """Where a person types."""

    async def read(self, toolbar: Callable[[], Sequence[str]]) -> str | None:
        """Return what was typed, `None` at the end of input. Raises `InputDropped` on Ctrl-C."""
        ...

    async def listen(
        self, heard: Callable[[str], None], interrupted: Callable[[], None], toolbar: Callable[[], Sequence[str]]
    ) -> None:
        """Hand over what is typed while a run works, until `stop`."""
        ...

    async def stop(self) -> None:
        """Stop listening."""
        ...

    def handed_over(self) -> AbstractAsyncContextManager[None]:
        """Take the input away for the length of the block: a question is asked in it."""
        ...

    def complete_with(self, completer: Completer) -> None:
        """Complete commands and paths."""
        ...

    def remember_with(self, mask: Callable[[str], str]) -> None:
        """Hide secrets in what is kept of the input."""
        ...


def keyboard_for(state: Path) -> Keyboard:
    """Return the keyboard of this terminal."""
    if not is_capable(sys.stdout):
        return PlainKeyboard()
    return LineEditor(state / "chat-history")


class PlainKeyboard:
    """Lines as the terminal gives them; nothing can be typed while a run works but Ctrl-C."""

    async def read(self, toolbar: Callable[[], Sequence[str]]) -> str | None:
        """Return a line."""
        print(f"{' '.join(toolbar())}\n{PROMPT}", end="", file=sys.stderr, flush=True)
        line = await typed_line()
        return line.rstrip("\n") if line else None

    async def listen(
        self, _heard: Callable[[str], None], _interrupted: Callable[[], None], _toolbar: Callable[[], Sequence[str]]
    ) -> None:
        """Leave the terminal to the run."""

    async def stop(self) -> None:
        """Do nothing: nobody listens."""

    @asynccontextmanager
    async def handed_over(self) -> AsyncIterator[None]:
        """Do nothing: the input is free."""
        yield

    def complete_with(self, completer: Completer) -> None:
        """Do nothing: a plain line is not completed."""

    def remember_with(self, mask: Callable[[str], str]) -> None:
        """Do nothing: nothing is kept."""


class LineEditor:
    """A line editor with history, several lines, completion and a toolbar."""

    def __init__(self, history: Path) -> None:
        from lg_orch.commands.chat.history import PrivateHistory

        self._history = PrivateHistory(history)
        self._completer: Completer | None = None
        self._free = anyio.Event()
        self._free.set()
        self._listening: PromptSession[str] | None = None
        self._wanted = False
        self._draft = ""

    def complete_with(self, completer: Completer) -> None:
        """Complete commands and paths."""
        self._completer = completer

    def remember_with(self, mask: Callable[[str], str]) -> None:
        """Hide secrets in what is kept of the input."""
        self._history.mask = mask

    async def read(self, toolbar: Callable[[], Sequence[str]]) -> str | None:
        """Return what was typed."""
        draft, self._draft = self._draft, ""
        try:
            return as_text(await self._session(toolbar).prompt_async(PROMPT, default=draft, handle_sigint=False))
        except KeyboardInterrupt:
            raise InputDropped from None
        except EOFError:
            return None

    async def listen(
        self, heard: Callable[[str], None], interrupted: Callable[[], None], toolbar: Callable[[], Sequence[str]]
    ) -> None:
        """Hand over what is typed while a run works."""
        from prompt_toolkit.patch_stdout import patch_stdout

        self._wanted = True
        while self._wanted:
            await self._free.wait()
            session = self._session(toolbar, working=True)
            draft, self._draft = self._draft, ""
            text: str | None = None
            self._listening = session
            try:
                with patch_stdout(raw=True):
                    text = await session.prompt_async(
                        PROMPT, default=draft, handle_sigint=False, refresh_interval=REFRESH_S
                    )
            except KeyboardInterrupt:
                interrupted()
            except EOFError:
                heard(LEAVE)
                return
            finally:
                self._listening = None
            if text is not None and text.strip():
                heard(as_text(text.strip()))

    async def stop(self) -> None:
        """Stop listening; what is half typed is kept for the next input."""
        self._wanted = False
        await self._leave()

    @asynccontextmanager
    async def handed_over(self) -> AsyncIterator[None]:
        """Take the input away for the length of the block."""
        self._free = anyio.Event()
        await self._leave()
        try:
            yield
        finally:
            self._free.set()

    async def _leave(self) -> None:
        """End the input that listens, and wait until the terminal is as it was."""
        while (session := self._listening) is not None:
            if session.app.is_running and not session.app.is_done:
                self._draft = session.default_buffer.text
                session.app.exit()
            await anyio.sleep(POLL_S)

    def _session(self, toolbar: Callable[[], Sequence[str]], *, working: bool = False) -> PromptSession[str]:
        from prompt_toolkit.shortcuts import PromptSession
        from prompt_toolkit.styles import Style

        def shown() -> Any:
            return [("class:bottom-toolbar.text", "\n".join(toolbar()))]

        return PromptSession(
            history=self._history,
            completer=self._completer,
            complete_while_typing=False,
            multiline=True,
            key_bindings=_keys(),
            bottom_toolbar=shown,
            erase_when_done=working,
            enable_suspend=False,
            style=Style.from_dict({"bottom-toolbar": "noreverse", "bottom-toolbar.text": "noreverse ansibrightblack"}),
        )


def as_text(typed: str) -> str:
    """Return what was typed as text that can be written anywhere: bytes that are no UTF-8 come as lone surrogates."""
    return typed.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _keys() -> KeyBindings:
    """Enter sends; Alt-Enter, or a backslash before Enter, begins another line."""
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
            return
        buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
