"""The questions of a gateway, for the console: as a terminal shows them, answered as a terminal answers them."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256

import anyio.to_thread

from lg_console.sources.people import Person, Role
from lg_console.sources.questions import Choice, Decision, Question
from lg_gateway.approvals.question import ALWAYS, DENY, ONCE, RUN, SESSION
from lg_gateway.approvals.records import Approval, ApprovalState, ApprovalTable
from lg_gateway.calls.approval_step import question_key
from lg_gateway.kept_rules.records import comment_of
from lg_gateway.kept_rules.rule_text import rule_text
from lg_gateway.kept_rules.rules_file import RulesFile
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.interface import Store, Tx
from lg_gateway.views.answers import Answer, Answering
from lg_policy.errors import ConfigError, InvalidArguments, NotFound
from lg_policy.terminal_rows import relaid

COLUMNS = 100
_MARK = "SELECT id FROM approvals WHERE state = 'pending' AND expires > ? ORDER BY id"
_APPROVED = "SELECT count(*) FROM approvals WHERE state = 'approved'"


class GatewayApprovals:
    """Reads and answers the questions of one store. `file` is the settings file that rules go to, if it is read."""

    def __init__(
        self,
        store: Store,
        approvals: ApprovalTable,
        ledger: Ledger,
        *,
        where: str,
        file: Callable[[], RulesFile | None],
    ) -> None:
        self._store = store
        self._approvals = approvals
        self._ledger = ledger
        self._where = where
        self._file = file

    async def waiting(self) -> list[Question]:
        """Return what waits, oldest first."""
        found = await self._store.read(lambda tx: self._approvals.pending(tx, time.time()))
        return [self._shown(approval) for approval in found]

    async def recent(self, limit: int) -> list[Question]:
        """Return the newest questions that no longer wait, newest first."""
        found = await self._store.read(lambda tx: self._approvals.recent(tx, 5 * limit, time.time()))
        ended = [approval for approval in found if approval.state is not ApprovalState.PENDING]
        return [self._shown(approval) for approval in ended[:limit]]

    async def question(self, question_id: str) -> Question | None:
        """Return one question."""
        approval = await self._approval(question_id)
        return self._shown(approval) if approval is not None else None

    async def decide(self, person: Person, question_id: str, decision: Decision) -> Question:
        """Answer a question."""
        approval = await self._approval(question_id)
        if approval is None:
            raise NotFound(f"there is no question {question_id[:40]}")
        person = person.at_gateway
        person.need(Role.OPERATOR if approval.approver == "operator" else Role.APPROVER)
        word, file = decision.word, self._file()
        if word not in _offered(approval):
            raise InvalidArguments(
                f"question {approval.id} cannot be answered with {word!r}",
                hint=f"it offers {', '.join(_offered(approval))}",
            )
        if word in ALWAYS:
            person.need_to_manage()
            if file is None:
                raise InvalidArguments("this gateway does not read the settings file that a rule would go to")
        answer = Answer(
            approve=word != DENY,
            by=f"{person.name} at the console",
            reason=decision.reason,
            for_run=word == RUN,
            keep=word if word in (SESSION, *ALWAYS) else "",
        )
        answering = Answering(
            approvals=self._approvals, ledger=self._ledger, approval=approval, answer=answer, file=file
        )
        return self._shown(await self._written(answering))

    async def mark(self) -> str:
        """Return a digest of what waits."""

        def look(tx: Tx) -> str:
            ids = [row[0] for row in tx.execute(_MARK, (time.time(),))]
            return f"{' '.join(ids)} {tx.execute(_APPROVED)[0][0]}"

        return sha256((await self._store.read(look)).encode()).hexdigest()[:16]

    async def _approval(self, question_id: str) -> Approval | None:
        return await self._store.read(lambda tx: self._approvals.get(tx, question_id, time.time()))

    async def _written(self, answering: Answering) -> Approval:
        decided = await self._store.write(answering.write)
        rule, file = answering.rule, answering.file
        if rule is None or file is None:
            return decided
        try:
            await anyio.to_thread.run_sync(file.add, rule, comment_of(decided))
        except ConfigError as error:
            await self._store.write(answering.not_written(decided, error.message))
            raise
        return decided

    def _shown(self, approval: Approval) -> Question:
        file = self._file()
        choices = [
            Choice(kind=kind, words=words, rule=rule_text(rule), place=str(file.path))
            for kind, words in approval.words().items()
            if file is not None and kind in ALWAYS and (rule := approval.rule(kind)) is not None
        ]
        return Question(
            id=approval.id,
            state=str(approval.state),
            created=approval.created,
            expires=approval.waits_until or approval.expires,
            text=relaid(approval.whole(), COLUMNS),
            tool=approval.tool,
            server=approval.server,
            identity=approval.identity,
            client=approval.client,
            run_id=approval.run_id or "",
            where=self._where,
            operator_only=approval.approver == "operator",
            in_session=bool(approval.session) and approval.approver == "user",
            choices=tuple(choices) if approval.approver == "user" else (),
            decided_by=approval.decided_by,
            reason=approval.reason,
            kept=approval.kept,
            key=question_key(approval),
        )


def _offered(approval: Approval) -> list[str]:
    """Return the answers that a question may be given."""
    found = [DENY, ONCE]
    found += [RUN] if approval.run_id is not None else []
    if approval.approver == "user":
        found += [SESSION] if approval.session else []
        found += [kind for kind in approval.words() if kind in ALWAYS]
    return found
