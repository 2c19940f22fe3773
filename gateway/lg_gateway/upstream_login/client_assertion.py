"""Signs what says who the gateway is, with its private key: no secret leaves this machine (`private_key_jwt`).

Source: RFC 7523, sections 2.2 and 3. The audience is the authorization server itself, so that no other can use it.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from lg_gateway.upstream_login.login_errors import LoginFailed

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_S = 60
"""How long one is good. Each request gets its own."""
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def signed_assertion(client_id: str, key: str, audience: str) -> str:
    """Return a signed assertion of a client. Raises `LoginFailed` where the key is none that can sign."""
    import jwt

    private, algorithm, key_id = _read(key)
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME_S,
        "jti": secrets.token_urlsafe(16),
    }
    try:
        return jwt.encode(claims, private, algorithm=algorithm, headers={"kid": key_id} if key_id else None)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _bad_key() from error


def _read(text: str) -> tuple[Any, str, str]:
    """Return a private key, its algorithm, and its id where it is a JWK that has one."""
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key_id = ""
    try:
        if text.lstrip().startswith("{"):
            jwk = jwt.PyJWK.from_json(text)
            private, key_id = jwk.key, jwk.key_id or ""
        else:
            private = load_pem_private_key(text.encode(), password=None)
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _bad_key() from error
    if isinstance(private, rsa.RSAPrivateKey):
        return private, "RS256", key_id
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return private, _CURVES[private.curve.name], key_id
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private, "EdDSA", key_id
    raise _bad_key()


def _bad_key() -> LoginFailed:
    return LoginFailed(
        "oauth.client_key is no private key that can sign: it must be an unencrypted RSA, EC or Ed25519 key,"
        " as PEM or JWK"
    )
