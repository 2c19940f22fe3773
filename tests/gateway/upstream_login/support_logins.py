"""Logs people in, and calls the protected server as one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstream_login.login_store import Login, LoginStore, login_id
from lg_gateway.upstream_login.person_login import begin_login
from tests.gateway.fixture_program import FIXTURE
from tests.gateway.rig import ALLOW_ALL, make_setup, send
from tests.gateway.upstream_login.protected_site import Site, browse, settings

PER_CALLER = 'login = "per_caller"'
LOGIN = Login(
    server="notes", holder="", url="https://notes.example/mcp", resource="https://notes.example/mcp",
    issuer="https://id.example", token_endpoint="https://id.example/token", client_id="gw", scopes=("a", "b"),
    access="access-of-nobody", refresh="refresh-of-nobody", client_secret="secret-of-nobody", ends=5.0,
)  # fmt: skip
KEY = login_id(LOGIN.url, LOGIN.holder)


def spec_of(tmp_path: Path, site: Site, *more: str) -> Any:
    return make_setup(tmp_path, settings(site, *more), ALLOW_ALL).specs[0].login


async def log_in(
    tmp_path: Path, site: Site, *more: str, person: str = "ann", holder: str = "", **options: Any
) -> Login:
    """Log a person in, as the command does."""
    site.person = person
    async with begin_login(spec_of(tmp_path, site, *more), holder, LoginStore(os.environ), **options) as begun:
        page = await browse(begun.url)
        assert page.status_code == 200, page.text
        login, _ = await begun.finish()
    return login


async def whoami(gateway: Gateway, identity: str = "local:me") -> Any:
    return await send(gateway, "notes__whoami", {}, identity=identity)


@contextmanager
def recording_upstream(headers: Path) -> Iterator[str]:
    """A server over HTTP that takes any login and writes down what it is sent."""
    argv = [sys.executable, str(FIXTURE), "--http", "0", "--headers", str(headers)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{next(iter(process.stdout or ())).strip()}/mcp"
        finally:
            process.terminate()
