"""Settings of language models: who serves which role, what a request may have, what it costs."""

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
    """One model: who serves it, what it is called, and what a request to it may have."""

    provider: str = "local"
    """`local` is the built-in deterministic analyst; anything else is a provider of LangChain's `init_chat_model`."""
    model: str = "deterministic"
    """The provider's name for the model."""
    base_url: str | None = None
    """Address of a server of one's own or of a proxy, in the form that the provider's client wants."""
    fallbacks: tuple[ModelName, ...] = ()
    """`provider:model` names, tried in this order on rate limit, time-out or server error."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature; unset is the provider's own. At 0 replies are kept and used again (`models.cache`)."""
    context_tokens: PositiveInt = 60_000
    """Tokens that one request may have. Old results give way to digests; request, rules and plan never do."""
    max_reply_tokens: PositiveInt = 8_192
    """Tokens that one reply may have."""
    reply_limit_name: Literal["max_tokens", "max_completion_tokens"] | None = None
    """How a server that speaks OpenAI's chat completions is told that limit; unset: `max_completion_tokens` at the
    addresses of OpenAI and Azure, which want it, and `max_tokens` elsewhere, where the other is often ignored."""
    timeout_s: PositiveFloat = 300
    """Seconds that one request may take."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """Repetitions of a request after rate limit, time-out or server error, before a fallback is asked."""
    retry_pause_s: NotNegative = 1.0
    """Seconds before the first repetition; doubled each time and drawn at random between half and all of it."""
    streaming: bool = True
    """Whether replies are streamed, so that a terminal shows them as they come."""
    json_schema: bool = False
    """Whether plans are asked for with a JSON Schema that the provider holds the model to, where it can."""
    cache_marks: bool = True
    """Whether what stays the same from request to request is marked for Anthropic's cache; others need no marks."""


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
    """Which model serves which role; a role that is not set uses `default`."""

    default: ModelSettings = ModelSettings()
    """Used by every role that has no table of its own."""
    router: ModelSettings | None = None
    """Classifies requests whose wording says too little."""
    planner: ModelSettings | None = None
    """Writes the plan."""
    coder: ModelSettings | None = None
    """Works on the steps of the plan."""
    verifier: ModelSettings | None = None
    """Compares the change with the plan's acceptance criteria, after the checks passed."""
    prices: dict[str, PriceSettings] = Field(default_factory=dict)
    """Prices by `provider:model`. A model without one is not counted in `budgets.max_cost_usd`; the report says so."""
    cache: bool = True
    """Whether replies at temperature 0 are kept in the state directory and used again for the very same request."""
    cache_max_mb: PositiveInt = 64
    """Size of the kept replies; the oldest give way."""
    tools_at_once: PositiveInt = 40
    """With more tools than this, models are told the built-in ones, `mcp_discover` and `mcp_execute` only."""

    def role(self, name: str) -> ModelSettings:
        """Return the settings of `router`, `planner`, `coder` or `verifier`, falling back to `default`."""
        chosen = getattr(self, name)
        return chosen if isinstance(chosen, ModelSettings) else self.default
