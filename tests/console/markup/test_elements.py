"""Markup is made of elements; text never becomes any."""

from __future__ import annotations

import pytest

from lg_console.markup.elements import Markup, document, tag


def test_text_and_attributes_are_escaped_and_what_hides_is_spelled_out() -> None:
    made = tag("p", '<script>"&', "\u202eabc\x00", class_='"><img onerror=x>', data_on=True, hidden=False)
    assert made == ('<p class="&quot;&gt;&lt;img onerror=x&gt;" data-on>&lt;script&gt;"&amp;\\u{202e}abc\\u{0}</p>')


def test_only_markup_passes_as_markup_however_it_is_nested() -> None:
    inner = tag("b", "x")
    assert tag("p", [inner, ["<i>", None, 3]]) == "<p><b>x</b>&lt;i&gt;3</p>"
    assert isinstance(inner, Markup)
    assert tag("p", str(inner)[:]) == tag("p", str(inner))


@pytest.mark.parametrize(
    "attributes",
    [
        {"onclick": "x"}, {"style": "x"}, {"srcdoc": "x"}, {"href": "javascript:alert(1)"}, {"href": "//evil.example"},
        {"href": "/\t/evil.example"}, {"href": "/\\evil.example"}, {"href": "\n//evil.example"},
        {"src": "https://evil.example/x.js"}, {"action": "data:text/html,x"},
    ],
)  # fmt: skip
def test_an_attribute_that_holds_code_or_leads_elsewhere_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"would hold code|another site"):
        tag("a", "x", **attributes)


def test_parts_of_a_picture_end_where_they_stand() -> None:
    assert tag("svg", tag("rect", x="1"), tag("text", "a")) == '<svg><rect x="1"/><text>a</text></svg>'
    assert document(tag("br")).startswith("<!doctype html>\n<html")
