"""An OAuth 2.1 authorization server for tests: real HTTP on loopback, real keys, and it counts what it is asked.

It publishes metadata and keys, and gives access tokens to clients that show their credentials.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class AuthorizationServer:
    """One issuer. `url` is its name; `asked` lists the paths of requests; tokens are made by `token`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.audience = self.url
        self.asked: list[str] = []
        self.keys: dict[str, Any] = {}
        self.clients: dict[str, str] = {}
        self.client_keys: dict[str, Any] = {}
        self.assertions: list[str] = []
        self.issued: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.lifetime_s = 3600
        self.up = True
        self.answers = threading.Event()
        """Cleared: every request waits."""
        self.answers.set()
        self.speaks_for = self.url
        self.only_openid = False
        self.metadata_size = 0
        self.metadata_status = 200
        self.grants = ["client_credentials", EXCHANGE]
        self.gives_back_what_it_got = False
        self.add_key("first")

    def add_key(self, kid: str) -> None:
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def published(self) -> dict[str, Any]:
        keys = []
        for kid, key in self.keys.items():
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            keys.append(public | {"kid": kid, "alg": "RS256", "use": "sig"})
        return {"keys": keys}

    def token(self, *, kid: str = "first", key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token; claims given as `None` are left out."""
        now = int(time.time())
        body = {"iss": self.url, "sub": "alice", "aud": "https://gw.test/mcp", "iat": now, "exp": now + 600} | claims
        wanted = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(wanted, key or self.keys[kid], algorithm="RS256", headers={"kid": kid} | (header or {}))

    def answer(self, path: str, authorization: str, form: dict[str, str]) -> tuple[int, Any]:
        self.asked.append(path)
        self.answers.wait(60)
        if not self.up:
            return 503, {}
        known = "openid-configuration" if self.only_openid else "oauth-authorization-server"
        if path == f"/.well-known/{known}":
            about = {
                "issuer": self.speaks_for,
                "jwks_uri": f"{self.url}/keys",
                "token_endpoint": f"{self.url}/token",
                "grant_types_supported": self.grants,
            }
            room = self.metadata_size - len(json.dumps(about | {"more": ""}))
            return self.metadata_status, about | ({"more": "x" * room} if room > 0 else {})
        if path == "/keys":
            return 200, self.published()
        if path == "/token":
            return self._give(authorization, form)
        return 404, {}

    def next_token(self) -> str:
        """Return the token that the next client gets."""
        return f"upstream-access-{len(self.issued)}-{'x' * 24}"

    def _give(self, authorization: str, form: dict[str, str]) -> tuple[int, Any]:
        self.forms.append(form)
        if "client_assertion" in form and authorization == "":
            authorization = self._signed_by(form)
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if form.get("grant_type") not in self.grants or not secret or self.clients.get(name) != secret:
            return 401, {"error": "invalid_client"}
        token = self.next_token()
        if form["grant_type"] == EXCHANGE:
            subject = form["subject_token"]
            caller = jwt.decode(subject, options={"verify_signature": False})["sub"]
            token = subject if self.gives_back_what_it_got else f"exchanged-for-{caller}-{token}"
        self.issued.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime_s}

    def _signed_by(self, form: dict[str, str]) -> str:
        """Return the header that a client with a secret would send, for one whose signature is good."""
        jws, algorithms = form["client_assertion"], ["RS256", "ES256", "EdDSA"]
        name = jwt.decode(jws, options={"verify_signature": False})["sub"]
        claims = jwt.decode(jws, self.client_keys[name], algorithms=algorithms, audience=self.audience, issuer=name)
        assert claims["jti"]
        assert claims["jti"] not in self.assertions
        self.assertions.append(claims["jti"])
        return "Basic " + base64.b64encode(f"{name}:{self.clients[name]}".encode()).decode()


@contextmanager
def authorization_server() -> Iterator[AuthorizationServer]:
    """Serve one for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._reply({name: values[0] for name, values in parse_qs(body).items()})

        def _reply(self, form: dict[str, str]) -> None:
            status, body = issuer.answer(self.path, self.headers.get("Authorization", ""), form)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        issuer = AuthorizationServer(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield issuer
        finally:
            http.shutdown()
            thread.join()
