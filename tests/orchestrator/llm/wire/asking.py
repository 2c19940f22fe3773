"""Questions to the process that has all providers' packages, and what comes back."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage, messages_to_dict

from lg_orch.testing import Cassette, ScriptedModel
from tests.processes import QuestionProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_core.messages import BaseMessage


KEYS = {
    "openai": ("OPENAI_API_KEY", "sk-scripted-openai-0123456789abcdef0123"),
    "anthropic": ("ANTHROPIC_API_KEY", "sk-ant-scripted-0123456789abcdef01234567"),
    "google_genai": ("GOOGLE_API_KEY", "AIzaScripted0123456789abcdefghijklmnopq"),
    "ollama": ("OLLAMA_API_KEY", "scripted-ollama-0123456789abcdef0123"),
}
KEYS["openai_responses"] = KEYS["openai"]
# Models that OpenAI's client asks over that wire, when it is free to choose.
RESPONSES = "gpt-5-pro-"


def full(wire: str, model: str) -> str:
    """The name of a model, with its provider, that is asked over a wire."""
    return f"openai:{RESPONSES}{model}" if wire == "openai_responses" else f"{wire}:{model}"


def keys() -> dict[str, str]:
    return dict(KEYS.values())


def function(name: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A tool as a model is offered it."""
    parameters = schema or {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    return {"type": "function", "function": {"name": name, "description": "Read a file.", "parameters": parameters}}


TOOLS = (function("fs__read_file"), function("fs__search_files"))
TASK: tuple[BaseMessage, ...] = (SystemMessage("You fix code."), HumanMessage("Fix the failing test."))


def turn(number: int, *paths: str, words: str = "") -> list[BaseMessage]:
    """Calls of one turn and their results, as a run rebuilds them."""
    names = [f"call_{number + place}" for place in range(len(paths))]
    calls: list[Any] = [
        {"name": "fs__read_file", "args": {"path": path}, "id": name, "type": "tool_call"}
        for name, path in zip(names, paths, strict=True)
    ]
    results = [ToolMessage(f"text of {path}", tool_call_id=name) for name, path in zip(names, paths, strict=True)]
    return [AIMessage(content=words, tool_calls=calls), *results]


@dataclass(kw_only=True)
class Answered:
    """What a question brought."""

    replies: list[dict[str, Any]]
    events: list[dict[str, Any]]
    shown: list[str]
    tokens: int
    usd: float
    error: str = ""

    def phases(self) -> list[str]:
        return [event["phase"] for event in self.events]

    def event(self, phase: str) -> dict[str, Any]:
        return next(event for event in self.events if event["phase"] == phase)


def _address(model: ScriptedModel | Cassette, provider: str) -> str:
    return model.base_url if isinstance(model, Cassette) else model.url_for(provider)


@dataclass(kw_only=True)
class Asker:
    """The process, and a way to ask it."""

    process: QuestionProcess

    def ask(
        self,
        model: ScriptedModel | Cassette,
        provider: str,
        *conversations: Sequence[BaseMessage],
        tools: Sequence[dict[str, Any]] = TOOLS,
        schema: dict[str, Any] | None = None,
        cache: str = "",
        name: str = "scripted",
        more: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        budgets: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Answered:
        """Ask a provider's model in one or several conversations; `options` are those of the model."""
        address = _address(model, provider)
        served, _, asked = full(provider, name).partition(":")
        default: dict[str, Any] = {"provider": served, "model": asked, "retry_pause_s": 0.01}
        environ = dict(environ or {})
        if provider == "openai_responses":
            # The client chooses its wire only where the settings name no address.
            environ["OPENAI_API_BASE"] = options.pop("base_url", address)
        else:
            default["base_url"] = address
        models = {"default": default | {"retries": 0} | options, **(more or {})}
        asks = [
            {"messages": messages_to_dict(list(one)), "tools": list(tools), "schema": schema}
            for one in conversations or (TASK,)
        ]
        settings = {"models": models, "budgets": budgets or {}}
        return self.send({"settings": settings, "asks": asks, "cache": cache, "environ": environ})

    def send(self, question: Mapping[str, Any]) -> Answered:
        return Answered(**self.process.ask(question))


@contextmanager
def asking(python: str, environ: Mapping[str, str]) -> Iterator[Asker]:
    """A process that asks, of an interpreter that has the packages, with no keys but those of `environ`."""
    names = {name for name, _value in KEYS.values()}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    program = Path(__file__).with_name("asker.py")
    found = {"PYTHONPATH": str(program.parents[4])}
    process = QuestionProcess([python, "-P", str(program)], env={**kept, **environ, **found})
    try:
        yield Asker(process=process)
    finally:
        process.close()


def schema_in(provider: str, request: dict[str, Any]) -> Any:
    """The schema that the answer is held to."""
    if provider == "openai_responses":
        return (request.get("text") or {}).get("format", {}).get("schema")
    if provider == "openai":
        return (request.get("response_format") or {}).get("json_schema", {}).get("schema")
    if provider == "anthropic":
        return (request.get("output_config") or {}).get("format", {}).get("schema")
    if provider == "google_genai":
        return request["generationConfig"].get("responseJsonSchema")
    return request.get("format")
