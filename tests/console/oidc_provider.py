"""An OpenID Connect provider for tests: real HTTP on loopback, real keys; it logs in whoever `claims` say."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from tests.gateway.identity.authorization_server import AuthorizationServer

CLIENT, SECRET = "lg-console", "a secret & more"


@dataclass(kw_only=True)
class Provider:
    """One provider. Codes work once, for the client, address and verifier that they were asked with."""

    issuer: AuthorizationServer
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "ann", "groups": ["staff", "platform"]})
    header: dict[str, Any] = field(default_factory=dict)
    key: Any = None
    padding: dict[str, str] = field(default_factory=dict)
    """Put before the answer of a path."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser goes back to."""
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert asked["client_id"] == CLIENT
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer.url})}"

    def token(self, authorization: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Exchange a code."""
        asked = self.codes.pop(form.get("code", ""), None)
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        fits = asked is not None and (asked["code_challenge"], asked["redirect_uri"]) == (
            challenge,
            form["redirect_uri"],
        )
        if asked is None or not fits or [unquote_plus(part) for part in pair] != [CLIENT, SECRET]:
            return 400, {"error": "invalid_grant"}
        claims = {"aud": CLIENT, "nonce": asked["nonce"], **self.claims}
        token = self.issuer.token(header=self.header, key=self.key, **claims)
        return 200, {"id_token": token, "access_token": "at-1", "token_type": "Bearer"}


@contextmanager
def oidc_provider() -> Iterator[Provider]:
    """Serve one for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            base = provider.issuer.url
            about = {"issuer": base, "jwks_uri": f"{base}/keys", "token_endpoint": f"{base}/token"}
            about |= {"authorization_endpoint": f"{base}/authorize"}
            self._json(200, about if parts.path.startswith("/.well-known/") else provider.issuer.published())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._json(*provider.token(self.headers.get("Authorization", ""), form))

        def _json(self, status: int, body: Any) -> None:
            data = (provider.padding.get(urlsplit(self.path).path, "") + json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(issuer=AuthorizationServer(server.server_port))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
