"""Stores questions whole, for the human, where the journal hides secrets in them.

What a human is asked about is never altered by masking. The journal is exported and masked; these files are not. They
lie in the run's directory with mode 0600, beside the checkpoints, which hold the same arguments.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lg_policy.state import make_private, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from lg_orch.human.approvals import Question


class QuestionTexts:
    """Keeps the whole text and arguments of questions, by the question's key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, question: Question) -> None:
        """Write a question whole. Raises `OSError` when that is impossible."""
        make_private(self._folder)
        whole = {"key": question.key, "message": question.message, "arguments": dict(question.arguments)}
        replace_file(self._path(question.key), json.dumps(whole).encode())

    def whole(self, question: Question) -> Question:
        """Return a question with its text and arguments as they are; unchanged where nothing was hidden."""
        try:
            kept = self._path(question.key).read_bytes()
        except FileNotFoundError:
            return question
        return self.restored(question, kept)

    @staticmethod
    def restored(question: Question, data: bytes) -> Question:
        """Return a question with what a file of it holds."""
        kept: Any = json.loads(data)
        if kept["key"] != question.key:
            return question
        return replace(question, message=str(kept["message"]), arguments=dict(kept["arguments"]))

    @staticmethod
    def name_of(key: str) -> str:
        """Return the name of a question's file."""
        return f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def _path(self, key: str) -> Path:
        return self._folder / self.name_of(key)
