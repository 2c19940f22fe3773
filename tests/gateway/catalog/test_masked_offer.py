"""What a server says about itself does not show its credentials."""

from __future__ import annotations

import mcp_types as t

from lg_gateway.catalog.masked_offer import masked_offer
from lg_gateway.catalog.offer import Offer
from lg_policy.secrets.masking import Masker

TOKEN = "tok-5f1e0c7a9b3d"
MASKER = Masker(b"k" * 32, [TOKEN])


def test_words_are_masked_and_what_calls_are_made_with_stays() -> None:
    said = f"as {TOKEN}, logged in"
    schema = {
        "type": "object",
        "description": said,
        "properties": {TOKEN: {"description": said, "enum": [TOKEN], "anyOf": [{"title": said}]}},
    }
    offer = Offer(
        tools=[t.Tool(name=f"t-{TOKEN}", title=said, description=said, input_schema=schema, output_schema=schema)],
        prompts=[t.Prompt(name="p", arguments=[t.PromptArgument(name="a", description=said)])],
        resources=[t.Resource(name="r", uri=f"x://{TOKEN}", description=said)],
        templates=[t.ResourceTemplate(name="r", uri_template="x://{a}", title=said)],
        instructions=said,
    )
    masked = masked_offer(offer, MASKER.mask)
    (tool,), (prompt,), (resource,), (template,) = masked.tools, masked.prompts, masked.resources, masked.templates
    hidden = MASKER.mask(said)
    assert TOKEN not in hidden
    assert [tool.title, tool.description, resource.description, template.title, masked.instructions] == [hidden] * 5
    assert prompt.arguments is not None
    assert prompt.arguments[0].description == hidden
    for found in (tool.input_schema, tool.output_schema or {}):
        field = found["properties"][TOKEN]
        assert (found["description"], field["description"], field["anyOf"][0]["title"]) == (hidden,) * 3
        assert field["enum"] == [TOKEN]
    assert (tool.name, resource.uri) == (f"t-{TOKEN}", f"x://{TOKEN}")


def test_an_offer_without_secrets_is_the_same_object() -> None:
    offer = Offer(tools=[t.Tool(name="t", description="plain", input_schema={"type": "object"})], instructions="plain")
    assert masked_offer(offer, MASKER.mask) is offer
