"""Reuses answers to a server's questions when a human had their lost call made again.

The call that is made instead has a key of its own, and so have its questions. What the user answered is given to it if
it asks the very same, in the same order; asked more often, or otherwise, it is the user's to answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_orch.human.approvals import HumanAnswer, Question

KEPT = ", kept"


class KeptAnswers:
    """Follows every question and every answer of a run, in order, by this process and those before it."""

    def __init__(self) -> None:
        self._asked: dict[str, Question] = {}
        self._answered: dict[str, list[tuple[Question, HumanAnswer]]] = {}
        self._left: dict[str, list[tuple[Question, HumanAnswer]]] = {}

    def asked(self, question: Question) -> None:
        """Note a question."""
        self._asked[question.key] = question

    def answered(self, key: str, verdict: HumanAnswer) -> None:
        """Note an answer. One that says that a lost call was not carried out leaves what that call was answered."""
        question = self._asked.get(key)
        if question is None:
            return
        if question.kind == "question":
            used = self._find(question)
            if used is not None:
                del self._left[question.call_id][used]
            self._answered.setdefault(question.call_id, []).append((question, verdict))
        elif question.kind == "outcome" and verdict.decision == "not_done":
            self._left[question.call_id] = self._answered.pop(question.call_id, [])

    def answer(self, question: Question) -> HumanAnswer | None:
        """Return what the user answered to exactly this question before the call was lost.

        Once `answered`, it is used up.
        """
        found = self._find(question)
        if found is None:
            return None
        verdict = self._left[question.call_id][found][1]
        return replace(verdict, by=f"{verdict.by.removesuffix(KEPT)}{KEPT}")

    def any_of(self, call_id: str) -> bool:
        """Tell whether the call's server was answered something."""
        return bool(self._answered.get(call_id))

    def _find(self, question: Question) -> int | None:
        asked = [(before.message, before.form) for before, _ in self._left.get(question.call_id, [])]
        this = (question.message, question.form)
        return asked.index(this) if this in asked else None
