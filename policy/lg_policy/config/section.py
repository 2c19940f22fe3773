"""The base of every settings table, and the number types that tables share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lg_policy.config.durations import seconds
from lg_policy.errors import ConfigError


class Section(BaseModel):
    """Base of every settings table."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)


def _duration(text: str) -> str:
    try:
        seconds(text, "duration")
    except ConfigError as error:
        raise ValueError(f"should be {error.hint}") from error
    return text


Duration = Annotated[str, AfterValidator(_duration)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
