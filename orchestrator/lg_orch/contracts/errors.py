"""Errors of the orchestrator itself.

::

    LgError
    ├── GraphError        internal               a node broke the contract of the state
    ├── GatewayGone       upstream_unavailable   the gateway could not be started, reached, or is not ours
    ├── StoreGone         upstream_unavailable   the database that holds the run's checkpoints was lost
    ├── RunBusy           conflict               another process drives this run
    ├── RunLost           conflict               another worker has taken this run over
    ├── ThinkingFailed    upstream_unavailable   the language model's answers cannot be used
    ├── ModelGone         upstream_unavailable   no language model could be asked
    │   └── ContextExceeded                      the request has more tokens than the model takes
    ├── OutOfBudget       limit_exceeded         the run used its tokens, money or time
    └── Interrupted       interrupted            a signal asked the run to stop

After `ModelGone` and `OutOfBudget` a run stands before the step that failed, and can be resumed from there.
A missing extra is a `ConfigError`, like every mistake that ends a command with status 2.
"""

from __future__ import annotations

from lg_policy.errors import LgError

EXTRA_MODULES = frozenset({"langgraph", "langchain", "langchain_core", "fastmcp", "rich"})


class GraphError(LgError):
    """A node broke the contract of the state; a fault of ours."""

    code = "internal"


class GatewayGone(LgError):
    """The gateway could not be started or reached, ended, or does not serve the root asked for."""

    code = "upstream_unavailable"


class StoreGone(LgError):
    """The database that holds a run's checkpoints could be reached and is gone now."""

    code = "upstream_unavailable"


class RunBusy(LgError):
    """Another living process drives this run."""

    code = "conflict"


class RunLost(LgError):
    """Another worker has taken the run over: this one writes nothing more for it."""

    code = "conflict"


class ThinkingFailed(LgError):
    """The language model's answers cannot be used."""

    code = "upstream_unavailable"


class ModelGone(LgError):
    """No model answers: a wrong or missing key, no network, a provider that is busy or broken, time-outs."""

    code = "upstream_unavailable"


class ContextExceeded(ModelGone):
    """The request has more tokens than the model takes."""


class OutOfBudget(LgError):
    """The next thing to do does not fit into what is left of a limit of the run; `limit` is its key in `[budgets]`."""

    code = "limit_exceeded"

    def __init__(self, message: str, *, limit: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class Interrupted(LgError):
    """A signal asked the run to stop; it ends with status 130."""

    code = "interrupted"
