"""The gateway logs in with a private key instead of a secret (`private_key_jwt`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from lg_gateway.upstream_login.client_credentials import ClientCredentials
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_policy.errors import ConfigError
from tests.gateway.identity.authorization_server import authorization_server
from tests.gateway.rig import make_setup

pytestmark = pytest.mark.anyio
KEYS: dict[str, Callable[[], Any]] = {
    "RSA": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def pem(key: Any, password: bytes = b"") -> str:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode())


def spec(url: str, key: str, **changes: Any) -> LoginSpec:
    given: dict[str, Any] = {"issuer": url, "client_id": "gw", "client_key": key, "grant": "client_credentials"}
    return LoginSpec(server="w", url="http://127.0.0.1/mcp", resource="http://127.0.0.1/mcp", **(given | changes))


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("named", ["issuer", "token_url"])
async def test_a_token_is_fetched_with_a_signature_that_is_used_once(kind: str, named: str) -> None:
    with authorization_server() as issuer:
        key = KEYS[kind]()
        issuer.clients["gw"], issuer.client_keys["gw"] = "unused", key.public_key()
        token_url = f"{issuer.url}/token"
        # The server names itself as the audience; without its name, its token endpoint is the audience.
        issuer.audience = issuer.url if named == "issuer" else token_url
        chosen = {"issuer": issuer.url if named == "issuer" else None, "token_url": token_url}
        for _ in range(2):
            auth = ClientCredentials(spec(issuer.url, pem(key), **chosen), lambda _: None)
            assert (await auth.header()).removeprefix("Bearer ") in issuer.issued
    assert len(issuer.assertions) == 2
    assert all("client_secret" not in form for form in issuer.forms)
    assert not [form for form in issuer.forms if "PRIVATE" in str(form)]


async def test_the_id_of_a_jwk_is_named() -> None:
    with authorization_server() as issuer:
        key = KEYS["EC"]()
        issuer.clients["gw"], issuer.client_keys["gw"] = "unused", key.public_key()
        written = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True) | {"kid": "key-1"}
        auth = ClientCredentials(spec(issuer.url, json.dumps(written), token_url=f"{issuer.url}/token"), lambda _: None)
        await auth.header()
    assert jwt.get_unverified_header(issuer.forms[0]["client_assertion"])["kid"] == "key-1"


@pytest.mark.parametrize("key", ["", "no key", pem(KEYS["EC"](), b"locked"), '{"kty": "oct", "k": "AAAA"}', "{"])
async def test_what_is_no_private_key_is_said_without_showing_it(key: str) -> None:
    with authorization_server() as issuer, pytest.raises(LoginFailed) as caught:
        await ClientCredentials(spec(issuer.url, key or " ", token_url=f"{issuer.url}/token"), lambda _: None).header()
    assert str(caught.value).startswith("oauth.client_key is no private key")
    assert not key.strip() or key not in str(caught.value)


def test_a_key_comes_from_a_file_and_never_from_the_settings_themselves(tmp_path: Path) -> None:
    key = pem(KEYS["EC"]())
    (tmp_path / "key.pem").write_text(key)
    entry = '[gateway.servers.w]\nurl = "https://w.example/mcp"\n[gateway.servers.w.oauth]\nclient_id = "gw"\n'
    entry += 'token_url = "https://id.example/token"\nclient_key = "%s"\n'
    setup = make_setup(tmp_path, entry % f"${{file:{tmp_path}/key.pem}}")
    (found,) = (server for server in setup.specs if server.name == "w")
    assert found.login is not None
    assert found.login.client_key == key.strip()
    assert "PRIVATE" not in repr(found)

    with pytest.raises(ConfigError) as caught:
        make_setup(tmp_path, entry % "-----BEGIN PRIVATE KEY-----")
    assert "BEGIN" not in str(caught.value)
