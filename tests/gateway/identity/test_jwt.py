"""Access tokens of an issuer that count, and how its keys are found and kept."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import jwt
import pytest

from lg_gateway.identity.jwt import JwtVerifier, metadata_urls
from lg_policy.config.http import OAuthSettings
from lg_policy.config.loading import load_settings
from lg_policy.config.settings import Settings
from lg_policy.errors import ConfigError
from tests.gateway.identity.authorization_server import AuthorizationServer, authorization_server

pytestmark = pytest.mark.anyio
AUDIENCE = "https://gw.test/mcp"
RESOURCE = 'resource_url = "https://gw.test/mcp"'


def verifier(issuer: AuthorizationServer, **settings: object) -> JwtVerifier:
    return JwtVerifier(OAuthSettings.model_validate({"issuer": issuer.url} | settings), AUDIENCE)


async def test_a_token_says_who_its_caller_is_and_what_it_may() -> None:
    with authorization_server() as issuer:
        known = await verifier(issuer).verify(issuer.token(sub="alice", scope="read write", azp="app"))
        assert known is not None
        assert (known.name, known.client_id, known.scopes) == ("alice", "app", ("read", "write"))
        by_mail = verifier(issuer, identity_claim="email")
        assert await by_mail.verify(issuer.token()) is None, "a token without the claim names nobody"
        plain = await verifier(issuer).verify(issuer.token())
        assert plain is not None
        assert plain.scopes == ()
        named = await by_mail.verify(issuer.token(email="a@b.test", aud=["x", AUDIENCE], scp=["read"]))
        assert named is not None
        assert (named.name, named.scopes) == ("a@b.test", ("read",))


@pytest.mark.attack("Login", "a name or a claim that makes a caller count for a group that it is not in")
async def test_a_caller_counts_for_the_first_of_the_groups_that_count_and_no_name_imitates_one() -> None:
    with authorization_server() as issuer:
        teams = verifier(issuer, groups_claim="groups", groups=("platform", "readers"))

        async def identity(**claims: Any) -> str:
            known = await teams.verify(issuer.token(sub="alice", **claims))
            assert known is not None
            return known.identity

        assert await identity(groups=["readers", "platform", "other"]) == "oauth-group:platform/alice"
        assert await identity(groups=["/readers"]) == "oauth-group:readers/alice"
        assert await identity(groups="readers") == "oauth-group:readers/alice"
        for claims in (
            {"groups": ["admins"]},
            {"groups": {"platform": 1}},
            {"roles": ["platform"]},
            {"groups": [["platform"]]},
        ):
            assert await identity(**claims) == "oauth:alice"
        liar = await teams.verify(issuer.token(sub="oauth-group:platform/alice"))
        assert liar is not None
        assert liar.identity == "oauth:oauth-group:platform/alice"


async def test_a_token_that_leaves_out_its_end_issuer_audience_or_subject_is_refused() -> None:
    with authorization_server() as issuer:
        check = verifier(issuer)
        assert await check.verify(issuer.token()) is not None
        left_out: tuple[dict[str, Any], ...] = ({"exp": None}, {"iss": None}, {"aud": None}, {"sub": None})
        for claims in left_out:
            assert await check.verify(issuer.token(**claims)) is None, claims


async def test_a_slow_issuer_takes_no_thread_from_other_work() -> None:
    with authorization_server() as issuer:
        issuer.answers.clear()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(verifier(issuer).verify, issuer.token())
                while not issuer.asked:
                    await anyio.sleep(0.01)
                assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
                issuer.answers.set()


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (None, True), ("JWT", True), ("at+jwt", True), ("application/AT+JWT", True), ("dpop+jwt", False),
        ("logout+jwt", False), ("at", False), (7, False),
    ],
)  # fmt: skip
async def test_only_an_access_token_counts_and_no_other_text_that_the_issuer_signed(kind: Any, counts: bool) -> None:
    with authorization_server() as issuer:
        known = await verifier(issuer).verify(issuer.token(header={"typ": kind}))
    assert (known is not None) is counts


async def test_clocks_may_differ_by_the_skew_that_is_set_and_no_more() -> None:
    with authorization_server() as issuer:
        strict, lax = verifier(issuer, clock_skew_s=0), verifier(issuer, clock_skew_s=60)
        late = issuer.token(exp=int(time.time()) - 20)
        assert await strict.verify(late) is None
        assert await lax.verify(late) is not None


async def test_keys_are_kept_fetched_again_for_a_new_one_and_not_for_every_stranger() -> None:
    with authorization_server() as issuer:
        patient, eager = verifier(issuer), verifier(issuer, keys_cooldown_s=0.001)
        for _ in range(3):
            assert await patient.verify(issuer.token()) is not None
        assert issuer.asked.count("/keys") == 1
        for number in range(5):
            assert await patient.verify(issuer.token(header={"kid": f"made-up-{number}"})) is None
        assert issuer.asked.count("/keys") == 1, "made-up key names must not make the gateway a hammer"
        assert await eager.verify(issuer.token()) is not None
        issuer.add_key("second")
        assert await eager.verify(issuer.token(kid="second")) is not None


async def test_keys_that_are_known_outlive_an_issuer_that_is_down() -> None:
    with authorization_server() as issuer:
        known, unknown = verifier(issuer), verifier(issuer)
        assert await known.verify(issuer.token()) is not None
        issuer.up = False
        assert await known.verify(issuer.token()) is not None
        assert await unknown.verify(issuer.token()) is None
        asked = len(issuer.asked)
        assert await unknown.verify(issuer.token()) is None
        assert len(issuer.asked) == asked, "it is left alone for a while"


async def test_metadata_that_speaks_for_another_issuer_is_not_believed() -> None:
    with authorization_server() as issuer:
        issuer.speaks_for = "https://elsewhere.test"
        assert await verifier(issuer).verify(issuer.token()) is None
        assert "/keys" not in issuer.asked


def test_metadata_is_looked_for_where_the_standards_say() -> None:
    assert metadata_urls("https://id.test/tenant") == (
        "https://id.test/.well-known/oauth-authorization-server/tenant",
        "https://id.test/tenant/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('oauth = { issuer = "http://id.test" }\nresource_url = "https://g.test/mcp"', "https address"),
        ('oauth = { issuer = "https://id.test" }', "resource_url"),
        (
            'oauth = { issuer = "https://id.test", algorithms = ["HS256"] }\nresource_url = "https://g.test/mcp"',
            "RS256",
        ),
        ('login = "sometimes"', "required"),
    ],
)
def test_settings_that_would_let_others_in_are_refused(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[gateway.http]\n{text}\n")
    with pytest.raises(ConfigError, match=named):
        load_settings(config=file, environ={"HOME": str(tmp_path)})


def test_a_login_is_required_unless_somebody_says_otherwise() -> None:
    assert Settings().gateway.http.login == "required"


async def test_a_name_that_is_too_long_or_cannot_be_shown_is_nobodys() -> None:
    with authorization_server() as issuer:
        check = verifier(issuer)
        assert await check.verify(issuer.token(sub="x" * 200)) is not None
        for name in ("x" * 201, "a\nb", ""):
            assert await check.verify(issuer.token(sub=name)) is None


@pytest.mark.parametrize("kid", ["", None, 7])
async def test_a_token_that_names_no_key_is_refused_and_no_key_is_fetched_for_it(kid: object) -> None:
    with authorization_server() as issuer:
        token = jwt.encode({"sub": "a"}, issuer.keys["first"], algorithm="RS256", headers={"typ": "JWT"})
        head, rest = token.split(".", 1)
        header = {"alg": "RS256", "typ": "JWT"} | ({} if kid is None else {"kid": kid})
        head = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        assert await verifier(issuer).verify(f"{head}.{rest}") is None
        assert "/keys" not in issuer.asked


async def test_no_key_is_fetched_for_a_token_of_another_algorithm() -> None:
    with authorization_server() as issuer:
        token = jwt.encode({"sub": "a"}, "k" * 32, algorithm="HS256", headers={"kid": "first"})
        assert await verifier(issuer).verify(token) is None
        assert "/keys" not in issuer.asked


async def test_an_issuer_that_only_speaks_openid_connect_is_found_too_and_its_keys_are_counted() -> None:
    with authorization_server() as issuer:
        issuer.only_openid = True
        assert await verifier(issuer).verify(issuer.token()) is not None
        check = verifier(issuer)
        assert await anyio.to_thread.run_sync(check.keys) == 1
        issuer.add_key("second")
        assert await anyio.to_thread.run_sync(check.keys) == 2, "they are fetched again"


@pytest.mark.parametrize(("size", "believed"), [(200_000, True), (200_001, False)])
async def test_metadata_is_read_up_to_a_size(size: int, believed: bool) -> None:
    with authorization_server() as issuer:
        issuer.metadata_size = size
        assert (await verifier(issuer).verify(issuer.token()) is not None) == believed


async def test_metadata_in_an_answer_that_says_failure_is_not_believed() -> None:
    with authorization_server() as issuer:
        issuer.metadata_status = 500
        assert await verifier(issuer).verify(issuer.token()) is None
        assert "/keys" not in issuer.asked


@pytest.mark.parametrize("status", [503, 404])
async def test_an_issuer_that_failed_is_asked_again_when_the_pause_is_over_and_no_sooner(status: int) -> None:
    now = [1_000.0]
    with authorization_server() as issuer:
        settings = OAuthSettings.model_validate({"issuer": issuer.url, "keys_cooldown_s": 30})
        check = JwtVerifier(settings, AUDIENCE, clock=lambda: now[0])
        issuer.metadata_status = status
        assert await check.verify(issuer.token()) is None
        issuer.metadata_status = 200
        now[0] += 29.9
        assert await check.verify(issuer.token()) is None
        now[0] += 0.1
        assert await check.verify(issuer.token()) is not None


def test_metadata_of_an_issuer_with_a_slash_at_its_end_is_looked_for_without_it() -> None:
    assert metadata_urls("https://id.test/tenant/") == metadata_urls("https://id.test/tenant")
    assert metadata_urls("https://id.test/") == (
        "https://id.test/.well-known/oauth-authorization-server",
        "https://id.test/.well-known/openid-configuration",
    )
