"""What a server writes is read alike, whether it is short or so long that other means look through it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lg_gateway.upstreams.wire_text import Unreadable, read_values

SHORT, LONG = "", "x" * 50_000


def read(value: str, beside: str) -> Any:
    (found,) = read_values(f'{{"jsonrpc":"2.0","beside":"{beside}","result":{value}}}'.encode())
    return found["result"]


@pytest.mark.parametrize("beside", [SHORT, LONG])
@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("1" * 300, int("1" * 300)),
        ("1" * 301, "1" * 301),
        ("-" + "1" * 301, "-" + "1" * 301),
        ("1e400", "1e400"),
        ("1E+999", "1E+999"),
        ("-1e400", "-1e400"),
        ("1e99", 1e99),
        ("1e-400", 0.0),
        ("[1e400, 7]", ["1e400", 7]),
        ("NaN", None),
        ('"\\ud800x"', "\ufffdx"),
    ],
)
def test_a_number_that_no_client_can_hold_is_its_digits_in_a_message_of_any_length(
    beside: str, value: str, meant: Any
) -> None:
    assert read(value, beside) == meant


@pytest.mark.parametrize("beside", [SHORT, LONG])
def test_a_value_of_many_parts_is_read_as_one_of_few(beside: str) -> None:
    parts: list[Any] = [{"name": f"n{number}", "of": [number, 0.5, None, True, "\u00e9"]} for number in range(500)]
    assert read(json.dumps(parts), beside) == parts


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("many", [False, True])
def test_a_message_has_200_levels_at_most(brackets: str, many: bool) -> None:
    first = '{"a":' if brackets == "{}" else "["
    beside = "[]," * 300 if many else ""

    def nested(levels: int) -> str:
        return f"[{beside}{first * levels}1{brackets[1] * levels}]"

    json.dumps(read(nested(198), ""))
    with pytest.raises(Unreadable, match="200 levels"):
        read(nested(199), "")
