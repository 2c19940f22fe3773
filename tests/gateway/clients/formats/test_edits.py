"""One entry goes into a text and out again, and nothing else in the text changes, however the text is laid out."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_gateway.clients.formats.documents import parsed
from lg_gateway.clients.formats.json_comments import parse_json
from lg_gateway.clients.formats.json_edit import with_member, without_member
from lg_gateway.clients.formats.toml_text import parse_toml, with_tables, without_tables
from lg_gateway.clients.formats.yaml_edit import with_entry, without_entry

ENTRY = {"command": "/a b", "args": ["--root", "/\u00e9"], "env": {"A": "1"}}
KEYS = st.sampled_from(["a", "b c", "\u00e9", "{", "//", "lgx", 'q"'])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a\u00e9"\\\\{}[]/*,:\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=3)
LAYOUTS = st.sampled_from([None, 0, 2, 4, "\t"])


@given(table=TABLES, other=TABLES, indent=LAYOUTS, windows=st.booleans(), first=st.booleans())
def test_a_member_goes_into_any_json_and_out_again(
    table: dict[str, Any], other: dict[str, Any], indent: Any, windows: bool, first: bool
) -> None:
    whole = {"t": table, **other} if first else {**other, "t": table}
    text = json.dumps(whole, indent=indent, ensure_ascii=False)
    text = text.replace("\n", "\r\n") if windows else text
    made = with_member(text, ("t",), "lg", ENTRY)
    wanted = copy.deepcopy(whole)
    wanted["t"]["lg"] = ENTRY
    assert json.loads(made) == wanted, "still strict"
    assert json.loads(without_member(made, ("t",), "lg")) == whole
    assert with_member(made, ("t",), "lg", ENTRY) == with_member(
        with_member(made, ("t",), "lg", 1), ("t",), "lg", ENTRY
    )
    for key in table:
        assert key not in json.loads(without_member(text, ("t",), key))["t"]


COMMENTED = [
    "{ // why\n}",
    '{\n  "t": {\n    "a": 1, // one\n    /* two */ "b": {"c": "//"} // three\n  } /* four */\n}\n',
    '{"t": {"a": 1,},}',
    '{\n  "t": {\n    "a": [1, 2,], // last\n  },\n}\n',
    '// top\n{"x": "/*", "t": {}}',
]


@pytest.mark.parametrize("text", COMMENTED)
def test_comments_and_trailing_commas_stay(text: str) -> None:
    made = with_member(text, ("t",), "lg", ENTRY)
    for word in ("// why", "// one", "/* two */", "// three", "/* four */", "// last", "// top"):
        assert (word in made) == (word in text)
    back = without_member(made, ("t",), "lg")
    assert parse_json(back).get("t", {}) == parse_json(text).get("t", {})


@pytest.mark.parametrize("text", ['{"t": []}', '{"t": 1}', "[]", '{"a" 1}'])
def test_a_json_text_without_such_a_table_is_refused(text: str) -> None:
    with pytest.raises((ValueError, AttributeError, TypeError)):
        with_member(text, ("t",), "lg", ENTRY)


YAML = [
    "",
    "a: 1\n",
    "t:\nb: 2\n",
    "t: {}\n",
    "# top\nt:\n  a:\n    - x\n    # tail\n\n# end\nb: 2",
    "t:\n    a: |\n      text\n      text\n    b: >-\n      x\n",
    "t:\r\n  a: 1\r\nb: 2\r\n",
    "b: 2\nt:\n- 1\n",
]


@pytest.mark.parametrize("text", YAML)
def test_an_entry_goes_into_any_yaml_and_out_again(text: str) -> None:
    whole = parsed("yaml", text) or {}
    if isinstance(whole.get("t"), list):
        with pytest.raises(ValueError, match="is not a table"):
            with_entry(text, "t", "lg", ENTRY)
        return
    made = with_entry(text, "t", "lg", ENTRY)
    assert parsed("yaml", made) == whole | {"t": (whole.get("t") or {}) | {"lg": ENTRY}}
    assert [line for line in text.splitlines() if line.lstrip().startswith("#") and line not in made.splitlines()] == []
    back = parsed("yaml", without_entry(made, "t", "lg"))
    assert {**back, "t": back.get("t") or {}} == {**whole, "t": whole.get("t") or {}}


TOML = ["", 'x = "1"', "# c\n[t.a]\nb = 1\n", "[t]\n[t.a]\nb = 1\n[z]\n", "[t.a]\r\nb = 1\r\n"]


@pytest.mark.parametrize("text", TOML)
def test_a_table_goes_into_any_toml_and_out_again(text: str) -> None:
    made = with_tables(text, ("t",), {"lg": ENTRY, "needs quotes": {"x": "\x7f\u2028"}})
    assert made.startswith(text)
    assert parse_toml(made)["t"]["lg"] == ENTRY
    assert parse_toml(made)["t"]["needs quotes"] == {"x": "\x7f\u2028"}
    assert without_tables(made, ("t",), ("lg", "needs quotes")).rstrip() == text.rstrip()
