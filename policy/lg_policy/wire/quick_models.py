"""Makes and changes models whose fields are known to be right. pydantic's own ways take several times as long.

An answer passes through several such steps, and each call pays for them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)


def changed(model: Model, **fields: Any) -> Model:
    """Return a copy with other values in some fields, as `model_copy` does. Nothing is checked."""
    private = model.__pydantic_private__
    return _made(
        type(model),
        {**model.__dict__, **fields},
        model.__pydantic_fields_set__ | fields.keys(),
        dict(private) if private is not None else None,
        model.__pydantic_extra__,
    )


def built(kind: type[Model], fields: dict[str, Any], given: set[str], private: dict[str, Any]) -> Model:
    """Return a model with all its fields, in their order, and the names of those that were given.

    Nothing is checked: the caller has done that.
    """
    return _made(kind, fields, given, private, None)


def _made(
    kind: type[Model],
    fields: dict[str, Any],
    given: set[str],
    private: dict[str, Any] | None,
    extra: dict[str, Any] | None,
) -> Model:
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", fields)
    object.__setattr__(made, "__pydantic_fields_set__", given)
    object.__setattr__(made, "__pydantic_extra__", dict(extra) if extra is not None else None)
    object.__setattr__(made, "__pydantic_private__", private)
    return made
