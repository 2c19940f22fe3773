"""What a server asks the client's model is prepared before it leaves."""

from __future__ import annotations

import mcp_types as t

from lg_gateway.elicitation.sampling_request import prepared


def test_uris_in_a_request_for_a_message_are_the_addresses_of_clients() -> None:
    link = t.ResourceLink(type="resource_link", name="l", uri="test://a")
    inner = t.EmbeddedResource(type="resource", resource=t.TextResourceContents(uri="test://b", text="test://c"))
    used = t.ToolUseContent(type="tool_use", id="1", name="n", input={"type": "resource_link", "uri": "test://d"})
    answered = t.ToolResultContent(type="tool_result", tool_use_id="1", content=[link, inner])
    messages = [t.SamplingMessage(role="assistant", content=used), t.SamplingMessage(role="user", content=[answered])]
    request = t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=messages, max_tokens=5))

    made = prepared(request, "fx", tools=True, trusted=True, mask=None, public=lambda uri: f"fx+{uri}")

    given = made["messages"][1]["content"]
    blocks = (given[0] if isinstance(given, list) else given)["content"]
    assert blocks[0]["uri"] == "fx+test://a"
    assert blocks[1]["resource"] == {"uri": "fx+test://b", "text": "test://c"}
    assert made["messages"][0]["content"]["input"] == {"type": "resource_link", "uri": "test://d"}
