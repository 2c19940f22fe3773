"""Gives tasks the form in which clients of 2026 get them, and reads their answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import mcp_types as t

from lg_gateway.elicitation.server_question import ServerQuestion
from lg_gateway.ledger.ledger import stamp
from lg_gateway.tasks.task_table import KeptTask


def created_task(task: KeptTask) -> dict[str, Any]:
    """Return the answer to a call that became a task."""
    shown = {
        "taskId": task.id,
        "status": task.status,
        "statusMessage": task.message or None,
        "createdAt": stamp(datetime.fromtimestamp(task.created, UTC)),
        "lastUpdatedAt": stamp(datetime.fromtimestamp(task.updated, UTC)),
        "ttlMs": task.ttl_ms,
        "pollIntervalMs": task.poll_ms,
    }
    return {key: value for key, value in shown.items() if value is not None}


def public_task(task: KeptTask) -> dict[str, Any]:
    """Return how a task stands: with its result, its error or the questions that are open."""
    shown = created_task(task)
    if task.result is not None:
        shown["result"] = task.result
    elif task.error is not None:
        shown["error"] = task.error
    elif task.open and task.questions:
        asked = {key: ServerQuestion(key=key, **kept).request() for key, kept in task.questions.items()}
        shown["inputRequests"] = {
            key: request.model_dump(mode="json", by_alias=True, exclude_none=True) for key, request in asked.items()
        }
    return shown


def public_answers(task: KeptTask, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers to questions that are open, as the server gets them, by the keys that the client knows.

    Raises `InvalidArguments` for an answer of the wrong form, `TooLarge` for one that is too long.
    """
    answers: dict[str, Any] = {}
    for key, kept in task.questions.items():
        if key in given:
            answer: t.InputResponse = ServerQuestion(key=key, **kept).answer(given[key])
            answers[key] = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
    return answers
