"""What all contracts share: immutable models that refuse unknown keys.

Everything that crosses the borders of a run is checked by these rules: a model's answer, a journal line, a checkpoint.
Sizes are bounded because the bounds reach a model's output grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    pass


Text = Annotated[str, Field(max_length=4_000)]


Name = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """Base of all of them: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
