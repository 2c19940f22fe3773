"""Settings of language models: which model serves which role, the limits of a request, and prices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lg_policy.config.section import PositiveFloat, PositiveInt, Section

NotNegative = Annotated[float, Field(ge=0)]


def _provider_and_name(value: str) -> str:
    provider, _, name = value.partition(":")
    if not provider or not name:
        raise ValueError('a model is named "provider:model" here, such as "openai:gpt-5"')
    return value


ModelName = Annotated[str, AfterValidator(_provider_and_name)]


class ModelSettings(Section):
    """One model: its provider, its name, and the limits of a request."""

    provider: str = "local"
    """`local`: the built-in deterministic analyst. Any other value: a provider of LangChain's `init_chat_model`."""
    model: str = "deterministic"
    """The provider's name for the model."""
    base_url: str | None = None
    """Address of your own server or of a proxy, in the form that the provider's client expects."""
    fallbacks: tuple[ModelName, ...] = ()
    """`provider:model` names, tried in this order on rate limit, time-out or server error."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature; unset: the provider's own. At 0, replies are cached and reused (`models.cache`)."""
    context_tokens: PositiveInt = 60_000
    """Tokens in one request. Old results are replaced by digests; request, rules and plan never are."""
    max_reply_tokens: PositiveInt = 8_192
    """Tokens in one reply."""
    reply_limit_name: Literal["max_tokens", "max_completion_tokens"] | None = None
    """The parameter that sends this limit to a server with OpenAI's chat completions. Unset: `max_completion_tokens`
    for OpenAI and Azure, which require it, and `max_tokens` for others, which often ignore the former."""
    timeout_s: PositiveFloat = 300
    """Seconds for one request."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """Retries of a request after rate limit, time-out or server error, before a fallback is asked."""
    retry_pause_s: NotNegative = 1.0
    """Seconds before the first retry. Doubles each time; the pause is random between half and all of it."""
    streaming: bool = True
    """Whether replies are streamed, so that a terminal shows them as they come."""
    json_schema: bool = False
    """Whether plans are requested with a JSON Schema that the provider enforces, where it can."""
    cache_marks: bool = True
    """Whether to mark the unchanged part of requests for Anthropic's cache. Other providers need no marks."""


class PriceSettings(Section):
    """What a model costs, in US dollars per million tokens."""

    input: NotNegative
    """Prompt tokens."""
    output: NotNegative
    """Reply tokens."""
    cached_input: NotNegative | None = None
    """Prompt tokens that the provider found in its cache; unset: as `input`."""
    cache_write: NotNegative | None = None
    """Prompt tokens that the provider wrote into its cache; unset: as `input`, for `anthropic` a quarter more."""


class ModelsSettings(Section):
    """Which model serves which role. A role that is not set uses `default`."""

    default: ModelSettings = ModelSettings()
    """Used by every role that has no table of its own."""
    router: ModelSettings | None = None
    """Classifies requests whose wording is not clear."""
    planner: ModelSettings | None = None
    """Writes the plan."""
    coder: ModelSettings | None = None
    """Works on the steps of the plan."""
    verifier: ModelSettings | None = None
    """Compares the change with the plan's acceptance criteria, after the checks passed."""
    prices: dict[str, PriceSettings] = Field(default_factory=dict)
    """Prices by `provider:model`. Unset: the list price that ships with the program, if the provider's own address is
    asked. A model without any price is not counted in `budgets.max_cost_usd`; the report says so."""
    cache: bool = True
    """Whether replies at temperature 0 are cached in the state directory and reused for an identical request."""
    cache_max_mb: PositiveInt = 64
    """Size of the cached replies. The oldest are removed first."""
    tools_at_once: PositiveInt = 40
    """With more tools than this, models see only the built-in ones, `mcp_discover` and `mcp_execute`."""

    def role(self, name: str) -> ModelSettings:
        """Return the settings of `router`, `planner`, `coder` or `verifier`, falling back to `default`."""
        chosen = getattr(self, name)
        return chosen if isinstance(chosen, ModelSettings) else self.default
