"""Several servers that are taken out of a JSON file in one go."""

from __future__ import annotations

import pytest

from lg_gateway.clients.formats.json_comments import parse_json
from lg_gateway.clients.formats.json_edit import without_members

LAID_OUT = """// head
{
  "other": 1, // kept
  "mcpServers": {
    // about a
    "a": {"command": "a"},
    "b": {"command": "b"}, // of b
    /* about c */
    "c": {
      "command": "c"
    },
    "d": {"command": "d"}, "e": {"command": "e"},
    "f": {"command": "f"}COMMA
    // tail
  },
}
"""


@pytest.mark.parametrize("comma", ["", ","])
@pytest.mark.parametrize("keys", ["abcd", "cdef", "bcde", "abcdef", "acdf", "abde", "abef"])
def test_members_that_go_together_leave_what_others_leave_and_every_comment_of_the_others(
    keys: str, comma: str
) -> None:
    text = LAID_OUT.replace("COMMA", comma)

    made = without_members(text, ("mcpServers",), keys)

    wanted = parse_json(text)
    for key in keys:
        del wanted["mcpServers"][key]
    assert parse_json(made) == wanted
    for comment in ("// head", "// kept", "// about a", "/* about c */", "// tail"):
        assert comment in made
    assert made.startswith('// head\n{\n  "other": 1, // kept\n')
