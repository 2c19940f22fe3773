"""Asks for JSON of a given form: reads it, checks it, and asks once more if it does not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, ValidationError

from lg_orch.contracts.errors import ThinkingFailed
from lg_orch.llm.wire.call_arguments import MAX_DEPTH, too_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import BaseMessage

Model = TypeVar("Model", bound=BaseModel)
MAX_SHOWN = 1_500
MAX_TEXT, MAX_ITEMS = 400, 6


def bounded(schema: Any) -> Any:
    """Return the schema with short texts and few items.

    Where a grammar holds a model to the schema, this bounds how long the model talks.
    """
    if isinstance(schema, list):
        return [bounded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    limits = {"maxLength": MAX_TEXT, "maxItems": MAX_ITEMS}
    return {
        key: min(value, limits[key]) if key in limits and isinstance(value, int) else bounded(value)
        for key, value in schema.items()
    }


def ask_json(
    ask: Callable[[Sequence[BaseMessage]], str],
    messages: Sequence[BaseMessage],
    model: type[Model],
    *,
    what: str,
    check: Callable[[Model], str | None] = lambda _value: None,
) -> Model:
    """Ask, and ask once more with what was wrong. Raises `ThinkingFailed` when the second answer is no better."""
    conversation = list(messages)
    text = ask(conversation)
    value, problem = _read(text, model, check)
    if value is None:
        conversation.append(AIMessage(text.strip() or "(nothing)"))
        conversation.append(HumanMessage(f"That is not usable: {problem}\nAnswer again with the JSON object alone."))
        value, problem = _read(ask(conversation), model, check)
    if value is None:
        raise ThinkingFailed(f"the model's {what} could not be used, also after one repair: {problem}")
    return value


def _read(text: str, model: type[Model], check: Callable[[Model], str | None]) -> tuple[Model | None, str]:
    try:
        value = model.model_validate(_json_object(text))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}" for problem in error.errors()[:5]]
        return None, "; ".join(problems)[:MAX_SHOWN]
    except ValueError as error:
        return None, str(error)[:MAX_SHOWN]
    problem = check(value)
    return (value, "") if problem is None else (None, problem[:MAX_SHOWN])


def _json_object(text: str) -> object:
    """The object in a text that may have words or a fence around it. Raises `ValueError`."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ValueError("there is no JSON object in the answer")
    try:
        value: object = json.loads(text[start : end + 1])
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the JSON cannot be read: {error}") from error
    if too_deep(value):
        raise ValueError(f"the JSON is nested more than {MAX_DEPTH} levels deep")
    return value
