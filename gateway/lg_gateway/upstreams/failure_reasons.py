"""Says in one line why a connection ended or a call failed."""

from __future__ import annotations

import errno
from pathlib import Path

import httpx2
import mcp_types as t
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from lg_gateway.processes.child_process import Child
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstreams.replies import Reply, first_problem
from lg_policy.errors import CallTimeout, Internal, LgError, OutcomeUnknown, SandboxUnavailable, UpstreamUnavailable
from lg_policy.limits import cut_at_word

SESSION_GONE = ("session not found", "session terminated")
LOOK_FIRST = "it may have taken effect; check whether it did before repeating it"


class ServersOwnError(MCPError):
    """An error of the server itself, which has looked at the call, whatever its words are."""


class NotSent(Exception):
    """The connection had ended before the call was written to it."""


def why_connection_ended(error: BaseException, spec: ServerSpec, child: Child | None, refused: str = "") -> str:
    """Say why a connection failed or ended, with the last lines that the server wrote to stderr, if any.

    `refused` is what the server said when it refused a request for want of a login.
    """
    error = _first_of(error)
    if isinstance(error, OSError) and spec.launch is not None and child is None:
        return why_not_started(error, spec)
    if isinstance(error, SandboxUnavailable):
        return error.text()
    words = child.last_words() if child is not None else ""
    status = child.process.returncode if child is not None else None
    if isinstance(error, TimeoutError):
        ended = f"no answer within {spec.connect_timeout_s:g} s"
    elif (unfit := _unfit_answer(error)) or status is not None:
        ended = unfit or f"exited with status {status}"
    elif isinstance(error, EOFError):
        ended = str(error)
    elif refused:
        ended = f"the server wants a login: {refused}"
    elif isinstance(error, LoginFailed):
        ended = str(error)
    elif isinstance(error, MCPError):
        ended = f"the server refused the connection: {cut_at_word(error.message, 300)} ({error.code})"
    elif isinstance(error, httpx2.TransportError):
        ended = f"cannot reach {spec.url}: {str(error) or type(error).__name__}"
    else:
        ended = f"{type(error).__name__}: {error}"
    return ended + (f" ({words})" if words else "")


def _unfit_answer(error: BaseException) -> str:
    """Say what is wrong with a server's answer, "" for any other error. The child has ended since: we ended it."""
    if isinstance(error, ValidationError):
        return f"its answer cannot be read: {first_problem(error)}"
    if isinstance(error, MCPError) and error.code == t.PARSE_ERROR:
        return f"its answer cannot be read: {cut_at_word(error.message, 300)}"
    # The SDK's word for what it does not accept: a version of the protocol.
    return cut_at_word(str(error), 300) if isinstance(error, RuntimeError) else ""


def why_not_started(error: OSError, spec: ServerSpec) -> str:
    """Say why a server's program could not be run."""
    launch = spec.launch
    program = launch.argv[0] if launch is not None else ""
    if launch is not None and not Path(launch.cwd).is_dir():
        return f"cannot start {program!r}: its working directory {str(launch.cwd)!r} does not exist"
    if error.errno == errno.ENOENT:
        return f"the command {program!r} is not installed, or not in PATH"
    if error.errno in (errno.EACCES, errno.ENOEXEC):
        return f"the command {program!r} cannot be run: {error.strerror}"
    return f"cannot start {program!r}: {error.strerror or error}"


def why_call_failed(
    spec: ServerSpec, error: MCPError, reply: Reply, *, timeout_s: float, repeatable: bool, refused: str = ""
) -> Exception:
    """Return what to raise for a call that has no answer, or whose answer is the server's own error.

    This depends on what happened, not on the error code: a running server may send the codes that the SDK uses for
    a lost connection. `refused` is what the server said over HTTP when it refused the request.
    """
    if reply.unreadable:
        return Internal(f"cannot read the answer of server {spec.name}: {reply.unreadable}", hint=LOOK_FIRST)
    if reply.lost:
        return _lost(f"server {spec.name} was not reached, or its answer was lost: {reply.lost}", repeatable=repeatable)
    if reply.error is not None:
        kind = MCPError if reply.by_http else ServersOwnError
        return kind.from_error_data(reply.error)
    if error.code == t.REQUEST_TIMEOUT:
        return too_late(spec.name, timeout_s, reply, repeatable=repeatable)
    if error.code != t.CONNECTION_CLOSED:
        return MCPError(error.code, refused) if refused else MCPError.from_error_data(error.error)
    if spec.url is not None:
        return _lost(f"the connection to server {spec.name} broke during the call", repeatable=repeatable)
    return _lost(f"server {spec.name} ended during the call", repeatable=repeatable)


def session_gone(spec: ServerSpec, error: MCPError) -> bool:
    """Return whether an HTTP server refused a request because it no longer knows the session.

    An error of a tool that has run never counts: it may mean a session of its own, and its call would be made twice.
    """
    if isinstance(error, ServersOwnError):
        return False
    gone = any(words in error.message.lower() for words in SESSION_GONE)
    return spec.url is not None and error.code == t.INVALID_REQUEST and gone


def too_late(server: str, timeout_s: float, reply: Reply, *, repeatable: bool) -> LgError:
    """Return the failure of a call whose answer did not come in time, or that could not be sent in time."""
    if not reply.left:
        return UpstreamUnavailable(
            f"{server} took nothing in for {timeout_s:g} s, so the call was not sent", hint="repeat the call later"
        )
    hint = "" if repeatable else LOOK_FIRST
    return CallTimeout(f"{server} did not answer within {timeout_s:g} s and was told to stop", hint=hint)


def _lost(what: str, *, repeatable: bool) -> LgError:
    if repeatable:
        return UpstreamUnavailable(what, hint="the gateway is restarting it; repeat the call")
    return OutcomeUnknown(
        f"{what}; it is not known whether it took effect", hint="check whether it took effect before repeating it"
    )


def _first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
