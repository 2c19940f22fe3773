"""What stands between the results of a conversation: plans, and remarks of the user and of the program.

Each keeps its place, so that every request begins with the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.plans import THE_REQUEST, Plan
from lg_orch.llm.conversation.messages import plan_text

if TYPE_CHECKING:
    from lg_orch.agent.interfaces import Work

Note = tuple[int, str]
"""A text, and the number of the result that it stands before."""


class Notes:
    """Collects the notes of one run in one process.

    The state of a run has its newest plan only: an earlier one is gone when another process goes on with the run.
    """

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._remarks = 0

    def of(self, work: Work) -> list[Note]:
        """Return all notes so far, in the order of their places."""
        if work.plan is not None and says_more(work.plan):
            learnt = (f"Learnt: {text}" for text in work.reflections)
            note = (made_before(work.plan) + 1, "\n".join((*learnt, plan_text(work.plan))))
            if note not in self._notes:
                self._notes.append(note)
        for remark in work.remarks[self._remarks :]:
            after = len(work.results) if remark.after is None else remark.after
            self._notes.append((after + 1, remark.text))
        self._remarks = len(work.remarks)
        return sorted(self._notes, key=lambda note: note[0])


def says_more(plan: Plan) -> bool:
    """Tell whether the plan says more than the request."""
    return [step.description for step in plan.steps] != [THE_REQUEST]


def made_before(plan: Plan | None) -> int:
    """Return how many results there were when a plan was written; its step ids say so."""
    first = plan.steps[0].id if plan is not None and plan.steps else "p0s1"
    made = first.removeprefix("p").partition("s")[0]
    return int(made) if made.isdigit() else 0
