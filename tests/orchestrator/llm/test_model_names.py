"""A model's name is checked before anything starts, and the message says what was probably meant."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from lg_orch.llm.candidates import Candidate
from lg_orch.llm.choice import models_asked_for
from lg_orch.llm.model_names import check_address, provider_and_model, require_model
from lg_policy.config.settings import ModelsSettings
from lg_policy.errors import ConfigError
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")

KEY = {"OPENAI_API_KEY": "sk-listing-0123456789", "ANTHROPIC_API_KEY": "sk-ant-listing-0123456789"}


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("opnai:gpt-5", "did you mean openai:gpt-5"),
        ("OpenAI:gpt-5", "did you mean openai:gpt-5"),
        ("claude:claude-opus-5", "did you mean anthropic:claude-opus-5"),
        ("google-genai:gemini-2.5-pro", "did you mean google_genai:gemini-2.5-pro"),
        ("gpt-5", "did you mean openai:gpt-5"),
        ("claude-opus-4-1-20250805", "did you mean anthropic:claude-opus-4-1-20250805"),
        ("openai/gpt-5", "did you mean openai:gpt-5"),
        ("openai:", "add the name of a model, for example openai:"),
        ("antropic", "add the name of a model, for example anthropic:"),
        ("zork", "for example openai:gpt-5"),
        (" : ", "for example openai:gpt-5"),
    ],
)
def test_a_name_that_cannot_be_right_is_answered_with_what_was_probably_meant(given: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        provider_and_model(given, "--model")
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    "given", ["openai:gpt-99", "openai:ft:gpt-4o:a:b", "ollama:qwen3:8b", "mistralai:large", "xai:y"]
)
def test_a_new_model_and_a_provider_of_langchain_pass(given: str) -> None:
    assert ":".join(provider_and_model(given, "--model")) == given


def test_a_hostile_name_stays_on_one_line_of_the_message() -> None:
    with pytest.raises(ConfigError) as refused:
        provider_and_model("opnai:\x1b]0;x\x07\n\u202e" + "y" * 10_000, "--model")
    text = refused.value.text()
    assert len(text) < 500
    assert not {"\x1b", "\n", "\u202e"} & set(text)


def test_a_misspelt_provider_ends_the_command_with_status_2_before_a_run_is_made(
    tmp_path: Path, clean_environment: Path
) -> None:
    done = lg_orch("run", "fix it", "--model", "opnai:gpt-5", "--repo-root", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean openai:gpt-5?" in done.stderr
    assert "no runs yet" in lg_orch("runs", "list", "--repo-root", str(tmp_path), cwd=tmp_path).stdout


@contextmanager
def listing(body: object, status: int = 200) -> Iterator[str]:
    """A provider's list of models at an address of its own."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/models"
        finally:
            server.shutdown()
            thread.join()


def of(provider: str, model: str, base_url: str | None = None) -> Candidate:
    return Candidate(provider=provider, model=model, base_url=base_url)


OPENAI = {"data": [{"id": "gpt-99-turbo"}, {"id": "gpt-99-2027-01-01"}]}
GOOGLE = {"models": [{"name": "models/gemini-77-pro"}]}
OLLAMA = {"models": [{"name": "qwen33:latest"}]}


@pytest.mark.parametrize(
    ("provider", "model", "body", "hint"),
    [
        ("openai", "gtp-99-turbo", OPENAI, "did you mean openai:gpt-99-turbo?"),
        ("anthropic", "zork", OPENAI, "it lists 2 models, none with a name like that"),
        ("google_genai", "gemini-77-por", GOOGLE, "did you mean google_genai:gemini-77-pro?"),
        ("ollama", "qwen3333", OLLAMA, "`ollama pull qwen3333` fetches it"),
    ],
)
def test_a_model_that_its_provider_does_not_list_is_refused(provider: str, model: str, body: object, hint: str) -> None:
    with listing(body) as address, pytest.raises(ConfigError, match="has no model") as refused:
        require_model(of(provider, model), KEY, address=address)
    assert hint in refused.value.hint


def test_a_listed_model_passes_by_its_name_its_alias_and_without_its_tag() -> None:
    with listing(OPENAI) as address:
        require_model(of("openai", "gpt-99-turbo"), KEY, address=address)
        require_model(of("openai", "gpt-99"), KEY, address=address)
    with listing(OLLAMA) as address:
        require_model(of("ollama", "qwen33"), {}, address=address)


@pytest.mark.parametrize(
    ("body", "status"),
    [(OPENAI, 403), (b"not json", 200), (b"[" * 100_000, 200), ([1], 200), ({"data": 7}, 200), (b"x" * 5_000_000, 200)],
)
def test_a_list_that_cannot_be_had_decides_nothing(body: object, status: int) -> None:
    with listing(body, status) as address:
        require_model(of("openai", "zork"), KEY, address=address)


def test_a_known_model_and_a_server_of_ones_own_are_not_asked_for_a_list() -> None:
    with listing({"data": [{"id": "other"}]}) as address:
        require_model(of("openai", "gpt-5"), KEY, address=address)
        require_model(of("openai", "zork", "http://127.0.0.1:1/v1"), KEY, address=address)
        require_model(of("openai", "zork"), {**KEY, "OPENAI_BASE_URL": "http://127.0.0.1:1"}, address=address)


def test_the_address_of_a_model_is_given_with_a_flag() -> None:
    found = models_asked_for(ModelsSettings(), "openai:x", {}, "http://127.0.0.1:1/v1")
    assert (found.role("coder").provider, found.role("coder").base_url) == ("openai", "http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="needs a model"):
        models_asked_for(ModelsSettings(), None, {}, "http://127.0.0.1:1/v1")


@pytest.mark.parametrize("url", ["127.0.0.1:80", "file:///etc/passwd", "http://", "http://[", "https://u:p@host/v1"])
def test_an_address_that_is_none_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--base-url"):
        check_address(url)
