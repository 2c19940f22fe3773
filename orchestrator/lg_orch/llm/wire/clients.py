"""Builds the LangChain client for a model and keeps it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lg_orch.contracts.errors import ModelGone
from lg_orch.llm.candidates import Candidate
from lg_orch.llm.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

_OWN_HOSTS = (".openai.com", ".azure.com")
TALKATIVE = ("openai", "anthropic", "httpx", "httpcore", "google_genai", "ollama")


class Clients:
    """Builds clients and keeps them: making one costs more than a request. Keys are kept by the clients alone."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._built: dict[tuple[Candidate, int], BaseChatModel] = {}

    def require_key(self, candidate: Candidate) -> None:
        """Raise `ModelGone` naming the variable when the candidate's provider needs a key and has none."""
        known = PROVIDERS.get(candidate.provider)
        if known is None or not known.key_needed or candidate.base_url:
            return
        if not any(self._environ.get(name) for name in known.key_names):
            raise ModelGone(f"there is no API key for {candidate.name}", hint=f"set {' or '.join(known.key_names)}")

    def get(self, candidate: Candidate, room: int) -> BaseChatModel:
        """Return the client for replies of at most `room` tokens.

        Call it in a worker thread: imports take their time.
        """
        found = self._built.get((candidate, room))
        if found is None:
            found = self._built[candidate, room] = self._build(candidate, room)
        return found

    def _build(self, candidate: Candidate, room: int) -> BaseChatModel:
        for name in TALKATIVE:
            # At debug these would write requests, and what is sent with them, to our log.
            logging.getLogger(name).setLevel(logging.WARNING)
        # It warns, at each request, of every keyword of a schema that it leaves out.
        logging.getLogger("langchain_google_genai").setLevel(logging.ERROR)
        options = self._options(candidate, room)
        known = PROVIDERS.get(candidate.provider)
        if known is not None and known.direct_client:
            from lg_orch.llm.wire.openai_client import DirectChatOpenAI

            return DirectChatOpenAI(model=candidate.model, limit_name=self._limit_name(candidate), **options)
        from langchain.chat_models import init_chat_model

        model: BaseChatModel = init_chat_model(candidate.model, model_provider=candidate.provider, **options)
        return model

    def _limit_name(self, candidate: Candidate) -> str:
        """How that server is told the limit of a reply; the environment's addresses are those that the client reads."""
        if candidate.settings.reply_limit_name is not None:
            return candidate.settings.reply_limit_name
        named = (candidate.base_url, self._environ.get("OPENAI_API_BASE"), self._environ.get("OPENAI_BASE_URL"))
        host = urlsplit(next(filter(None, named), "")).hostname or "openai.com"
        return "max_completion_tokens" if f".{host}".endswith(_OWN_HOSTS) else "max_tokens"

    def _options(self, candidate: Candidate, room: int) -> dict[str, Any]:
        settings = candidate.settings
        known = PROVIDERS.get(candidate.provider)
        options = {**known.limits(settings, room), **known.options} if known is not None else {}
        if settings.temperature is not None:
            options["temperature"] = settings.temperature
        if candidate.base_url:
            options["base_url"] = candidate.base_url
            options |= known.address_options if known is not None else {}
            if known is not None and known.key_needed and not any(map(self._environ.get, known.key_names)):
                # Servers of one's own often want no key, but the client wants one.
                options["api_key"] = "none"
        return options
