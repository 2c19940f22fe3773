"""Hides secrets in what a server says about its tools, prompts and resources. Pure.

A server was given its credentials, and may repeat them in a description. Names, addresses and the values that a schema
allows are what calls are made with: they stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import mcp_types as t

from lg_gateway.catalog.offer import Offer

Mask = Callable[[str], str]
Item = TypeVar("Item", t.Tool, t.Prompt, t.Resource, t.ResourceTemplate)

WORDS = ("title", "description")
"""Under these keys stands what a server says."""
DEPTH = 32
"""Levels of a schema that are looked at; what lies deeper is listed by no one."""


def masked_offer(offer: Offer, mask: Mask) -> Offer:
    """Return the offer with the secrets in its words hidden; the same one where there are none."""
    words = "\n".join([offer.instructions, *_words_of(offer)])
    if mask(words) == words:
        return offer
    return replace(
        offer,
        tools=[_masked(item, mask) for item in offer.tools],
        prompts=[_masked(item, mask) for item in offer.prompts],
        resources=[_masked(item, mask) for item in offer.resources],
        templates=[_masked(item, mask) for item in offer.templates],
        instructions=mask(offer.instructions),
    )


def _words_of(offer: Offer) -> Iterator[str]:
    for item in (*offer.tools, *offer.prompts, *offer.resources, *offer.templates):
        yield from (text for name in WORDS if (text := getattr(item, name)))
        if isinstance(item, t.Tool):
            yield from _words_in(item.input_schema, DEPTH)
            yield from _words_in(item.output_schema, DEPTH)
        elif isinstance(item, t.Prompt):
            yield from (argument.description or "" for argument in item.arguments or ())


def _words_in(value: Any, depth: int) -> Iterator[str]:
    if depth == 0 or not isinstance(value, Mapping | list):
        return
    for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
        if key in WORDS and isinstance(inner, str):
            yield inner
        else:
            yield from _words_in(inner, depth - 1)


def _masked(item: Item, mask: Mask) -> Item:
    changed: dict[str, Any] = {name: mask(text) for name in WORDS if (text := getattr(item, name))}
    if isinstance(item, t.Tool):
        changed["input_schema"] = _masked_words(item.input_schema, mask, DEPTH)
        if item.output_schema is not None:
            changed["output_schema"] = _masked_words(item.output_schema, mask, DEPTH)
    elif isinstance(item, t.Prompt):
        changed["arguments"] = item.arguments and [
            argument.model_copy(update={"description": mask(argument.description)})
            if argument.description
            else argument
            for argument in item.arguments
        ]
    return item.model_copy(update=changed)


def _masked_words(value: Any, mask: Mask, depth: int) -> Any:
    if depth == 0 or not isinstance(value, Mapping | list):
        return value
    if isinstance(value, list):
        return [_masked_words(inner, mask, depth - 1) for inner in value]
    return {
        key: mask(inner) if key in WORDS and isinstance(inner, str) else _masked_words(inner, mask, depth - 1)
        for key, inner in value.items()
    }
