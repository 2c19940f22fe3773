"""The tasks of `tasks.toml`, and the judgement over an answer."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE = Path(__file__).parent / "tasks.toml"
MAX_CALLS = 10
"""Calls of a plan that any task may take; fewer than a run's budget, which others share."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Words that one statement must contain, and where it must stand (anywhere when empty)."""

    words: tuple[str, ...]
    at: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One request about one repository, with what its answer must and must not say."""

    id: str
    repo: str
    request: str
    smoke: bool = False
    refused: bool = False
    """The request needs a model: the right answer is to say so, with exit status 2."""
    facts: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    """Words of what the answer must say it did not find."""
    never: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer as it is judged: statements as (text, place), what is missing, the whole text, refused or not."""

    statements: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    text: str
    refused: bool


def load() -> list[Task]:
    """Every task. Raises `TypeError` for an unknown key and `ValueError` for an id used twice."""
    raw = tomllib.loads(FILE.read_text(encoding="utf-8"))["task"]
    tasks = [_task(item) for item in raw]
    if len({task.id for task in tasks}) != len(tasks):
        raise ValueError("a task id is used twice")
    return tasks


def _task(raw: Mapping[str, Any]) -> Task:
    facts = tuple(Fact(words=tuple(item["words"]), at=item.get("at", "")) for item in raw.get("facts", ()))
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    return Task(**(plain | {"facts": facts}))


def said(final: Mapping[str, Any]) -> Said:
    """A run's result, as `lg-orch run --json` prints it, in the form that is judged."""
    return Said(
        statements=tuple(
            (item["text"], f"{item['file']}:{item['line']}" if item.get("file") else "") for item in final["statements"]
        ),
        missing=tuple(final["missing"]),
        text=final["text"],
        refused=final["exit_status"] == 2,
    )


def judge(task: Task, answer: Said) -> list[str]:
    """What is wrong with the answer; empty when nothing is."""
    wrong = [f"not said: {_spelled(fact)}" for fact in task.facts if not _holds(fact, answer.statements)]
    wrong += [f"not named as missing: {words!r}" for words in task.missing if not _any(words, answer.missing)]
    wrong += [f"said, and must not be: {words!r}" for words in task.never if words in answer.text]
    if answer.refused != task.refused:
        wrong.append("refused, and must not be" if answer.refused else "answered, but needs a model")
    return wrong


def _holds(fact: Fact, statements: Iterable[tuple[str, str]]) -> bool:
    return any(all(word in text for word in fact.words) and fact.at in ("", place) for text, place in statements)


def _any(words: str, texts: Iterable[str]) -> bool:
    return any(words in text for text in texts)


def _spelled(fact: Fact) -> str:
    return " … ".join(fact.words) + (f" at {fact.at}" if fact.at else "")
