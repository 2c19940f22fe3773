"""Holds one exchange of a call with its server: what was asked, and what its caller is told about it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import mcp_types as t

from lg_gateway.calls.call import CallContext
from lg_gateway.elicitation.pending_questions import PendingQuestions
from lg_gateway.elicitation.refusals import NotPassedOn, Refused
from lg_gateway.elicitation.sampling_request import Mask, Public
from lg_gateway.elicitation.server_question import Asking, ServerQuestion, read_question
from lg_gateway.elicitation.waiting_calls import Outcome
from lg_gateway.upstreams.upstream import Upstream
from lg_gateway.upstreams.upstream_call import UpstreamCall
from lg_policy.errors import LgError

log = logging.getLogger(__name__)

Left = Callable[[Outcome], Awaitable[None]]
Given = t.InputResponse | t.ErrorData


@dataclass
class Exchange:
    """One exchange of a call with its server. `notes` are for the caller, each once; `asked` counts live questions.

    `pages_asked`: the pages were shown without which the server refuses the call.
    """

    context: CallContext
    upstream: Upstream
    call: UpstreamCall
    left: Left
    mask: Mask | None = None
    public: Public = str
    notes: list[str] = field(default_factory=list)
    asked: int = 0
    pages_asked: bool = False

    def refused(self, why: object) -> t.ElicitResult:
        """Return the no to a question that no human gets to see."""
        self.note(f"server {self.upstream.name} asked a question that was not passed on: {why}")
        return t.ElicitResult(action="decline")

    def not_passed_on(self, why: LgError) -> t.ErrorData:
        """Return the error for a request that no client gets to see, or whose answer the server does not get."""
        self.note(why.text())
        return t.ErrorData(code=t.INVALID_REQUEST, message=why.message)

    def note(self, text: str) -> None:
        """Tell the caller something."""
        if text not in self.notes:
            log.warning("%s", text)
            self.notes.append(text)

    def asking(self, turn: int = 1) -> Asking:
        """Return what a question is read for."""
        return Asking(
            entry=self.context.entry,
            binding=self.context.binding().digest(),
            abilities=self.context.call.answers,
            turn=turn,
            mask=self.mask,
            public=self.public,
        )

    def read(self, theirs: str, request: object, *, turn: int = 1) -> ServerQuestion:
        """Return a question as its client gets it. Raises `Refused` or `NotPassedOn`."""
        return read_question(self.asking(turn), theirs, request)

    def sorted(self, requests: Mapping[str, Any]) -> tuple[list[ServerQuestion], dict[str, Given]]:
        """Return the questions for the client, and the answers to those that it does not get to see.

        Raises `NotPassedOn` where the server is of 2026: no answer of a round says no to such a request.
        """
        pending = self.context.pending
        turn = pending.round + 1 if pending is not None else 1
        questions: list[ServerQuestion] = []
        given: dict[str, Given] = {}
        for theirs, request in requests.items():
            try:
                questions.append(self.read(theirs, request, turn=turn))
            except Refused as why:
                given[theirs] = self.refused(why)
            except NotPassedOn as why:
                if not self.upstream.asks_live:
                    raise
                given[theirs] = self.not_passed_on(why)
        return questions, given


def stored(question: ServerQuestion) -> dict[str, Any]:
    """Return a question as it is kept, without the key that it is kept under."""
    return {name: value for name, value in asdict(question).items() if name != "key"}


def asking_result(pending: PendingQuestions) -> t.InputRequiredResult:
    """Return the answer that asks the client."""
    requests = {key: ServerQuestion(key=key, **question).request() for key, question in pending.questions.items()}
    return t.InputRequiredResult(input_requests=dict(requests), request_state=pending.round_mark())


def said(answer: Given) -> str:
    """Return what the ledger says about an answer: never what is in it."""
    if isinstance(answer, t.ElicitResult):
        return answer.action
    return "refused" if isinstance(answer, t.ErrorData) else "answered"
