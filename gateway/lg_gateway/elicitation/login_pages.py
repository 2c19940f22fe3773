"""Pages at which the human behind a client logs in at a server, while a call waits for the login.

Only for callers on this machine: the page sends the browser back to it. Whoever calls from elsewhere could have another
person open the page, and would then call with that login.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import anyio
import anyio.abc

from lg_gateway.approvals.layout import word
from lg_gateway.approvals.question import quoted
from lg_gateway.elicitation.client_abilities import URL
from lg_gateway.elicitation.pending_questions import PendingQuestions
from lg_gateway.elicitation.refusals import Refused
from lg_gateway.elicitation.server_question import KEY, Asking, ServerQuestion
from lg_gateway.elicitation.url_question import HOST_CHARACTERS, host_of
from lg_gateway.store.canonical_json import digest
from lg_gateway.upstream_login.login_errors import LoginFailed, LoginRequired
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.login_store import LoginStore, login_id
from lg_gateway.upstream_login.person_login import begin_login
from lg_gateway.upstream_login.upstream_auth import Learn
from lg_policy.errors import ConfigError

log = logging.getLogger(__name__)

LOGIN = "lg.login"
"""Stands where the server's own key stands in a question of a server."""
OPEN = 20
"""Logins that wait at once."""
LOCAL = "local:"


@dataclass
class _OpenLogin:
    """A login whose page can be opened."""

    url: str = ""
    ready: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)


class LoginPages:
    """Begins logins for calls, one at a time for each server and holder."""

    def __init__(self, store: LoginStore, learn: Learn) -> None:
        self._store = store
        self._learn = learn
        self._open: dict[str, _OpenLogin] = {}

    async def question(
        self, asking: Asking, identity: str, required: LoginRequired, tasks: anyio.abc.TaskGroup | None
    ) -> ServerQuestion | None:
        """Return the question that has a caller's human log in; `None` where that cannot be asked."""
        spec = asking.entry.server.login
        if tasks is None or spec is None or spec.grant != "authorization_code" or not identity.startswith(LOCAL):
            return None
        if URL not in asking.abilities.kinds:
            return None
        key = login_id(spec.url, spec.holder(identity))
        opened = self._open.get(key)
        if opened is None:
            if len(self._open) >= OPEN:
                return None
            opened = self._open[key] = _OpenLogin()
            tasks.start_soon(self._run, key, opened, spec, spec.holder(identity), required)
        await opened.ready.wait()
        return _question(asking, opened.url) if opened.url else None

    async def finished(self, spec: LoginSpec | None, identity: str, wait_s: float) -> None:
        """Wait until the login that was begun for a call is over, but no longer than that."""
        opened = self._open.get(login_id(spec.url, spec.holder(identity))) if spec is not None else None
        if opened is not None:
            with anyio.move_on_after(wait_s):
                await opened.done.wait()

    async def _run(self, key: str, opened: _OpenLogin, spec: LoginSpec, holder: str, required: LoginRequired) -> None:
        try:
            async with begin_login(spec, holder, self._store, learn=self._learn, scopes=required.scopes) as begun:
                opened.url = begun.url
                opened.ready.set()
                await begun.finish()
        except (LoginFailed, ConfigError) as error:
            log.warning("nobody logged in at server %s: %s", spec.server, error)
        finally:
            self._open.pop(key, None)
            opened.ready.set()
            opened.done.set()


def waits_for_login(pending: PendingQuestions | None) -> bool:
    """Return whether the open question of a call is a page to log in at."""
    return pending is not None and any(question["theirs"] == LOGIN for question in pending.questions.values())


def _question(asking: Asking, url: str) -> ServerQuestion | None:
    try:
        host = host_of(url)
    except Refused as why:
        log.warning("the page to log in at server %s is not shown: %s", asking.entry.server.name, why)
        return None
    rows = [
        "A server wants you to log in. The gateway asks for it, to make this call.",
        f"server: {word(asking.entry.server.name)}",
        f"while running: {word(asking.entry.tool)}",
        f"host: {word(host, HOST_CHARACTERS)}",
        *quoted(url),
        "Open the page only if you want that login. It ends on a page of this machine.",
    ]
    own = digest([asking.binding, LOGIN, url])
    return ServerQuestion(
        key=f"{KEY}{own[:32]}", theirs=LOGIN, text="\n".join(rows), schema={}, kind=URL, params={"url": url}
    )
