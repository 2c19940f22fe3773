"""Generated schemas of tools, and values to hold against them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "cmd"])

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 1.0, 1.5, -2.5]), st.text("ab1 \n", max_size=4)
)

VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
COUNTS = st.integers(0, 3)
TYPES = st.sampled_from(["null", "boolean", "string", "array", "object", "number", "integer"])


def schemas() -> st.SearchStrategy[Any]:
    plain: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
        "const": VALUES,
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "pattern": st.sampled_from(["a", "^a+$", "^$", "b|1", r"^\w$"]),
        "minLength": COUNTS,
        "maxLength": COUNTS,
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "minProperties": COUNTS,
        "maxProperties": COUNTS,
        "minimum": st.integers(-2, 2),
        "maximum": st.integers(-2, 2),
        "exclusiveMinimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "title": st.just("words"),
    }

    def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=1, max_size=3)
        return st.fixed_dictionaries(
            {},
            optional=plain
            | {
                "properties": st.dictionaries(NAMES, inner, max_size=2),
                "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2),
                "additionalProperties": inner,
                "items": inner,
                "contains": inner,
                "anyOf": several,
                "oneOf": several,
                "allOf": several,
                "not": inner,
            },
        )

    return st.recursive(st.one_of(st.booleans(), st.fixed_dictionaries({}, optional=plain)), nested, max_leaves=5)
